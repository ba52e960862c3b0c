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

func TestEnviron_NamesEachLineThatCannotBeReadAndQuotesNone(t *testing.T) {
	t.Setenv("APP_ENV", "")
	for content, lines := range map[string][]string{
		"SECRET_KEY_BASE hunter2":                               {".env line 1"},
		"A=1\n\n# a comment\nSECRET_KEY_BASE hunter2\nB=2\n":    {".env line 4"},
		"A=1\r\nSECRET_KEY_BASE='hunter2\r\nB=2\r\n":            {".env line 2"},
		"SECRET_KEY_BASE=\"hunter2\nREST":                       {".env line 1", ".env line 2"},
		"hunter2":                                               {".env line 1"},
		"export hunter2 x":                                      {".env line 1"},
		"A-hunter2=x":                                           {".env line 1"},
		"NAME hunter2=x":                                        {".env line 1"},
		"A='one\ntwo'\nhunter2\nB=\"three\nfour\"\nhunter2 x\n": {".env line 3", ".env line 6"},
	} {
		_, err := Environ(withFile(t, content))

		require.Equal(t, lines, names(t, err), content)
		require.ErrorContains(t, err, "is neither NAME=value nor a comment, or does not close its quote")
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestEnviron_NamesADollarThatWouldDisappear(t *testing.T) {
	t.Setenv("APP_ENV", "")

	_, err := Environ(withFile(t, "A=1\nDATABASE_URL=postgres://app:hunter$2@db/app\nB=\"x${LATER}\"\nLATER=1\n"))

	require.Equal(t, []string{".env line 2", ".env line 3"}, names(t, err))
	require.ErrorContains(t, err, "has a $ that refers to no variable above it; write the value between single quotes")
	require.NotContains(t, err.Error(), "hunter")
	variables, err := Environ(withFile(t, "ONE=1\nA=x${ONE}\nB='$2'\nC=\\$2\n# $2\nD=x # $2\nE=$lower\n"))
	require.NoError(t, err)
	for name, value := range map[string]string{"A": "x1", "B": "$2", "C": "$2", "D": "x", "E": "$lower"} {
		require.Equal(t, value, variables[name])
	}
}

func TestEnviron_ReadsFilesOfOtherEditors(t *testing.T) {
	t.Setenv("APP_ENV", "")
	for _, content := range []string{"\ufeffSLIPWAY_ONE=one\nB=2", "\ufeffSLIPWAY_ONE=one\r\nB=2\r\n", "export SLIPWAY_ONE = one \n"} {
		variables, err := Environ(withFile(t, content))

		require.NoError(t, err)
		require.Equal(t, "one", variables["SLIPWAY_ONE"])
	}

	for _, content := range []string{"\xff\xfeA\x00=\x001\x00", "\xfe\xff\x00A\x00=\x001", "A\x00=\x001\x00", "A=caf\xe9"} {
		_, err := Environ(withFile(t, content))
		require.ErrorContains(t, err, ".env is not UTF-8, perhaps UTF-16; save it as UTF-8")
	}
}

func TestEnviron_TrimsTheEndsOfValues(t *testing.T) {
	t.Setenv("APP_ENV", " production\r\n")
	t.Setenv("SLIPWAY_ONE", "\u00a0one two \n")

	variables, err := Environ(withFile(t, "SLIPWAY_TWO=file\n"))

	require.NoError(t, err)
	require.Equal(t, "production", variables["APP_ENV"])
	require.Equal(t, "one two", variables["SLIPWAY_ONE"])
	require.Empty(t, variables["SLIPWAY_TWO"])
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
