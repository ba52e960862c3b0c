package devstack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	startBudget = 60 * time.Second
	stopBudget  = 20 * time.Second
)

// server is what PostgreSQL and Redis have in common: a directory that one
// program holds, a process, a port. Its methods are for one goroutine at a
// time.
type server struct {
	name     string // as in a sentence
	dir      string
	password string
	port     int

	stopSignal syscall.Signal              // ends the server in order
	command    func() (*exec.Cmd, error)   // how to run it on port
	ready      func(context.Context) error // nil once it answers
	clean      func() error                // after the end; nil when the data stays

	lock    *dirLock
	process *process
}

// Port is where the server listens on 127.0.0.1.
func (s *server) Port() int { return s.port }

// LogFile is what the server has written since Start.
func (s *server) LogFile() string { return filepath.Join(s.dir, "log") }

// Stop ends the server in order and gives its directory back. When ctx ends
// first, it kills the server and returns an error. A second Stop does nothing.
func (s *server) Stop(ctx context.Context) error {
	if s.lock == nil {
		return nil
	}
	err := s.end(ctx)
	if s.clean != nil {
		err = errors.Join(err, s.clean())
	}
	s.lock.release()
	s.lock = nil
	return err
}

// Restart ends the server in order, unless it was killed before, and starts it
// again over the same data on the same port.
func (s *server) Restart(ctx context.Context) error {
	if err := s.end(ctx); err != nil {
		return err
	}
	return s.start(ctx)
}

// Kill ends every process of the server by SIGKILL, as a crash would, and
// returns when they are gone. Restart brings it back.
func (s *server) Kill() error {
	if err := killFamily(s.process.pid()); err != nil {
		return fmt.Errorf("kill %s: %w", s.name, err)
	}
	<-s.process.done
	return nil
}

// Freeze stops every process of the server where it stands: the port still
// accepts connections, and nothing answers. It returns when all stand still.
func (s *server) Freeze() error {
	if err := freezeFamily(s.process.pid()); err != nil {
		return fmt.Errorf("freeze %s: %w", s.name, err)
	}
	return nil
}

// Thaw lets a frozen server carry on.
func (s *server) Thaw() error {
	members := family(s.process.pid())
	signalAll(members, syscall.SIGCONT)
	if err := waitAll(members, 5*time.Second, running); err != nil {
		return fmt.Errorf("thaw %s: %w", s.name, err)
	}
	return nil
}

// Private

func (s *server) pidFile() pidFile { return pidFile(filepath.Join(s.dir, "pid")) }
func (s *server) portFile() string { return filepath.Join(s.dir, "port") }

// startAnywhere starts the server on its last port, or on another one when
// someone else has taken that.
func (s *server) startAnywhere(ctx context.Context) error {
	if err := os.Remove(s.LogFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the old log: %w", err)
	}
	for attempt := 1; ; attempt++ {
		var err error
		if s.port, err = localPort(s.portFile()); err != nil {
			return err
		}
		err = s.start(ctx)
		if err == nil {
			return rememberPort(s.portFile(), s.port)
		}
		if attempt == 3 || portIsFree("127.0.0.1", s.port) {
			return err
		}
	}
}

func (s *server) start(ctx context.Context) error {
	log, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", s.name, err)
	}
	defer log.Close()
	command, err := s.command()
	if err != nil {
		return err
	}
	command.Stdout, command.Stderr = log, log

	s.process, err = startProcess(command, s.stopSignal)
	if err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	if err := errors.Join(s.pidFile().write(s.process.pid()), s.waitReady(ctx)); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w%s", s.name, err, s.lastWords()), s.Kill())
	}
	return nil
}

// waitReady asks the server until it answers, has ended, or time is up.
func (s *server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startBudget)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()

	for {
		problem := s.ready(ctx)
		if problem == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-s.process.done:
			return fmt.Errorf("it ended at once, with code %d", s.process.exitCode())
		case <-ctx.Done():
			return fmt.Errorf("%w, and the last answer was: %w", context.Cause(ctx), problem)
		}
	}
}

// lastWords is the end of the log, for the error of a start that failed.
func (s *server) lastWords() string {
	text, err := os.ReadFile(s.LogFile())
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return ""
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return "\n" + string(bytes.Join(lines[max(0, len(lines)-10):], []byte("\n")))
}

// end ends the process, if there is one, and keeps the directory.
func (s *server) end(ctx context.Context) error {
	if s.process == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopBudget)
	defer cancel()
	if err := s.Thaw(); err != nil {
		return err
	}

	s.process.signal(s.stopSignal)
	select {
	case <-s.process.done:
		return s.pidFile().remove()
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("stop %s: %w", s.name, context.Cause(ctx)), s.Kill(), s.pidFile().remove())
	}
}
