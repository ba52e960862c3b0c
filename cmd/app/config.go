package main

import (
	"fmt"
	"slices"
	"strings"
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
		Long: "Print the settings that each role would use, with secrets masked, and all that is wrong\n" +
			"with them. Connects to nothing. Reads every variable of env.example.",
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
			var broken []string
			for _, name := range names {
				role := config.Role(name)
				settings, warnings, problems := schema.Load(role, variables)
				fmt.Fprintf(c.OutOrStdout(), "%s\n", role)
				printSettings(c, schema, role, settings, variables)
				for _, warning := range warnings {
					fmt.Fprintf(c.OutOrStdout(), "\n  warning: %s %s\n", warning.Name, warning.Text)
				}
				if problems != nil {
					fmt.Fprintf(c.OutOrStdout(), "\n  %s\n", strings.ReplaceAll(problems.Error(), "\n", "\n  "))
					broken = append(broken, name)
				}
				fmt.Fprintln(c.OutOrStdout())
			}
			if len(broken) > 0 {
				return &exitError{code: exitUsage, err: fmt.Errorf("these roles could not start: %s", strings.Join(broken, ", "))}
			}
			return nil
		},
	}
}

// Private

func printSettings(c *cobra.Command, schema *config.Schema, role config.Role, settings config.Config, variables map[string]string) {
	table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, variable := range schema.Variables() {
		if !variable.ReadBy(role) {
			continue
		}
		value, source := schema.Shown(variable, settings), "default"
		switch {
		case strings.TrimSpace(variables[variable.Name]) != "":
			source = "set"
		case value == "":
			value, source = "-", "unset"
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\n", variable.Name, value, source)
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
