package devstack

import (
	"os"
	"os/exec"
	"syscall"
)

// Foreground runs a command with this program's input and output, forwards signals
// to it, and returns its exit code: 128 plus the signal's number when a signal
// ended it. Without a terminal, it also kills all processes that the command
// leaves. It returns an error when the command cannot start.
func Foreground(command *exec.Cmd, signals <-chan os.Signal) (int, error) {
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr

	// Only one process group may read from a terminal. The command therefore shares
	// this program's group there, and receives Ctrl-C without being forwarded it.
	shared := IsTerminal(os.Stdin)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: !shared}

	p, err := startProcess(command, syscall.SIGTERM)
	if err != nil {
		return 0, err
	}
	for {
		select {
		case <-p.done:
			if !shared {
				p.signalGroup(syscall.SIGKILL)
			}
			return p.exitCode(), nil
		case received := <-signals:
			switch signal := received.(syscall.Signal); {
			case !shared:
				p.signalGroup(signal)
			case signal != syscall.SIGINT && signal != syscall.SIGQUIT:
				p.signal(signal)
			}
		}
	}
}
