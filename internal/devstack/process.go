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

// process is a child of this program.
type process struct {
	command *exec.Cmd
	done    chan struct{} // closed after Wait has returned
	err     error         // of Wait; valid after done is closed
}

// startProcess starts a command, by default in a process group of its own. The
// kernel sends it deathSignal when this program ends, even by SIGKILL.
func startProcess(command *exec.Cmd, deathSignal syscall.Signal) (*process, error) {
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	command.SysProcAttr.Pdeathsig = deathSignal
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

func (p *process) signal(signal syscall.Signal) {
	_ = p.command.Process.Signal(signal)
}

// signalGroup signals the process and all processes in its group.
func (p *process) signalGroup(signal syscall.Signal) {
	_ = syscall.Kill(-p.pid(), signal)
}

// stop sends the signal and waits for the process, then kills the rest of its
// group. When ctx ends first, it kills the whole group and returns the cause.
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

// exitCode returns the exit code, or like a shell 128 plus the number of the signal
// that ended the process. It is valid after done is closed.
func (p *process) exitCode() int {
	status, ok := p.command.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return p.command.ProcessState.ExitCode()
}

// Run runs a command until it ends, then kills the rest of its process group. When
// ctx ends first, it sends SIGTERM, and SIGKILL after 5 seconds.
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

// spawner returns a channel of functions to run on one OS thread, which lives as
// long as the program. The kernel sends a death signal when the thread that started
// the child ends, see PR_SET_PDEATHSIG(2const).
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
