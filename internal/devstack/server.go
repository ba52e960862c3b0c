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
	startTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
)

// server is the common part of Postgres and Redis: a locked directory, a process, a
// port. Its methods are for one goroutine at a time.
type server struct {
	name     string // for error texts
	dir      string
	password string
	port     int

	stopSignal syscall.Signal              // shuts the server down
	command    func() (*exec.Cmd, error)   // returns the command that runs it on port
	ready      func(context.Context) error // returns nil when it accepts connections
	clean      func() error                // deletes the data after Stop; nil retains it

	lock    *dirLock
	process *process
}

// Port returns the server's port on 127.0.0.1.
func (s *server) Port() int { return s.port }

// LogFile returns the name of the server's log file, which each Start empties.
func (s *server) LogFile() string { return filepath.Join(s.dir, "log") }

// Stop shuts the server down and releases its directory. When ctx ends first, it
// kills the server and returns an error. A second Stop does nothing.
func (s *server) Stop(ctx context.Context) error {
	if s.lock == nil {
		return nil
	}
	err := s.shutDown(ctx)
	if s.clean != nil {
		err = errors.Join(err, s.clean())
	}
	s.lock.release()
	s.lock = nil
	return err
}

// Restart shuts the server down, unless it was killed before, and starts it with
// the same data and port.
func (s *server) Restart(ctx context.Context) error {
	if err := s.shutDown(ctx); err != nil {
		return err
	}
	return s.start(ctx)
}

// Kill ends every process of the server by SIGKILL, like a crash, and returns when
// they have ended. Restart starts the server again.
func (s *server) Kill() error {
	if err := killTree(s.process.pid()); err != nil {
		return fmt.Errorf("kill %s: %w", s.name, err)
	}
	<-s.process.done
	return nil
}

// Freeze stops every process of the server by SIGSTOP and returns when all have
// stopped: the port still accepts connections, but the server does not reply.
func (s *server) Freeze() error {
	if err := freezeTree(s.process.pid()); err != nil {
		return fmt.Errorf("freeze %s: %w", s.name, err)
	}
	return nil
}

// Thaw continues a frozen server by SIGCONT.
func (s *server) Thaw() error {
	members := processTree(s.process.pid())
	signalAll(members, syscall.SIGCONT)
	if err := waitAll(members, 5*time.Second, running); err != nil {
		return fmt.Errorf("thaw %s: %w", s.name, err)
	}
	return nil
}

// Private

func (s *server) pidFile() pidFile { return pidFile(filepath.Join(s.dir, "pid")) }
func (s *server) portFile() string { return filepath.Join(s.dir, "port") }

// startOnFreePort starts the server on its last port, or on another one when that is
// taken.
func (s *server) startOnFreePort(ctx context.Context) error {
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
			return writePort(s.portFile(), s.port)
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
		return errors.Join(fmt.Errorf("start %s: %w%s", s.name, err, s.logTail()), s.Kill())
	}
	return nil
}

// waitReady polls until the server accepts connections. It returns an error when the
// server ends, and after startTimeout.
func (s *server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()

	for {
		problem := s.ready(ctx)
		if problem == nil {
			return nil
		}
		select {
		case <-poll.C:
		case <-s.process.done:
			return fmt.Errorf("it ended with code %d", s.process.exitCode())
		case <-ctx.Done():
			return fmt.Errorf("%w, and the last error is: %w", context.Cause(ctx), problem)
		}
	}
}

// logTail returns the last ten lines of the log, for an error text.
func (s *server) logTail() string {
	text, err := os.ReadFile(s.LogFile())
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return ""
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return "\n" + string(bytes.Join(lines[max(0, len(lines)-10):], []byte("\n")))
}

// shutDown ends the process, if there is one. It keeps the directory locked.
func (s *server) shutDown(ctx context.Context) error {
	if s.process == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
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
