package devstack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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

	lock := &dirLock{file: file}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder, _ := io.ReadAll(file)
		lock.release()
		return nil, fmt.Errorf("%s is in use by process %s: stop that one first, or work in another checkout", dir, bytes.TrimSpace(holder))
	}
	if err == nil {
		err = lock.sign()
	}
	if err != nil {
		lock.release()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return lock, nil
}

// release gives the directory back. It may be called more than once.
func (l *dirLock) release() {
	_ = l.file.Close()
}

// Private

// sign says who holds the lock, for the message to those who do not.
func (l *dirLock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	return err
}
