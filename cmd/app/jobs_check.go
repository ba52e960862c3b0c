package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newJobsCheckCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the declarations of all work and config/recurring.yml",
		Long: "Check the declarations of all work and config/recurring.yml as it was when this\n" +
			"binary was built. It needs no backend. If entries cannot be used, it names them and exits with 1.",
		RunE: func(c *cobra.Command, _ []string) error {
			work, err := app.declared()
			if err != nil {
				return err
			}
			entries, err := app.schedules(work)
			if err != nil {
				return err
			}
			counts := map[string]any{"jobs": len(work.jobs), "tasks": len(work.tasks), "recurring": len(entries)}
			line := fmt.Sprintf("%d kinds of jobs, %d kinds of tasks, %d recurring: all can be used", len(work.jobs), len(work.tasks), len(entries))
			return printResult(c, line, counts)
		},
	}
}
