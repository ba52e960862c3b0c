package devstack

import (
	"os"

	"golang.org/x/sys/unix"
)

// IsTerminal is true for a file that a person reads or types into. A mere
// character device would not do: /dev/null is one too.
func IsTerminal(file *os.File) bool {
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}
