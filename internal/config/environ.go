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

// Environ is the process's environment, with the .env file of directory
// beneath it in development. A variable that is really set wins over the file.
func Environ(directory string) (map[string]string, error) {
	variables := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		variables[name] = value
	}
	if elsewhere(variables["APP_ENV"]) {
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
	if err != nil || slices.ContainsFunc(slices.Collect(maps.Keys(fromFile)), notAName) {
		// The parser's own error quotes the line, and the line may be a secret.
		return nil, Problems{{Name: ".env", Text: fmt.Sprintf("cannot be read: every line of %s must be NAME=value or a comment", file)}}
	}
	if elsewhere(fromFile["APP_ENV"]) {
		return nil, Problems{{Name: ".env", Text: fmt.Sprintf("sets APP_ENV=%q; the file is for development only, so set APP_ENV in the real environment", fromFile["APP_ENV"])}}
	}
	maps.Copy(fromFile, variables)
	return fromFile, nil
}

// Private

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// notAName finds lines without "=", which the parser may let pass.
func notAName(name string) bool { return !variableName.MatchString(name) }

// elsewhere tells that APP_ENV names another place than development.
func elsewhere(environment string) bool {
	return strings.TrimSpace(environment) != "" && environment != string(Development)
}
