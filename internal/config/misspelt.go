package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Private

// misspelt returns a warning for each variable that nothing reads and whose name is
// almost one that is read.
func (s *Schema) misspelt(given map[string]string) Problems {
	var warnings Problems
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if slices.ContainsFunc(s.variables, func(variable Variable) bool { return variable.Name == name }) {
			continue
		}
		if meant := s.closest(name); meant != "" {
			warnings = append(warnings, Problem{Name: name, Text: fmt.Sprintf("is not read; is %s meant?", meant)})
		}
	}
	return warnings
}

// closest returns the variable whose name a name almost is, or "".
func (s *Schema) closest(name string) string {
	visible := strings.ToUpper(strings.Map(func(character rune) rune {
		if invisible(character) || character == ' ' {
			return -1
		}
		return character
	}, strings.ReplaceAll(name, "-", "_")))
	meant, least := "", 3
	for _, variable := range s.variables {
		// A short name is soon similar to one of another program, such as PATH to PORT.
		most := min(2, len(variable.Name)/4)
		if !strings.HasPrefix(visible, prefix(variable.Name)) {
			most = min(most, 1)
		}
		if distance := editDistance(visible, variable.Name); distance <= most && distance < least {
			meant, least = variable.Name, distance
		}
	}
	return meant
}

// prefix is the part of a name up to its first underscore.
func prefix(name string) string {
	before, _, _ := strings.Cut(name, "_")
	return before + "_"
}

// editDistance is the number of characters to insert, delete, replace, or exchange
// with their neighbour, that make one text of another.
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		for j := range rows[i] {
			switch {
			case i == 0 || j == 0:
				rows[i][j] = i + j
				continue
			case a[i-1] == b[j-1]:
				rows[i][j] = rows[i-1][j-1]
			default:
				rows[i][j] = 1 + min(rows[i-1][j-1], rows[i-1][j], rows[i][j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
