package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// Environ returns the process's environment, with values trimmed. In development it
// adds the variables of the file .env in directory, if there is one; a variable of the
// process, even an empty one, wins over the file. The error is Problems and quotes no
// value of the file.
func Environ(directory string) (map[string]string, error) {
	variables := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		variables[name] = value
	}
	variables = trimmed(variables)
	if notDevelopment(variables["APP_ENV"]) {
		return variables, nil
	}

	file := filepath.Join(directory, ".env")
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return variables, nil
	}
	if err != nil {
		return nil, Problems{{Name: ".env", Text: "cannot be read: " + err.Error()}}
	}
	fromFile, problems := parseFile(content)
	if len(problems) > 0 {
		return nil, problems
	}
	fromFile = trimmed(fromFile)
	if notDevelopment(fromFile["APP_ENV"]) {
		text := fmt.Sprintf("sets APP_ENV=%q; the file is for development only, so set APP_ENV in the process's environment",
			fromFile["APP_ENV"])
		return nil, Problems{{Name: ".env", Text: text}}
	}
	maps.Copy(fromFile, variables)
	return fromFile, nil
}

// Private

// notDevelopment reports whether a value of APP_ENV is another environment than
// development.
func notDevelopment(environment string) bool {
	return environment != "" && environment != string(Development)
}
