package main

import (
	"cmp"
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"slipway/internal/config"
)

func newConfigCommand(app application) *cobra.Command {
	command := &cobra.Command{
		Use:     "config",
		Short:   "Show the settings",
		Long:    "Show the settings. All of them come from the environment: see env.example.",
		Example: "  app config check",
		Args:    cobra.ArbitraryArgs,
		RunE:    requireSubcommand,
	}
	command.AddCommand(newConfigCheckCommand(app))
	return command
}

func newConfigCheckCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:   "check [role ...]",
		Short: "Print what each role would use; exit code 2 when a role could not start",
		Long: "Print all that is wrong with the settings of each role, and then the settings themselves, with\n" +
			"secrets masked. Connects to nothing. Reads every variable of env.example.",
		Example:   "  app config check\n  app config check web",
		ValidArgs: roleNames(),
		Args:      cobra.OnlyValidArgs,
		RunE: func(c *cobra.Command, names []string) error {
			if len(names) == 0 {
				names = roleNames()
			}
			variables, err := config.Environ(".")
			if err != nil {
				return &exitError{code: exitUsage, err: err}
			}
			schema := app.schema()
			check := checkSettings(schema, names, variables)
			check.printFindings(c.OutOrStdout())
			for _, name := range names {
				role := config.Role(name)
				settings, _, _ := schema.Load(role, variables) // check has reported the problems
				fmt.Fprintf(c.OutOrStdout(), "%s\n", role)
				printSettings(c, schema.Settings(role, settings, variables))
				fmt.Fprintln(c.OutOrStdout())
			}
			return check.err()
		},
	}
}

// Private

func printSettings(c *cobra.Command, settings []config.Setting) {
	table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, one := range settings {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", one.Name, cmp.Or(one.Value, "-"), one.Source)
	}
	_ = table.Flush() // it writes to the terminal, where a failure cannot be reported either
}

func roleNames() []string {
	var names []string
	for role := range slices.Values(config.Roles) {
		names = append(names, string(role))
	}
	return names
}
