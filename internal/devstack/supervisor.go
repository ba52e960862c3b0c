package devstack

import (
	"context"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	shortestPause = 500 * time.Millisecond
	longestPause  = 10 * time.Second

	// A role that has run for this long starts over at the shortest pause.
	steadyAfter = 30 * time.Second

	// RoleStopBudget is what a role may take to stop before it is killed.
	RoleStopBudget = 40 * time.Second

	// wrongConfiguration is the exit code of a role that a restart cannot help.
	wrongConfiguration = 2
)

// Role is a command that should run for as long as its supervisor does.
type Role struct {
	Name    string
	Program string
	Args    []string
	Env     []string
}

// Supervisor keeps roles running. It starts one that ends again after a pause,
// which grows from 0.5 to 10 seconds; but one that ends with code 2 only after
// Restart, because its configuration is wrong.
type Supervisor struct {
	output   *Output
	keepers  []*keeper
	group    sync.WaitGroup
	stopping context.Context // ends when Stop is called
	stop     context.CancelFunc
	killing  context.Context // ends when the context of Stop does
	kill     context.CancelFunc
}

// Supervise starts the roles. The caller must Stop them.
func Supervise(output *Output, roles []Role) *Supervisor {
	s := &Supervisor{output: output}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.killing, s.kill = context.WithCancel(context.Background())
	for _, role := range roles {
		k := &keeper{supervisor: s, role: role, restart: make(chan struct{}, 1)}
		s.keepers = append(s.keepers, k)
		s.group.Go(k.run)
	}
	return s
}

// Restart stops every role in order and starts it anew. It does not wait.
func (s *Supervisor) Restart() {
	for _, k := range s.keepers {
		select {
		case k.restart <- struct{}{}:
		default: // one is on its way already
		}
	}
}

// Stop stops every role in order and waits for all. When ctx ends first, it
// kills them.
func (s *Supervisor) Stop(ctx context.Context) {
	defer context.AfterFunc(ctx, s.kill)()
	s.stop()
	s.group.Wait()
	s.kill()
}

// Private

// keeper runs one role, again and again.
type keeper struct {
	supervisor *Supervisor
	role       Role
	restart    chan struct{}
	pause      time.Duration // before the next start
}

func (k *keeper) run() {
	for k.supervisor.stopping.Err() == nil {
		if k.runOnce() {
			k.pause = 0
			continue
		}
		k.wait()
	}
}

// runOnce runs the role until it ends or has to. It is true when the next
// start shall follow at once.
func (k *keeper) runOnce() bool {
	lines := k.supervisor.output.Lines(k.role.Name)
	defer lines.Close()
	command := exec.Command(k.role.Program, k.role.Args...)
	command.Env = k.role.Env
	command.Stdout, command.Stderr = lines, lines

	started := time.Now()
	p, err := startProcess(command, syscall.SIGKILL)
	if err != nil {
		k.say("does not start: %v", err)
		k.pause = longestPause
		return false
	}
	select {
	case <-p.done:
		p.signalGroup(syscall.SIGKILL)
		k.ended(p.exitCode(), time.Since(started))
		return false
	case <-k.restart:
		k.end(p)
		return true
	case <-k.supervisor.stopping.Done():
		k.end(p)
		return false
	}
}

func (k *keeper) end(p *process) {
	ctx, cancel := context.WithTimeout(k.supervisor.killing, RoleStopBudget)
	defer cancel()
	if p.stop(ctx, syscall.SIGTERM) != nil {
		k.say("had to be killed")
	}
}

// ended says how the role ended by itself, and sets the pause that follows: a
// negative one has no end.
func (k *keeper) ended(code int, after time.Duration) {
	if code == wrongConfiguration {
		k.pause = -1
		k.say("ended with code 2: its configuration is wrong. It starts again after the next change of a source file")
		return
	}
	if after > steadyAfter || k.pause < 0 {
		k.pause = 0
	}
	k.pause = min(max(2*k.pause, shortestPause), longestPause)
	k.say("ended with code %d and starts again in %s", code, k.pause)
}

// wait lets the pause pass, unless the role has to start or stop before.
func (k *keeper) wait() {
	var over <-chan time.Time
	if k.pause >= 0 {
		timer := time.NewTimer(k.pause)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-k.restart:
		k.pause = 0
	case <-k.supervisor.stopping.Done():
	}
}

func (k *keeper) say(format string, args ...any) {
	k.supervisor.output.Printf(k.role.Name, format, args...)
}
