package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// These tests are not parallel, because they change the process's environment.

func TestEnviron_ReadsTheFileInDevelopmentOnly(t *testing.T) {
	directory := withFile(t, "SLIPWAY_ONE=file\n")

	for environment, value := range map[string]string{
		"": "file", "  ": "file", "development": "file", "production": "", "test": "", "prod": "",
	} {
		t.Setenv("APP_ENV", environment)

		variables, err := Environ(directory)

		require.NoError(t, err)
		require.Equal(t, value, variables["SLIPWAY_ONE"], environment)
		require.Equal(t, os.Getenv("PATH"), variables["PATH"])
	}
}

func TestEnviron_VariablesOfTheProcessWin(t *testing.T) {
	t.Setenv("APP_ENV", "")
	t.Setenv("SLIPWAY_ONE", "real")
	t.Setenv("SLIPWAY_TWO", "") // an empty value wins too
	directory := withFile(t, "SLIPWAY_ONE=file\nSLIPWAY_TWO=file\n# a comment\n\nSLIPWAY_THREE='a b#$c'\n")

	variables, err := Environ(directory)

	require.NoError(t, err)
	require.Equal(t, "real", variables["SLIPWAY_ONE"])
	require.Empty(t, variables["SLIPWAY_TWO"])
	require.Equal(t, "a b#$c", variables["SLIPWAY_THREE"])
}

func TestEnviron_NeedsNoFile(t *testing.T) {
	t.Setenv("APP_ENV", "")

	_, err := Environ(t.TempDir())

	require.NoError(t, err)
}

func TestEnviron_RefusesAFileForAnotherEnvironment(t *testing.T) {
	t.Setenv("APP_ENV", "")

	_, err := Environ(withFile(t, "APP_ENV=production\n"))

	require.Equal(t, []string{".env"}, names(t, err))
	require.ErrorContains(t, err, `sets APP_ENV="production"; the file is for development only`)
}

func TestEnviron_ErrorDoesNotQuoteALine(t *testing.T) {
	t.Setenv("APP_ENV", "")
	for _, line := range []string{
		"SECRET_KEY_BASE hunter2", "SECRET_KEY_BASE='hunter2", "SECRET_KEY_BASE=\"hunter2\nREST", "hunter2",
		"export hunter2 x", "A-hunter2=x", "NAME hunter2=x",
	} {
		_, err := Environ(withFile(t, line))

		require.ErrorContains(t, err, ".env cannot be read: every line of ", line)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestEnviron_ErrorSaysWhyAFileCannotBeOpened(t *testing.T) {
	t.Setenv("APP_ENV", "")
	directory := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(directory, ".env"), 0o700))

	_, err := Environ(directory)

	require.ErrorContains(t, err, ".env cannot be read: ")
	require.ErrorContains(t, err, "is a directory")
}

// Private

func withFile(t *testing.T, content string) (directory string) {
	t.Helper()
	directory = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(directory, ".env"), []byte(content), 0o600))
	return directory
}
