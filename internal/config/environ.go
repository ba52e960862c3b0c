package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
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
	if environment := variables["APP_ENV"]; environment != "" && environment != string(Development) {
		return variables, nil
	}

	file := filepath.Join(directory, ".env")
	fromFile, err := godotenv.Read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return variables, nil
	}
	if err != nil {
		// The parser's own error quotes the line, and the line may be a secret.
		return nil, Problems{{Name: ".env", Text: fmt.Sprintf("cannot be read: every line of %s must be NAME=value or a comment", file)}}
	}
	if environment := fromFile["APP_ENV"]; environment != "" && environment != string(Development) {
		return nil, Problems{{Name: ".env", Text: "sets APP_ENV=" + environment + "; the file is for development only, so set APP_ENV in the real environment"}}
	}
	maps.Copy(fromFile, variables)
	return fromFile, nil
}
