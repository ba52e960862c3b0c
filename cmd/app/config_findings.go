package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"slipway/internal/config"
)

// settingsCheck is what is wrong with the settings of some roles.
type settingsCheck struct {
	problems, warnings []finding
	broken             []string // the roles that could not start
}

// finding is a problem or warning that one or more roles have.
type finding struct {
	config.Problem
	roles []string
}

// checkSettings loads the settings of roles and collects everything that is wrong with
// them.
func checkSettings(schema *config.Schema, roles []string, variables map[string]string) settingsCheck {
	var check settingsCheck
	for _, role := range roles {
		_, warnings, err := schema.Load(config.Role(role), variables)
		check.warnings = add(check.warnings, role, warnings)
		var problems config.Problems
		if errors.As(err, &problems) {
			check.problems = add(check.problems, role, problems)
			check.broken = append(check.broken, role)
		}
	}
	return check
}

// err returns the roles that could not start, as the error of a command.
func (s settingsCheck) err() error {
	if len(s.broken) == 0 {
		return nil
	}
	return &exitError{code: exitUsage, err: fmt.Errorf("these roles could not start: %s", strings.Join(s.broken, ", "))}
}

// printFindings prints all problems, and then all warnings.
func (s settingsCheck) printFindings(w io.Writer) {
	printFindings(w, "problem", s.problems)
	printFindings(w, "warning", s.warnings)
}

// Private

// add adds the problems of one role. Each problem is printed once, for all its roles.
func add(findings []finding, role string, problems config.Problems) []finding {
	for _, problem := range problems {
		i := slices.IndexFunc(findings, func(one finding) bool { return one.Problem == problem })
		if i < 0 {
			i, findings = len(findings), append(findings, finding{Problem: problem})
		}
		findings[i].roles = append(findings[i].roles, role)
	}
	return findings
}

func printFindings(w io.Writer, noun string, findings []finding) {
	if len(findings) == 0 {
		return
	}
	if len(findings) > 1 {
		noun += "s"
	}
	fmt.Fprintf(w, "%d %s:\n", len(findings), noun)
	for _, one := range findings {
		fmt.Fprintf(w, "  %s %s  (%s)\n", one.Name, one.Text, strings.Join(one.roles, ", "))
		if one.Example != "" {
			fmt.Fprintf(w, "    example: %s=%s\n", one.Name, one.Example)
		}
	}
	fmt.Fprintln(w)
}
