package devstack

import (
	"context"
	"errors"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// process is a child of this program, in a process group of its own.
type process struct {
	command *exec.Cmd
	done    chan struct{} // closed when it has ended and was collected
	err     error         // of Wait; read it after done
}

// startProcess starts a command that gets the signal lastWill when this
// program ends without having stopped it, by kill -9 for example.
func startProcess(command *exec.Cmd, lastWill syscall.Signal) (*process, error) {
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	command.SysProcAttr.Pdeathsig = lastWill
	if command.WaitDelay == 0 {
		command.WaitDelay = 2 * time.Second
	}

	started := make(chan error)
	spawner() <- func() { started <- command.Start() }
	if err := <-started; err != nil {
		return nil, err
	}

	p := &process{command: command, done: make(chan struct{})}
	go func() {
		p.err = command.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.command.Process.Pid }

// signal reaches the process alone, signalGroup also what it has started.
func (p *process) signal(signal syscall.Signal) {
	_ = p.command.Process.Signal(signal)
}

func (p *process) signalGroup(signal syscall.Signal) {
	_ = syscall.Kill(-p.pid(), signal)
}

// stop asks the process to end and waits for it. When ctx ends first, it kills
// the whole group, and returns the reason.
func (p *process) stop(ctx context.Context, signal syscall.Signal) error {
	p.signal(signal)
	select {
	case <-p.done:
		p.signalGroup(syscall.SIGKILL)
		return nil
	case <-ctx.Done():
		p.signalGroup(syscall.SIGKILL)
		<-p.done
		return context.Cause(ctx)
	}
}

// exitCode is 128 and the number of the signal for a process that a signal
// ended, as shells have it. Read it after done.
func (p *process) exitCode() int {
	status, ok := p.command.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return p.command.ProcessState.ExitCode()
}

// Run runs a command to its end. When ctx ends first, it ends the command and
// everything that it has started.
func Run(ctx context.Context, command *exec.Cmd) error {
	p, err := startProcess(command, syscall.SIGKILL)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
		p.signalGroup(syscall.SIGKILL)
		return p.err
	case <-ctx.Done():
		short, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return errors.Join(context.Cause(ctx), p.stop(short, syscall.SIGTERM))
	}
}

// Private

// spawner runs functions on one OS thread that lives as long as the program.
// The kernel sends the last will when the *thread* that made a child ends.
var spawner = sync.OnceValue(func() chan<- func() {
	calls := make(chan func())
	go func() {
		runtime.LockOSThread()
		for call := range calls {
			call()
		}
	}()
	return calls
})
