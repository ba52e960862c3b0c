package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadMutants_EveryMutantChangesOnePlaceOfTheSource(t *testing.T) {
	t.Parallel()

	mutants, err := readMutants("../..")

	require.NoError(t, err)
	require.NotEmpty(t, mutants)
}

func TestReadMutants_NamesEachMutantThatDoesNotApply(t *testing.T) {
	t.Parallel()
	root := sample(t)
	list := filepath.Join(root, "internal", "math", "mutants.yml")
	require.NoError(t, os.MkdirAll(filepath.Dir(list), 0o700))
	require.NoError(t, os.WriteFile(list, []byte(`
- {promise: gone, file: double.go, before: 'absent text', after: 'x', test: .}
- {promise: twice, file: double.go, before: 'n', after: 'm', test: .}
- {promise: same, file: double.go, before: 'n * 2', after: 'n * 2', test: .}
- {promise: untested, file: double.go, before: 'n * 2', after: 'n * 3'}
- {promise: renamed, file: double.go, before: 'n * 2', after: 'n * 3', test: '. -run TestTriple|TestHalf/case'}
`), 0o600))

	_, err := readMutants(root)

	require.ErrorContains(t, err, "mutant 1 of "+list+" (gone): its text before occurs 0 times in double.go")
	require.ErrorContains(t, err, "mutant 2 of "+list+" (twice): its text before occurs")
	require.ErrorContains(t, err, "mutant 3 of "+list+" (same): before and after are the same")
	require.ErrorContains(t, err, "mutant 5 of "+list+" (renamed): no test in . matches TestTriple|TestHalf")
	require.ErrorContains(t, err, "mutant 4 of "+list+" (untested): it needs promise, file, before, after and test")
}

func TestTry_TellsCaughtFromSurvivedFromBroken(t *testing.T) {
	t.Parallel()
	root := sample(t)
	original, err := os.ReadFile(filepath.Join(root, "double.go"))
	require.NoError(t, err)
	var out strings.Builder

	counted, err := try(t.Context(), root, &out, []mutant{
		{Promise: "doubles", File: "double.go", Before: "n * 2", After: "n * 3", Test: ". -run TestDouble"},
		{Promise: "tests its input", File: "double.go", Before: "n < 0", After: "n < -9", Test: ". -run TestDouble"},
		{Promise: "builds", File: "double.go", Before: "n * 2", After: "m * 2", Test: ". -run TestDouble"},
	})

	require.NoError(t, err)
	require.Equal(t, report{caught: 1, survived: 1, broken: 1}, counted)
	require.Regexp(t, `caught +[0-9.]+s  doubles\n +double.go  TestDouble\n`, out.String())
	require.Regexp(t, `SURVIVED +[0-9.]+s  tests its input\n`, out.String())
	require.Regexp(t, `DOES NOT BUILD +[0-9.]+s  builds\n`, out.String())
	after, err := os.ReadFile(filepath.Join(root, "double.go"))
	require.NoError(t, err)
	require.Equal(t, original, after)
}

func TestTry_TriesNoMutantWhoseTestsProveNothing(t *testing.T) {
	t.Parallel()
	root := sample(t)
	var out strings.Builder

	counted, err := try(t.Context(), root, &out, []mutant{
		{Promise: "fails anyway", File: "double.go", Before: "n * 2", After: "n * 3", Test: ". -run TestBroken"},
		{Promise: "runs nothing", File: "double.go", Before: "n * 2", After: "n * 3", Test: ". -run TestAbsent"},
		{Promise: "doubles", File: "double.go", Before: "n * 2", After: "n * 3", Test: ". -run TestDouble"},
	})

	require.NoError(t, err)
	require.Equal(t, report{caught: 1, untried: 2}, counted)
	require.Contains(t, out.String(), "go test . -run TestBroken fails on the unchanged source")
	require.Contains(t, out.String(), "go test . -run TestAbsent runs no test")
}

// Private

// sample writes a small module and returns its directory.
func sample(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":    "module sample\n\ngo 1.26.0\n",
		"double.go": "package sample\n\nfunc Double(n int) int {\n\tif n < 0 {\n\t\treturn 0\n\t}\n\treturn n * 2\n}\n",
		"double_test.go": `package sample

import "testing"

func TestDouble(t *testing.T) {
	if Double(2) != 4 {
		t.Fatal("2 was not doubled")
	}
}

func TestBroken(t *testing.T) { t.Fatal("it always fails") }
`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(content), 0o600))
	}
	return root
}
