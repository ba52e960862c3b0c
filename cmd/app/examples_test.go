package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/joho/godotenv"
	"github.com/stretchr/testify/require"

	"slipway/internal/config"
)

func TestExamples_DocumentEveryVariableOnce(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"env.example", ".env.production.example"} {
		documented := map[string]int{}
		for _, entry := range readExample(t, file) {
			documented[entry.name]++
		}

		for _, variable := range newApplication().schema().Variables() {
			require.Equal(t, 1, documented[variable.Name], "%s in %s", variable.Name, file)
			delete(documented, variable.Name)
		}
		require.Empty(t, documented, "%s names what no Config field declares", file)
	}
}

func TestExamples_NameTheReadersAndTheDefaultOfAVariable(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"env.example", ".env.production.example"} {
		for _, entry := range readExample(t, file) {
			variable := variableNamed(t, entry.name)
			readers := strings.Join(variable.Roles, ", ")
			if readers == "all" {
				readers = "every command"
			}

			require.Contains(t, entry.comment, "Read by: "+readers+".", "%s in %s", entry.name, file)
			if variable.Default == "" {
				require.Regexp(t, `(Default: |No default\.|Empty: |Required)`, entry.comment, "%s in %s", entry.name, file)
				continue
			}
			require.Contains(t, entry.comment, "Default: "+variable.Default+".", "%s in %s", entry.name, file)
			if entry.off {
				require.Equal(t, variable.Default, entry.value, "%s in %s", entry.name, file)
			}
		}
	}
}

func TestExamples_CountTheConnectionsOfTheProgram(t *testing.T) {
	t.Parallel()
	outside := fmt.Sprintf("Outside the pool, web has %d more, worker-redis %d, worker-pg %d.",
		outsidePool[config.Web], outsidePool[config.WorkerRedis], outsidePool[config.WorkerPG])
	pools := fmt.Sprintf("(%d and %d)",
		defaultSettings(t, config.WorkerPG).DatabasePoolSize, defaultSettings(t, config.WorkerRedis).DatabasePoolSize)
	for _, file := range []string{"env.example", ".env.production.example"} {
		for _, entry := range readExample(t, file) {
			if entry.name == "DATABASE_POOL_SIZE" {
				require.Contains(t, entry.comment, outside, file)
				require.Contains(t, entry.comment, pools, file)
			}
		}
	}
}

func TestExamples_DevelopmentWorksAsItIs(t *testing.T) {
	t.Parallel()

	variables, err := godotenv.Read("../../env.example")

	require.NoError(t, err)
	require.Empty(t, variables)
}

func TestExamples_EveryValueWorksOnceItsLineIsUncommented(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"env.example", ".env.production.example"} {
		content, err := os.ReadFile(filepath.Join("../..", file))
		require.NoError(t, err)
		switchedOn := regexp.MustCompile(`(?m)^#([A-Z0-9_]+=)`).ReplaceAllString(fillIn(string(content)), "$1")
		variables, err := godotenv.Unmarshal(switchedOn)
		require.NoError(t, err)
		require.Len(t, variables, len(newApplication().schema().Variables()))

		for _, role := range append(config.Roles, config.Migrate, config.Seed, config.Health, config.Throttle, config.Jobs) {
			_, _, err := newApplication().schema().Load(role, variables)

			require.NoError(t, err, "%s of %s", role, file)
		}
	}
}

func TestExamples_ProductionLoadsOnceThePlaceholdersAreReplaced(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../.env.production.example")
	require.NoError(t, err)
	variables, err := godotenv.Unmarshal(fillIn(string(content)))
	require.NoError(t, err)

	for _, role := range append(config.Roles, config.Migrate, config.Seed, config.Health, config.Throttle, config.Jobs) {
		settings, _, err := newApplication().schema().Load(role, variables)

		require.NoError(t, err, role)
		require.Equal(t, config.Production, settings.Environment)
	}
}

func TestExamples_ProductionIsRefusedUntilThePlaceholdersAreReplaced(t *testing.T) {
	t.Parallel()
	requirePlaceholders(t, config.NewSchema(nil), map[config.Role][]string{
		config.Web:         {"BASE_URL", "DATABASE_URL", "REDIS_URL", "SECRET_KEY_BASE", "SMTP_URL"},
		config.WorkerPG:    {"BASE_URL", "DATABASE_URL", "REDIS_URL", "SMTP_URL"},
		config.WorkerRedis: {"DATABASE_URL", "REDIS_URL"},
	})
}

