package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/devstack"
)

func newDevExecCommand() *cobra.Command {
	dir := ""
	command := &cobra.Command{
		Use:   "exec [--dir DIR] -- COMMAND [ARGUMENT…]",
		Short: "Run one command beside an empty PostgreSQL and Redis",
		Long: `Start an empty private PostgreSQL and Redis, run the command with their addresses in
DATABASE_URL, REDIS_URL, TEST_DATABASE_URL and TEST_REDIS_URL, and stop both servers
when the command ends. This is for tests: the data is not flushed to disk and is
deleted at the end.

Signals are passed on to the command, and its exit code is returned.`,
		Example: "  app dev exec -- go test ./...\n  app dev exec --dir tmp/bench -- bin/bench",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			code, err := runDevExec(c.Context(), dir, args)
			if err == nil && code == exitOK {
				return nil
			}
			return &exitError{code: max(code, exitFailed), err: err}
		},
	}
	command.Flags().StringVar(&dir, "dir", "tmp/exec", "directory for the files of the servers")
	command.Flags().SetInterspersed(false)
	return command
}

// runDevExec returns the exit code of the command, or an error when the servers
// or the command could not run.
func runDevExec(ctx context.Context, dir string, args []string) (code int, err error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	starting, started := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer started()

	stack, err := devstack.Start(starting, devstack.Options{Dir: dir, Log: os.Stderr})
	if err != nil {
		return exitFailed, fmt.Errorf("start PostgreSQL and Redis: %w", err)
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, stack.Stop(stopping))
	}()

	command := exec.Command(args[0], args[1:]...)
	command.Env = append(os.Environ(),
		"DATABASE_URL="+stack.DatabaseURL(), "TEST_DATABASE_URL="+stack.DatabaseURL(),
		"REDIS_URL="+stack.RedisURL(), "TEST_REDIS_URL="+stack.RedisURL(),
	)
	code, err = devstack.Foreground(command, signals)
	if err != nil {
		return exitFailed, fmt.Errorf("run %s: %w", args[0], err)
	}
	return code, nil
}
