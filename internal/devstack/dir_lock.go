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

// dirLock is this program's lock on a directory. The kernel releases it when the
// program ends, even by SIGKILL.
type dirLock struct {
	file *os.File
}

// lockDir creates dir when it is missing and locks it. When another process has the
// lock, the error contains its pid.
func lockDir(dir string) (*dirLock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create the directory of the stack: %w", err)
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
		pid := bytes.TrimSpace(holder)
		return nil, fmt.Errorf("%s is in use by process %s: stop that process first, or work in another checkout", dir, pid)
	}
	if err == nil {
		err = lock.writePid()
	}
	if err != nil {
		lock.release()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return lock, nil
}

// release releases the lock. It may be called again.
func (l *dirLock) release() {
	_ = l.file.Close()
}

// Private

// writePid writes this process's pid to the lock file, for lockDir's error.
func (l *dirLock) writePid() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	return err
}
