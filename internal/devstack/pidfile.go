package devstack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// pidFile is the name of a file that identifies a server process, so that the next
// run can end the server when this run is killed.
type pidFile string

// write writes the identity of a process.
func (f pidFile) write(pid int) error {
	text, err := identity(pid)
	if err != nil {
		return fmt.Errorf("identify process %d: %w", pid, err)
	}
	if err := os.WriteFile(string(f), []byte(text+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the pid file: %w", err)
	}
	return nil
}

// endLeftover ends the server of an earlier run if it still runs, and removes the
// file. It returns the pid in the file, or 0.
func (f pidFile) endLeftover(stop syscall.Signal) (int, error) {
	text, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the pid file: %w", err)
	}

	pid := 0
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		return 0, f.remove()
	}
	if current, err := identity(pid); err == nil && current == strings.TrimSpace(string(text)) {
		if err := endTree(pid, stop); err != nil {
			return 0, err
		}
	}
	return pid, f.remove()
}

func (f pidFile) remove() error {
	if err := os.Remove(string(f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the pid file: %w", err)
	}
	return nil
}

// Private

// identity returns a text that no other process has, not even a later one with the
// same pid: pid, start time and boot id.
func identity(pid int) (string, error) {
	s, err := readStat(pid)
	if err != nil {
		return "", err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d %d %s", pid, s.started, strings.TrimSpace(string(boot))), nil
}
