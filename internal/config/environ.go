package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/joho/godotenv"
)

// Environ returns the process's environment. In development it adds the variables of
// the file .env in directory, if there is one; a variable of the process, even an
// empty one, wins over the file. The error is Problems and quotes no line of the
// file.
func Environ(directory string) (map[string]string, error) {
	variables := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		variables[name] = value
	}
	if notDevelopment(variables["APP_ENV"]) {
		return variables, nil
	}

	file := filepath.Join(directory, ".env")
	fromFile, err := godotenv.Read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return variables, nil
	}
	var inaccessible *fs.PathError
	if errors.As(err, &inaccessible) {
		return nil, Problems{{Name: ".env", Text: fmt.Sprintf("cannot be read: %s: %v", file, inaccessible.Err)}}
	}
	if err != nil || slices.ContainsFunc(slices.Collect(maps.Keys(fromFile)), invalidName) {
		// The parser's error is not wrapped, because it quotes the line, which may contain a secret.
		text := fmt.Sprintf("cannot be read: every line of %s must be NAME=value or a comment", file)
		return nil, Problems{{Name: ".env", Text: text}}
	}
	if notDevelopment(fromFile["APP_ENV"]) {
		text := fmt.Sprintf("sets APP_ENV=%q; the file is for development only, so set APP_ENV in the process's environment",
			fromFile["APP_ENV"])
		return nil, Problems{{Name: ".env", Text: text}}
	}
	maps.Copy(fromFile, variables)
	return fromFile, nil
}

// Private

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// invalidName reports whether name cannot be the name of a variable. The parser
// returns such names for some lines without "=".
func invalidName(name string) bool { return !variableName.MatchString(name) }

// notDevelopment reports whether a value of APP_ENV is another environment than
// development.
func notDevelopment(environment string) bool {
	return strings.TrimSpace(environment) != "" && environment != string(Development)
}
