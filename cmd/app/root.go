package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newRootCommand(app application) *cobra.Command {
	root := &cobra.Command{
		Use:   "app",
		Short: "One binary that serves the pages, runs the jobs and tasks, and operates both",
		Long: `One binary, several processes: "web" serves pages, "worker-pg" runs the jobs in
PostgreSQL, "worker-redis" runs the tasks in Redis. Every setting comes from the
environment; "app config check" shows what each role would use.`,
		Example:       "  app dev\n  app migrate && app web",
		Args:          cobra.ArbitraryArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          requireSubcommand,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		newWebCommand(app),
		newWorkerPGCommand(app),
		newWorkerRedisCommand(app),
		newDevCommand(app),
		newMigrateCommand(app),
		newSeedCommand(app),
		newThrottleCommand(app),
		newCacheCommand(app),
		newJobsCommand(app),
		newHealthCommand(app),
		newConfigCommand(app),
		newVersionCommand(),
	)
	useUsageErrors(root)
	return root
}

// usageError is a command line that cannot be understood: exit code 2, with
// the command's usage on stderr.
type usageError struct {
	err   error
	usage string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// exitError ends the program with a code of its own. With a nil err nothing is
// printed, because the command itself has reported the reason.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// Private

// useUsageErrors makes every command below command report unknown flags,
// unknown subcommands and surplus arguments as a usageError.
func useUsageErrors(command *cobra.Command) {
	command.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{err: err, usage: c.UsageString()}
	})
	if args := command.Args; command.HasParent() {
		if args == nil {
			args = cobra.NoArgs
		}
		command.Args = func(c *cobra.Command, given []string) error {
			if err := args(c, given); err != nil {
				return &usageError{err: err, usage: c.UsageString()}
			}
			return nil
		}
	}
	for _, child := range command.Commands() {
		useUsageErrors(child)
	}
}

// requireSubcommand is the RunE of a command that only groups others.
func requireSubcommand(c *cobra.Command, args []string) error {
	problem := errors.New("a command is required")
	if len(args) > 0 {
		problem = fmt.Errorf("unknown command %q", strings.Join(args, " "))
	}
	return &usageError{err: problem, usage: c.UsageString()}
}
