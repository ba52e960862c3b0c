package devstack

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// dirLock holds a directory for this program. The kernel lets go of it when
// the program ends, however it ends.
type dirLock struct {
	file *os.File
}

// lockDir makes dir when it is missing and takes it, or says who has it.
func lockDir(dir string) (*dirLock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of the stack: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}

	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder, _ := io.ReadAll(file)
		file.Close()
		return nil, fmt.Errorf("%s is in use by process %s: stop that one first, or work in another checkout", dir, strings.TrimSpace(string(holder)))
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}

	if err := errors.Join(file.Truncate(0), writeAtStart(file, fmt.Sprintln(os.Getpid()))); err != nil {
		file.Close()
		return nil, fmt.Errorf("write the lock: %w", err)
	}
	return &dirLock{file: file}, nil
}

// release gives the directory back. It may be called more than once.
func (l *dirLock) release() {
	l.file.Close()
}

// Private

func writeAtStart(file *os.File, text string) error {
	_, err := file.WriteAt([]byte(text), 0)
	return err
}
