package devstack

import (
	"os"
	"os/exec"
	"syscall"
)

// Foreground runs a command that has this program's terminal, input and
// output, passes it every signal that arrives, and returns its exit code (128
// and the number of the signal when a signal ended it). Whatever the command
// has started and left running ends with it.
func Foreground(command *exec.Cmd, signals <-chan os.Signal) (int, error) {
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr

	// Only one process group may use the terminal, so there the command stays
	// in ours, and has had a Ctrl-C as soon as we have.
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
