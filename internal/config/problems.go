package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one setting that cannot be used.
type Problem struct {
	Name    string // of the variable
	Text    string // what is wrong with it
	Example string // a value that works
}

// Problems are all settings that cannot be used.
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

// sorted orders problems by name and keeps the first of each variable: a
// value that cannot be read needs no second complaint.
func (p Problems) sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(p, func(a, b Problem) bool { return a.Name == b.Name })
}
