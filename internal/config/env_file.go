package config

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/joho/godotenv"
)

// Private

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)
	// reference matches $NAME and ${NAME}, which the parser replaces by a variable of
	// the file, and \$NAME, which it does not.
	reference = regexp.MustCompile(`(\\)?\$\(?\{?([A-Z0-9_]+)`)
)

// parseFile returns the variables of a .env file. The problems name the lines that
// cannot be read, and quote none, because a line may contain a secret.
func parseFile(content []byte) (variables map[string]string, problems Problems) {
	content = bytes.TrimPrefix(content, []byte("\ufeff")) // Windows editors write this mark
	if bytes.IndexByte(content, 0) >= 0 || !utf8.Valid(content) {
		return nil, Problems{{Name: ".env", Text: "is not UTF-8, perhaps UTF-16; save it as UTF-8"}}
	}
	lines := strings.SplitAfter(strings.ReplaceAll(string(content), "\r\n", "\n"), "\n")
	for {
		good, variables := longestReadable(lines)
		if good == len(lines) {
			return variables, append(problems, unknownReferences(lines)...)
		}
		problems = append(problems, Problem{Name: fmt.Sprintf(".env line %d", good+1),
			Text: "is neither NAME=value nor a comment, or does not close its quote"})
		lines[good] = "\n"
	}
}

// longestReadable returns the greatest number of lines from the beginning that can be
// read, and their variables.
func longestReadable(lines []string) (count int, variables map[string]string) {
	for count := len(lines); count > 0; count-- {
		variables, err := godotenv.Unmarshal(strings.Join(lines[:count], ""))
		if err == nil && validNames(variables) {
			return count, variables
		}
	}
	return 0, map[string]string{}
}

// validNames reports whether all names can be names of variables. The parser returns
// other names for some lines without "=".
func validNames(variables map[string]string) bool {
	for name := range variables {
		if !variableName.MatchString(name) {
			return false
		}
	}
	return true
}

// unknownReferences returns the lines in which a $ refers to no variable above it, so
// that a part of the value would disappear.
func unknownReferences(lines []string) (problems Problems) {
	above := map[string]bool{}
	for i, line := range lines {
		name, value, is := strings.Cut(line, "=")
		name = strings.TrimPrefix(strings.TrimSpace(name), "export ")
		value, _, _ = strings.Cut(strings.TrimSpace(value), " #")
		if !is || strings.HasPrefix(name, "#") {
			continue
		}
		references := reference.FindAllStringSubmatch(value, -1)
		lost := slices.ContainsFunc(references, func(match []string) bool { return match[1] == "" && !above[match[2]] })
		if lost && !strings.HasPrefix(value, "'") {
			problems = append(problems, Problem{Name: fmt.Sprintf(".env line %d", i+1),
				Text: "has a $ that refers to no variable above it; write the value between single quotes"})
		}
		above[strings.TrimSpace(name)] = true
	}
	return problems
}
