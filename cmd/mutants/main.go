// Command mutants breaks one promise of the program at a time, and runs the tests
// that must notice. It is for developers, who run it by bin/mutants.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	return newCommand().ExecuteContext(ctx)
}

// Private

func newCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "mutants [PATTERN]",
		Short: "Break one promise at a time, and run the tests that must notice",
		Long: `Run the tests of each mutant, first on the source as it is, then with the mutant in
place of the original text. No file of the source changes: the compiler reads the
changed copy of a file from elsewhere. The mutants of the runtime are listed in
cmd/mutants/mutants.yml, those of the application in files of that name in its
packages. PATTERN, a regular expression, chooses mutants by promise, file or test.

The exit code is 0 when every mutant was caught.`,
		Args:          cobra.MaximumNArgs(1),
		SilenceErrors: true, SilenceUsage: true,
		RunE: func(c *cobra.Command, args []string) error {
			mutants, err := readMutants(".")
			if err != nil {
				return err
			}
			if len(args) == 1 {
				pattern, err := regexp.Compile(args[0])
				if err != nil {
					return fmt.Errorf("read the pattern %q: %w", args[0], err)
				}
				if mutants = matching(mutants, pattern); len(mutants) == 0 {
					return fmt.Errorf("no mutant matches %q", args[0])
				}
			}
			report, err := try(c.Context(), ".", c.OutOrStdout(), mutants)
			if err == nil && report.caught < len(mutants) {
				err = errors.New("not every mutant was caught")
			}
			return err
		},
	}
}