func TestSettings_EveryFieldIsUsed(t *testing.T) {
	t.Parallel()
	var source strings.Builder
	// The runtime offers some settings to applications. Its test application reads
	// all of those, so they need not be used by the application of this repository.
	for _, file := range []string{"testapp_test.go", "testapp_pages_test.go"} {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		source.Write(content)
	}
	for _, directory := range []string{"../../cmd", "../../internal"} {
		require.NoError(t, filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() && entry.Name() == "config" {
				return fs.SkipDir
			}
			if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			content, err := os.ReadFile(path)
			source.Write(content)
			return err
		}))
	}

	// Some settings are read through methods of Config.
	for _, file := range []string{"pool.go", "connections.go", "otlp.go"} {
		source.WriteString(strings.ReplaceAll(repositoryFile(t, "internal/config/"+file), "c.", "config."))
	}

	for _, variable := range newApplication().schema().Variables() {
		used := regexp.MustCompile(`\b(config|settings)\.` + variable.Field + `\b`)
		require.True(t, used.MatchString(source.String()), "no code reads the field %s of %s", variable.Field, variable.Name)
	}
}

func TestVariables_AreDeclaredInFull(t *testing.T) {
	t.Parallel()
	known := []string{"all", "web", "worker-pg", "worker-redis", "migrate", "seed", "health", "throttle", "jobs", "cache"}

	for _, variable := range newApplication().schema().Variables() {
		require.Regexp(t, `^[A-Z][A-Z0-9_]+$`, variable.Name, variable.Field)
		require.NotEmpty(t, variable.Example, variable.Name)
		require.NotEmpty(t, variable.Help, variable.Name)
		require.Contains(t, []string{"", "true", "url"}, variable.Secret, variable.Name)
		for _, role := range variable.Roles {
			require.Contains(t, known, role, "%s is read by the unknown role %q", variable.Name, role)
		}
	}
}

// Private

func variableNamed(t *testing.T, name string) config.Variable {
	t.Helper()
	for _, variable := range newApplication().schema().Variables() {
		if variable.Name == name {
			return variable
		}
	}
	require.Fail(t, "there is no variable "+name)
	return config.Variable{}
}

// requirePlaceholders checks which variables of each role the production example
// leaves to the operator.
func requirePlaceholders(t *testing.T, schema *config.Schema, required map[config.Role][]string) {
	t.Helper()
	variables, err := godotenv.Read("../../.env.production.example")
	require.NoError(t, err)
	for role, missing := range required {
		_, _, err := schema.Load(role, variables)

		require.Equal(t, missing, problemNames(t, err))
	}
}

func problemNames(t *testing.T, err error) []string {
	t.Helper()
	var problems config.Problems
	require.ErrorAs(t, err, &problems)
	var names []string
	for _, problem := range problems {
		names = append(names, problem.Name)
	}
	return names
}

// exampleLine is one variable of an example file.
type exampleLine struct {
	name, value string
	off         bool   // commented out
	comment     string // the lines above it, joined by spaces
}

func readExample(t *testing.T, file string) []exampleLine {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("../..", file))
	require.NoError(t, err)
	var lines []exampleLine
	for block := range strings.SplitSeq(strings.TrimSpace(string(content)), "\n\n") {
		var comment []string
		for line := range strings.SplitSeq(block, "\n") {
			if text, isComment := strings.CutPrefix(line, "# "); isComment || line == "#" {
				comment = append(comment, text)
				continue
			}
			name, value, found := strings.Cut(strings.TrimPrefix(line, "#"), "=")
			require.True(t, found, "%s: %s", file, line)
			lines = append(lines, exampleLine{name: name, value: value, off: strings.HasPrefix(line, "#"), comment: strings.Join(comment, " ")})
		}
	}
	return lines
}

// fillIn does what the production example asks people to do.
func fillIn(content string) string {
	content = strings.ReplaceAll(content, "=<openssl rand -hex 64>", "="+testSecret)
	return regexp.MustCompile(`(?m)=<(.+)>$`).ReplaceAllString(content, "=$1")
}
