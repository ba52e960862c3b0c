// Package devstack runs a private PostgreSQL and a private Redis for `app dev` and
// for tests, and supervises the roles of a development server. It needs Linux: it
// reads /proc, and uses PR_SET_PDEATHSIG to end children with this program.
package devstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// Options are the settings of Start.
type Options struct {
	// Dir contains all files: data, passwords, pid files, logs. It is created when
	// missing, and one program at a time may use it.
	Dir string

	// Durable retains the data for the next Start. When false, the servers start
	// empty, never wait for the disk, and delete their data on Stop. After Kill,
	// PostgreSQL still has all commits, and Redis is empty.
	Durable bool

	// Fresh deletes the data of an earlier run first.
	Fresh bool

	// Database is the name of the database, which is created when missing.
	// Default: slipway_development.
	Database string

	// DatabaseURL, when set, replaces the private PostgreSQL.
	DatabaseURL string

	// RedisURL, when set, replaces the private Redis.
	RedisURL string

	// Log receives lines for the developer. Default: none. The servers log to files
	// of their own (LogFile).
	Log io.Writer
}

// Stack is a running PostgreSQL and Redis. A server that Options replace by a URL
// is nil.
type Stack struct {
	Postgres *Postgres
	Redis    *Redis

	options Options
	lock    *dirLock
}

// Start starts both servers, with the data of an earlier run if there is any, and
// returns when both accept connections. The context bounds the start only: the
// servers run until Stop, or until this program ends, even by SIGKILL.
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

// DatabaseURL returns the URL of the database, with the password.
func (s *Stack) DatabaseURL() string {
	if s.Postgres == nil {
		return s.options.DatabaseURL
	}
	return s.Postgres.URL()
}

// RedisURL returns the URL of Redis, with the password.
func (s *Stack) RedisURL() string {
	if s.Redis == nil {
		return s.options.RedisURL
	}
	return s.Redis.URL()
}

// Stop shuts both servers down. When ctx ends first, it kills them.
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

// logf writes a line to log, unless log is nil.
func logf(log io.Writer, format string, args ...any) {
	if log != nil {
		fmt.Fprintf(log, format+"\n", args...)
	}
}
