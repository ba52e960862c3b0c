// Command app is the whole product in one binary: the web role, both worker
// roles, and the commands that operate them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"slipway/internal/postgres"
)

// Exit codes: 0 done, 1 failed, 2 called or configured wrongly.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	os.Exit(run(context.Background(), newApplication(), os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line for an application and returns its exit code.
// Every error ends here, printed once on stderr.
func run(ctx context.Context, app application, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand(app)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)

	err := root.ExecuteContext(ctx)

	var usage *usageError
	var exit *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "app: %v\n\n%s", err, usage.usage)
		return exitUsage
	case errors.As(err, &exit):
		if exit.err != nil {
			fmt.Fprintf(stderr, "app: %v\n", exit.err)
		}
		return exit.code
	default:
		fmt.Fprintf(stderr, "app: %v\n", err)
		if reason := postgres.Refusal(err); reason != "" {
			fmt.Fprintf(stderr, "app: %s\n", reason)
		}
		return exitFailed
	}
}
