package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/joho/godotenv"
	"github.com/stretchr/testify/require"
)

func TestExamples_DocumentEveryVariableOnce(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"env.example", ".env.production.example"} {
		documented := map[string]int{}
		for _, entry := range readExample(t, file) {
			documented[entry.name]++
		}

		for _, variable := range Variables() {
			require.Equal(t, 1, documented[variable.Name], "%s in %s", variable.Name, file)
			delete(documented, variable.Name)
		}
		require.Empty(t, documented, "%s names what no Config field declares", file)
	}
}

func TestExamples_SayWhoReadsAVariableAndItsDefault(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"env.example", ".env.production.example"} {
		for _, entry := range readExample(t, file) {
			variable := variableNamed(entry.name)
			readers := strings.Join(variable.roles, ", ")
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

func TestExamples_DevelopmentWorksAsItIs(t *testing.T) {
	t.Parallel()

	variables, err := godotenv.Read("../../env.example")

	require.NoError(t, err)
	require.Empty(t, variables)
}

func TestExamples_EveryValueWorksOnceItsLineIsSwitchedOn(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"env.example", ".env.production.example"} {
		content, err := os.ReadFile(filepath.Join("../..", file))
		require.NoError(t, err)
		switchedOn := regexp.MustCompile(`(?m)^#([A-Z0-9_]+=)`).ReplaceAllString(fillIn(string(content)), "$1")
		variables, err := godotenv.Unmarshal(switchedOn)
		require.NoError(t, err)
		require.Len(t, variables, len(Variables()))

		for _, role := range append(Roles, Migrate, Seed, Health, Throttle, Jobs) {
			_, err := Load(role, variables)

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

	for _, role := range append(Roles, Migrate, Seed, Health, Throttle, Jobs) {
		config, err := Load(role, variables)

		require.NoError(t, err, role)
		require.Equal(t, Production, config.Environment)
	}
}

func TestExamples_ProductionIsRefusedUntilThePlaceholdersAreReplaced(t *testing.T) {
	t.Parallel()
	variables, err := godotenv.Read("../../.env.production.example")
	require.NoError(t, err)
	required := map[Role][]string{
		Web:         {"BASE_URL", "DATABASE_URL", "REDIS_URL", "SECRET_KEY_BASE"},
		WorkerPG:    {"BASE_URL", "DATABASE_URL", "MAIL_FROM", "REDIS_URL", "SMTP_URL"},
		WorkerRedis: {"DATABASE_URL", "REDIS_URL"},
	}

	for role, missing := range required {
		_, err := Load(role, variables)

		require.Equal(t, missing, names(t, err))
	}
}

func TestConfig_EveryFieldIsUsed(t *testing.T) {
	t.Parallel()
	var source strings.Builder
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

	for _, variable := range Variables() {
		// "app version" needs no settings and so asks for its one by name.
		used := regexp.MustCompile(`\b(config|settings)\.` + variable.Field + `\b|os\.Getenv\("` + variable.Name + `"\)`)
		require.Regexp(t, used, source.String(), "nothing reads Config.%s", variable.Field)
	}
}

// Private

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
	content = strings.ReplaceAll(content, "=<openssl rand -hex 64>", "="+strings.Repeat("0f", 64))
	return regexp.MustCompile(`(?m)=<(.+)>$`).ReplaceAllString(content, "=$1")
}
