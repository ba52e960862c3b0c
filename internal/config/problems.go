package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one variable with an unusable value.
type Problem struct {
	Name    string // of the variable
	Text    string // the rest of a sentence that begins with Name, such as "is missing"
	Example string // a value that works
}

// Problems are all variables with unusable values. It is an error whose text has one
// line for each, and one with an example.
type Problems []Problem

func (p Problems) Error() string {
	var text strings.Builder
	noun := "problems"
	if len(p) == 1 {
		noun = "problem"
	}
	fmt.Fprintf(&text, "%d %s in the environment:", len(p), noun)
	for _, problem := range p {
		fmt.Fprintf(&text, "\n  %s %s", problem.Name, problem.Text)
		if problem.Example != "" {
			fmt.Fprintf(&text, "\n    example: %s=%s", problem.Name, problem.Example)
		}
	}
	return text.String()
}

// Private

// sorted sorts problems by name and drops all but the first of each variable,
// because a value that cannot be parsed also fails later checks.
func (p Problems) sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(p, func(a, b Problem) bool { return a.Name == b.Name })
}
