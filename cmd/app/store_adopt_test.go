package main

import (
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/config"
	"slipway/internal/postgres/pgtest"
)

// TestAdopt_ReplacingTheStoreTakesFiveEdits replaces the store by another
// application in a copy of the checkout, as an adopter does. The runtime and all
// of its tests must not need the store.
func TestAdopt_ReplacingTheStoreTakesFiveEdits(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a copy of the program")
	}
	a := adoption{t: t, dir: copyCheckout(t)}

	a.delete("internal/shop", "internal/storefront", "cmd/app/store_*_test.go")
	a.edit("cmd/app/store.go", func(string) string { return repositoryFile(t, "cmd/app/testdata/adopt/store.go.txt") })
	a.edit("config/recurring.yml", func(string) string { return "" })
	a.edit("env.example", withoutVariables(ownVariables()))
	a.edit(".env.production.example", withoutVariables(ownVariables()))
	a.edit("config/deploy.yml", withoutSetting(ownVariables()))

	require.Len(t, a.edited, 5)
	require.Empty(t, strings.Join(a.traces(), "\n"))
	a.runGo("vet", "./...") // compiles all tests
	program := filepath.Join(t.TempDir(), "app")
	a.runGo("build", "-o", program, "./cmd/app")
	a.runGo("test", "-vet=off", "./cmd/app", "-run", "^("+strings.Join([]string{
		"TestLayers", "TestExamples", "TestSettings", "TestVariables", "TestCommands", "TestConfigCheck", "TestVersion", "TestSeed",
		"TestRoles_NameEveryMissing", "TestKamal_", "TestDocker", "TestDeployment", "TestRecurringWork", "TestJobsCheck", "TestKinds",
	}, "|")+")")
	a.runGo("test", "-vet=off", "./cmd/mutants", "-run", "TestReadMutants")

	d := deployOn(t, pgtest.Empty(t))
	d.program = program
	d.command("migrate")
	d.command("seed")
	web, _, _ := d.startAll()
	require.Equal(t, http.StatusOK, status(web.url))
}

// Private

// adoption is a copy of the checkout that becomes another application.
type adoption struct {
	t      *testing.T
	dir    string
	edited []string
}

func (a *adoption) delete(patterns ...string) {
	a.t.Helper()
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(a.dir, pattern))
		require.NoError(a.t, err)
		for _, path := range found {
			require.NoError(a.t, os.RemoveAll(path))
		}
	}
}

func (a *adoption) edit(file string, change func(before string) (after string)) {
	a.t.Helper()
	path := filepath.Join(a.dir, file)
	before, err := os.ReadFile(path)
	require.NoError(a.t, err)
	after := change(string(before))
	require.NotEqual(a.t, string(before), after, file)
	require.NoError(a.t, os.WriteFile(path, []byte(after), 0o644))
	a.edited = append(a.edited, file)
}

func (a *adoption) runGo(args ...string) {
	a.t.Helper()
	command := exec.CommandContext(a.t.Context(), "go", args...)
	command.Dir = a.dir
	output, err := command.CombinedOutput()
	require.NoError(a.t, err, "go %v:\n%s", args, output)
}

// traces are the lines of Go code that name the store.
func (a *adoption) traces() (lines []string) {
	a.t.Helper()
	require.NoError(a.t, filepath.WalkDir(a.dir, func(path string, _ fs.DirEntry, err error) error {
		name := relative(a.t, a.dir, path)
		if err != nil || filepath.Ext(path) != ".go" || slices.Contains(mayNameTheStore, name) {
			return err
		}
		content, err := os.ReadFile(path)
		for line := range strings.Lines(string(content)) {
			if storeNames.MatchString(exampleAddresses.ReplaceAllString(line, "")) {
				lines = append(lines, name+": "+strings.TrimSpace(line))
			}
		}
		return err
	}))
	return lines
}

var storeNames = regexp.MustCompile(`(?i)leeward|storefront|shop`)

// exampleAddresses match words that a line may contain although they look like the
// store's names: addresses in examples and tests, and a library of Shopify.
var exampleAddresses = regexp.MustCompile(
	`\b(shop\.example\.com|(postgres(ql)?|redis)://\S*|(user|dbname|database)=shop\b|github\.com/Shopify/)`)

// mayNameTheStore are files that name the store and need no edit.
var mayNameTheStore = []string{
	"cmd/app/layers_test.go", // keeps it out of the runtime; without the store its rules forbid nothing
}

// ownVariables are the names of the application's variables.
func ownVariables() (names []string) {
	runtime := config.NewSchema(nil).Variables()
	for _, variable := range newApplication().schema().Variables() {
		if !slices.ContainsFunc(runtime, func(one config.Variable) bool { return one.Name == variable.Name }) {
			names = append(names, variable.Name)
		}
	}
	return names
}

// withoutVariables removes variables and their comments from an example file.
func withoutVariables(names []string) func(before string) (after string) {
	declares := regexp.MustCompile(`(?m)^#?(` + strings.Join(names, "|") + `)=`)
	return func(before string) (after string) {
		blocks := strings.Split(strings.TrimSpace(before), "\n\n")
		blocks = slices.DeleteFunc(blocks, declares.MatchString)
		return strings.Join(blocks, "\n\n") + "\n"
	}
}

// withoutSetting removes variables from the lists of config/deploy.yml. The empty
// list that remains of a role is valid.
func withoutSetting(names []string) func(before string) (after string) {
	setting := regexp.MustCompile(`,? *\b(` + strings.Join(names, "|") + `): [^,}\n]*`)
	return func(before string) (after string) { return setting.ReplaceAllString(before, "") }
}

// copyCheckout copies the repository without what git ignores.
func copyCheckout(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	root := inRepository("")
	ignored := []string{".git", "tmp", "app", ".env", ".env.production"}
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name := relative(t, root, path)
		switch {
		case err != nil:
			return err
		case slices.Contains(ignored, name) && entry.IsDir():
			return fs.SkipDir
		case slices.Contains(ignored, name):
			return nil
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(dir, name), 0o755)
		}
		information, err := entry.Info()
		if err != nil || !information.Mode().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), content, information.Mode().Perm())
	}))
	return dir
}

func relative(t *testing.T, root, path string) string {
	t.Helper()
	name, err := filepath.Rel(root, path)
	require.NoError(t, err)
	return name
}
