// Package devstack runs a private PostgreSQL and a private Redis, for `app dev`
// and for the tests, and keeps the commands of a development server running
// beside them. It needs Linux: it reads /proc and has the kernel end every
// child when its parent is killed.
package devstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// Options says where a stack lives and what it must survive.
type Options struct {
	// Dir holds everything: data, passwords, pid files, logs. It is made when
	// missing, and one program at a time may use it.
	Dir string

	// Durable keeps the data for the next Start. Without it the servers start
	// empty, never wait for the disk, and delete their data on Stop. Until then
	// PostgreSQL keeps what was committed even through Kill; Redis keeps
	// nothing.
	Durable bool

	// Fresh deletes what an earlier run left behind.
	Fresh bool

	// Database is created when missing. Default: slipway_development.
	Database string

	// DatabaseURL is used instead of a private PostgreSQL when set.
	DatabaseURL string

	// RedisURL is used instead of a private Redis when set.
	RedisURL string

	// Log gets one line for each thing that a person should know. Default:
	// nothing is said. The servers write to a file of their own (LogFile).
	Log io.Writer
}

// Stack is a running PostgreSQL and Redis. A server that Options replaced by
// an address is nil.
type Stack struct {
	Postgres *Postgres
	Redis    *Redis

	options Options
	lock    *dirLock
}

// Start starts both servers, over the data of an earlier run if there is any,
// and returns when both accept connections. The context bounds the start only:
// the servers run until Stop, or until this program ends in any way.
func Start(ctx context.Context, options Options) (*Stack, error) {
	lock, err := lockDir(options.Dir)
	if err != nil {
		return nil, err
	}

	stack := &Stack{options: options, lock: lock}
	if err := stack.start(ctx); err != nil {
		return nil, errors.Join(err, stack.Stop(context.WithoutCancel(ctx)))
	}
	return stack, nil
}

// DatabaseURL is the address of the database, with the password in it.
func (s *Stack) DatabaseURL() string {
	if s.Postgres == nil {
		return s.options.DatabaseURL
	}
	return s.Postgres.URL()
}

// RedisURL is the address of Redis, with the password in it.
func (s *Stack) RedisURL() string {
	if s.Redis == nil {
		return s.options.RedisURL
	}
	return s.Redis.URL()
}

// Stop ends both servers in order. When ctx ends first, it kills them.
func (s *Stack) Stop(ctx context.Context) error {
	var problems []error
	if s.Redis != nil {
		problems = append(problems, s.Redis.Stop(ctx))
	}
	if s.Postgres != nil {
		problems = append(problems, s.Postgres.Stop(ctx))
	}
	s.lock.release()
	return errors.Join(problems...)
}

// Private

func (s *Stack) start(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	if s.options.DatabaseURL == "" {
		group.Go(func() (err error) {
			s.Postgres, err = StartPostgres(ctx, PostgresOptions{
				Dir:      filepath.Join(s.options.Dir, "postgres"),
				Durable:  s.options.Durable,
				Fresh:    s.options.Fresh,
				Database: s.options.Database,
				Log:      s.options.Log,
			})
			return err
		})
	}
	if s.options.RedisURL == "" {
		group.Go(func() (err error) {
			s.Redis, err = StartRedis(ctx, RedisOptions{
				Dir:     filepath.Join(s.options.Dir, "redis"),
				Durable: s.options.Durable,
				Fresh:   s.options.Fresh,
			})
			return err
		})
	}
	return group.Wait()
}

// note writes one line for a person, if anyone listens.
func note(log io.Writer, format string, args ...any) {
	if log != nil {
		fmt.Fprintf(log, format+"\n", args...)
	}
}
