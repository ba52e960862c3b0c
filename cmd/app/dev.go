package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/config"
	"slipway/internal/devstack"
)

// Everything that `app dev` makes is below this directory of the checkout.
const devDir = "tmp/dev"

func newDevCommand() *cobra.Command {
	fresh := false
	command := &cobra.Command{
		Use:   "dev",
		Short: "Run every role on this machine, with a private PostgreSQL and Redis",
		Long: `Start a private PostgreSQL and Redis in tmp/dev, then build, migrate and seed, then run
web, worker-pg and worker-redis. A change of a source file builds and restarts them; a
build that fails leaves them as they are. Ctrl-C stops everything in order, a second one
at once. tmp/dev/env holds the addresses for other terminals.

Reads DATABASE_URL and REDIS_URL, which are used instead of a private server each; PORT,
the first port to try (3000); BASE_URL (http://localhost:PORT); NO_COLOR. The rest of the
environment is handed on to the roles.`,
		Example: "  app dev\n  app dev --fresh\n  . tmp/dev/env && psql \"$DATABASE_URL\"",
		RunE: func(c *cobra.Command, _ []string) error {
			return runDev(c.Context(), c.OutOrStdout(), fresh)
		},
	}
	command.Flags().BoolVar(&fresh, "fresh", false, "start over: delete the private data first")
	command.AddCommand(newDevExecCommand())
	return command
}

func runDev(ctx context.Context, stdout io.Writer, fresh bool) (err error) {
	variables, err := config.Environ(".")
	if err != nil {
		return err
	}
	stopping, killing, release := devstack.Signals(ctx)
	defer release()
	output := devstack.NewOutput(stdout, variables["NO_COLOR"] == "" && devstack.IsTerminal(os.Stdout))

	stack, err := devstack.Start(stopping, devstack.Options{
		Dir:         devDir,
		Durable:     true,
		Fresh:       fresh,
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

	if fresh && (stack.Postgres == nil || stack.Redis == nil) {
		output.Printf("dev", "--fresh deletes private data only: what DATABASE_URL and REDIS_URL name stays as it is")
	}
	if err := writeDevEnv(stack); err != nil {
		return err
	}
	server := &devServer{output: output, stack: stack, variables: variables}
	return server.run(stopping, killing)
}

// writeDevEnv keeps the addresses where another terminal can read them.
func writeDevEnv(stack *devstack.Stack) error {
	text := fmt.Sprintf("export DATABASE_URL='%s'\nexport REDIS_URL='%s'\n", stack.DatabaseURL(), stack.RedisURL())
	if err := os.WriteFile(filepath.Join(devDir, "env"), []byte(text), 0o600); err != nil {
		return fmt.Errorf("keep the addresses: %w", err)
	}
	return nil
}
