package devstack

import (
	"context"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	minPause = 500 * time.Millisecond
	maxPause = 10 * time.Second

	// A role that has run for this long gets the shortest pause again.
	resetAfter = 30 * time.Second

	// RoleStopTimeout is how long a role may take to stop before it is killed.
	RoleStopTimeout = 40 * time.Second

	// wrongConfiguration is the exit code of a role whose configuration is wrong.
	wrongConfiguration = 2
)

// Role is a command for a Supervisor.
type Role struct {
	Name    string
	Program string
	Args    []string
	Env     []string
}

// Supervisor runs roles until Stop. When a role ends, it starts the role again after
// a pause, which grows from 0.5 to 10 seconds. A role that ends with code 2, because its
// configuration is wrong, starts again only after Restart.
type Supervisor struct {
	output   *Output
	runners  []*roleRunner
	group    sync.WaitGroup
	stopping context.Context // ends with the call of Stop
	stop     context.CancelFunc
	killing  context.Context // ends with the context of Stop
	kill     context.CancelFunc
}

// Supervise starts the roles. The caller must call Stop.
func Supervise(output *Output, roles []Role) *Supervisor {
	s := &Supervisor{output: output}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.killing, s.kill = context.WithCancel(context.Background())
	for _, role := range roles {
		r := &roleRunner{supervisor: s, role: role, restart: make(chan struct{}, 1)}
		s.runners = append(s.runners, r)
		s.group.Go(r.run)
	}
	return s
}

// Restart stops every role by SIGTERM and starts it again. It does not wait.
func (s *Supervisor) Restart() {
	for _, r := range s.runners {
		select {
		case r.restart <- struct{}{}:
		default: // a restart is already pending
		}
	}
}

// Stop stops every role by SIGTERM and waits for all. When ctx ends first, it kills
// them.
func (s *Supervisor) Stop(ctx context.Context) {
	defer context.AfterFunc(ctx, s.kill)()
	s.stop()
	s.group.Wait()
	s.kill()
}

// Private

// roleRunner runs one role until its supervisor stops.
type roleRunner struct {
	supervisor *Supervisor
	role       Role
	restart    chan struct{}
	pause      time.Duration // before the next start; negative waits for Restart
}

func (r *roleRunner) run() {
	for r.supervisor.stopping.Err() == nil {
		if r.runOnce() {
			r.pause = 0
			continue
		}
		r.wait()
	}
}

// runOnce runs the role until it ends, Restart or Stop. It returns true when the
// role shall start again at once.
func (r *roleRunner) runOnce() bool {
	lines := r.supervisor.output.Lines(r.role.Name)
	defer lines.Close()
	command := exec.Command(r.role.Program, r.role.Args...)
	command.Env = r.role.Env
	command.Stdout, command.Stderr = lines, lines

	started := time.Now()
	p, err := startProcess(command, syscall.SIGKILL)
	if err != nil {
		r.printf("cannot start: %v", err)
		r.pause = maxPause
		return false
	}
	select {
	case <-p.done:
		p.signalGroup(syscall.SIGKILL)
		r.setPause(p.exitCode(), time.Since(started))
		return false
	case <-r.restart:
		r.stop(p)
		return true
	case <-r.supervisor.stopping.Done():
		r.stop(p)
		return false
	}
}

func (r *roleRunner) stop(p *process) {
	ctx, cancel := context.WithTimeout(r.supervisor.killing, RoleStopTimeout)
	defer cancel()
	if p.stop(ctx, syscall.SIGTERM) != nil {
		r.printf("did not stop and was killed")
	}
}

// setPause prints how the role ended by itself, and sets the pause before its next
// start.
func (r *roleRunner) setPause(code int, after time.Duration) {
	if code == wrongConfiguration {
		r.pause = -1
		r.printf("ended with code 2: its configuration is wrong. It starts again when a source file changes")
		return
	}
	if after > resetAfter || r.pause < 0 {
		r.pause = 0
	}
	r.pause = min(max(2*r.pause, minPause), maxPause)
	r.printf("ended with code %d and starts again in %s", code, r.pause)
}

// wait waits for the end of the pause, Restart or Stop.
func (r *roleRunner) wait() {
	var over <-chan time.Time
	if r.pause >= 0 {
		timer := time.NewTimer(r.pause)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-r.restart:
		r.pause = 0
	case <-r.supervisor.stopping.Done():
	}
}

func (r *roleRunner) printf(format string, args ...any) {
	r.supervisor.output.Printf(r.role.Name, format, args...)
}
