package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/config"
	"slipway/internal/devstack"
)

// devDir is the default of --dir: the directory of the checkout that holds
// everything that `app dev` makes.
const devDir = "tmp/dev"

// devMailDir is the default of MAIL_DIR in development. --fresh deletes it with
// the data, because new orders reuse the numbers after which old mails are named.
const devMailDir = "tmp/mail"

// devOptions are the flags of `app dev`.
type devOptions struct {
	fresh   bool
	dir     string // of the program, of the data of private servers, and of their addresses
	builder bool   // build for processes with only, and run no role
	only    string // the one role to run, of the program that a builder has built; empty for all
}

// roles are the roles to run.
func (o devOptions) roles() []string {
	if o.only == "" {
		return roleNames()
	}
	return []string{o.only}
}

// program is the program that the roles run.
func (o devOptions) program() string { return filepath.Join(o.dir, "app") }

// variables returns the environment as the roles will have them: `app dev` chooses the
// ports and addresses that are not set.
func (o devOptions) variables(environment map[string]string) map[string]string {
	chosen := maps.Clone(environment)
	chosen["APP_ENV"] = string(config.Development)
	if o.only == "" {
		chosen["OPS_PORT"] = ""
	}
	for name, value := range map[string]string{"DATABASE_URL": "postgres://localhost/development", "REDIS_URL": "redis://localhost"} {
		if chosen[name] == "" {
			chosen[name] = value
		}
	}
	return chosen
}

func newDevCommand(app application) *cobra.Command {
	var options devOptions
	command := &cobra.Command{
		Use:   "dev",
		Short: "Run every role on this machine, with a private PostgreSQL and Redis",
		Long: `Start a private PostgreSQL and Redis in tmp/dev, then build, migrate and seed, then run
web, worker-pg and worker-redis. A change of a source file builds and restarts them; a
build that fails leaves them as they are. Ctrl-C stops everything in order, a second one
at once. tmp/dev/env holds the addresses for other terminals.

Containers that share a checkout divide the work: one with --builder builds, migrates and
seeds, and one with --only for each role runs the program that is in --dir, and restarts it
when the builder has replaced it. They choose no ports.

Reads DATABASE_URL and REDIS_URL, each used instead of a private server; PORT, the first
port to try (3000); BASE_URL (http://localhost:PORT); NO_COLOR. The roles get the whole
environment.`,
		Example: "  app dev\n  app dev --fresh\n  . tmp/dev/env && psql \"$DATABASE_URL\"",
		RunE: func(c *cobra.Command, _ []string) error {
			if options.only != "" && options.builder {
				return &usageError{err: errors.New("--builder runs no role; leave out --only"), usage: c.UsageString()}
			}
			if options.only != "" && !slices.Contains(roleNames(), options.only) {
				unknown := fmt.Errorf("--only %s is no role; it must be one of: %s", options.only, strings.Join(roleNames(), ", "))
				return &usageError{err: unknown, usage: c.UsageString()}
			}
			return runDev(c.Context(), c.OutOrStdout(), app, options)
		},
	}
	command.Flags().BoolVar(&options.fresh, "fresh", false, "start over: delete the private data and the mail first")
	command.Flags().StringVar(&options.dir, "dir", devDir, "directory for the program, the data and the addresses")
	command.Flags().BoolVar(&options.builder, "builder", false, "build, migrate and seed only, and run no role")
	command.Flags().StringVar(&options.only, "only", "", "run one role of the program in --dir: web, worker-pg or worker-redis")
	command.AddCommand(newDevExecCommand())
	return command
}

func runDev(ctx context.Context, stdout io.Writer, app application, options devOptions) (err error) {
	variables, err := config.Environ(".")
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	check := checkSettings(app.schema(), options.roles(), options.variables(variables))
	check.printFindings(stdout)
	if err := check.err(); err != nil {
		return err
	}
	stopping, killing, release := devstack.Signals(ctx)
	defer release()
	output := devstack.NewOutput(stdout, variables["NO_COLOR"] == "" && devstack.IsTerminal(os.Stdout))
	server := &devServer{app: app, options: options, output: output, variables: variables, generated: true}
	if options.only != "" {
		return server.runRole(stopping, killing)
	}

	stack, err := devstack.Start(stopping, devstack.Options{
		Dir:         options.dir,
		Durable:     true,
		Fresh:       options.fresh,
		DatabaseURL: variables["DATABASE_URL"],
		RedisURL:    variables["REDIS_URL"],
		Log:         output.Lines("dev"),
	})
	if stopping.Err() != nil && stack == nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("start PostgreSQL and Redis: %w", err)
	}
	defer func() {
		output.Printf("dev", "Stopping PostgreSQL and Redis")
		budget, cancel := context.WithTimeout(killing, 20*time.Second)
		defer cancel()
		err = errors.Join(err, stack.Stop(budget))
	}()

	if options.fresh && (stack.Postgres == nil || stack.Redis == nil) {
		output.Printf("dev", "--fresh deletes private data only: the data of DATABASE_URL and REDIS_URL stays")
	}
	if options.fresh {
		if err := os.RemoveAll(devMailDir); err != nil {
			return fmt.Errorf("delete the mail: %w", err)
		}
	}
	if err := writeDevEnv(options.dir, stack); err != nil {
		return err
	}
	server.stack = stack
	return server.run(stopping, killing)
}

// writeDevEnv writes the addresses to a file that other terminals can source.
func writeDevEnv(dir string, stack *devstack.Stack) error {
	text := fmt.Sprintf("export DATABASE_URL='%s'\nexport REDIS_URL='%s'\n", stack.DatabaseURL(), stack.RedisURL())
	if err := os.WriteFile(filepath.Join(dir, "env"), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the addresses: %w", err)
	}
	return nil
}
