package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"slipway/internal/config"
)

func TestDocs_NameOnlyCommandsOfTheProgram(t *testing.T) {
	t.Parallel()
	// In code, "app" begins a command line after a quote, a space of a block, or a prompt such as "sudo -u".
	lines := regexp.MustCompile("(?m)(?:`|^    (?:[A-Z_]+=\\S+ )*|\"|current/)app ([a-z][a-z-]*(?: [a-z][a-z-]*)*)")
	for _, page := range documents(t) {
		for _, found := range lines.FindAllStringSubmatch(repositoryFile(t, page), -1) {
			words := strings.Fields(found[1])
			command, _, err := newRootCommand(newApplication()).Find(words)
			require.NoError(t, err, "%s: app %s", page, found[1])
			require.True(t, command.HasParent(), "%s: there is no app %s", page, found[1])
		}
	}
}

func TestDocs_NameOnlyFilesThatExist(t *testing.T) {
	t.Parallel()
	paths := regexp.MustCompile("`((?:bin|build|cmd|config|docs|internal|ops|\\.kamal|\\.ci)/[\\w./-]+)`")
	copied := []string{"config/deploy.staging.yml", ".kamal/secrets.staging", ".kamal/secrets-common"} // an operator makes them
	for _, page := range documents(t) {
		for _, found := range paths.FindAllStringSubmatch(repositoryFile(t, page), -1) {
			if slices.Contains(copied, found[1]) {
				continue
			}
			_, err := os.Stat(inRepository(found[1]))
			require.NoError(t, err, "%s names %s", page, found[1])
		}
	}
}

// A row that follows a paragraph is shown as text, with its bars.
func TestDocs_EveryRowBelongsToATable(t *testing.T) {
	t.Parallel()
	rule := regexp.MustCompile(`^\|[-|: ]+\|$`)
	for _, page := range documents(t) {
		lines := linesOf(repositoryFile(t, page))
		for i, line := range lines {
			if strings.HasPrefix(line, "|") && !strings.HasPrefix(lines[i-1], "|") {
				require.Regexp(t, rule, lines[i+1], "%s:%d", page, i+1)
				require.Empty(t, lines[i-1], "%s:%d", page, i+1)
			}
		}
	}
}

func TestDocs_TheTableOfProcessesIsTrue(t *testing.T) {
	t.Parallel()
	row := regexp.MustCompile("(?m)^\\| `app ([a-z-]+)` \\| ([^|]*) \\| [^|]* \\| SIGTERM, then (\\d+) s \\|.*\\| ([^|]*) \\|$")
	found := map[config.Role]bool{}

	for _, cells := range row.FindAllStringSubmatch(repositoryFile(t, "docs/without-kamal.md"), -1) {
		role := config.Role(cells[1])
		found[role] = true
		seconds, err := strconv.Atoi(cells[3])
		require.NoError(t, err)
		require.Greater(t, inSeconds(seconds), longestStop(t, role, productionSettings(t, nil)), role)
		for _, name := range regexp.MustCompile("`([A-Z_]+)`").FindAllStringSubmatch(cells[2]+cells[4], -1) {
			require.True(t, variableNamed(t, name[1]).ReadBy(role), "%s does not read %s", role, name[1])
		}
	}

	require.ElementsMatch(t, config.Roles, slices.Collect(maps.Keys(found)))
}

func TestExamples_TheStagingOfKamalChangesEveryPlaceThatNamesTheServer(t *testing.T) {
	t.Parallel()
	production := readKamal(t)
	staging := parseKamal(t, repositoryFile(t, "docs/examples/deploy.staging.yml"))

	for name, server := range production.Servers {
		require.NotEqual(t, server.Hosts, staging.Servers[name].Hosts, name)
		require.Len(t, staging.Servers[name].Hosts, 1)
		if server.Env.Clear["BASE_URL"] != "" {
			require.Equal(t, "https://"+staging.Proxy.Host, staging.Servers[name].Env.Clear["BASE_URL"])
		}
	}
	for name, accessory := range production.Accessories {
		require.NotEqual(t, accessory.Host, staging.Accessories[name].Host, name)
	}
}

func TestExamples_TheWorkflowDeploysWithTheSecretsAndTheKamalOfTheRepository(t *testing.T) {
	t.Parallel()
	content := repositoryFile(t, "docs/examples/github-deploy.yml")
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct {
				Run string
				Env map[string]string
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(content), &workflow))
	steps := workflow.Jobs["deploy"].Steps
	deploy := steps[len(steps)-1]

	var secrets []string
	for _, found := range regexp.MustCompile(`(?m)^([A-Z_]+)=`).FindAllStringSubmatch(repositoryFile(t, ".kamal/secrets"), -1) {
		secrets = append(secrets, found[1])
		require.Equal(t, "${{ secrets."+found[1]+" }}", deploy.Env[found[1]])
	}

	require.ElementsMatch(t, secrets, slices.Collect(maps.Keys(deploy.Env)))
	require.Equal(t, "bin/kamal deploy --lock-wait", deploy.Run)
	require.Contains(t, content, "gem install kamal --version "+readKamal(t).MinimumVersion+"\n")
}

// Private

// documents are the documents of the repository for people.
func documents(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(inRepository("docs/*.md"))
	require.NoError(t, err)
	names := []string{"README.md", "CONTRIBUTING.md"}
	for _, path := range found {
		names = append(names, "docs/"+filepath.Base(path))
	}
	return names
}
