package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/config"
)

// notOurs are the secrets that the program itself does not read: Kamal does,
// or the image of an accessory.
var notOurs = []string{"KAMAL_REGISTRY_PASSWORD", "POSTGRES_PASSWORD"}

// kamalBuiltIns are commands of Kamal 2.12; it refuses aliases of these names.
var kamalBuiltIns = []string{
	"accessory", "app", "audit", "build", "config", "deploy", "details", "docs", "help", "init", "lock", "proxy", "prune", "redeploy",
	"registry", "remove", "rollback", "secrets", "server", "setup", "tree", "upgrade", "version",
}

func TestKamal_HasTheRolesOfTheProgram(t *testing.T) {
	t.Parallel()
	deploy := readKamal(t)

	var roles []config.Role // each once: a role may be there under several names
	for _, server := range deploy.Servers {
		if !slices.Contains(roles, server.role()) {
			roles = append(roles, server.role())
		}
		require.Equal(t, map[string]any{
			"read-only": true, "cap-drop": "ALL", "security-opt": "no-new-privileges",
			"network-alias": deploy.Service + "-" + string(server.role()), // by which Prometheus finds the containers
		}, server.Options)
	}

	require.ElementsMatch(t, config.Roles, roles)
	require.Equal(t, "/assets", deploy.Servers["web"].AssetPath)
	require.Contains(t, repositoryFile(t, "Dockerfile"), "ASSETS_DIR="+deploy.Servers["web"].AssetPath+" ")
	require.Contains(t, repositoryFile(t, "Dockerfile"), `LABEL service="`+deploy.Service+`"`)
	require.Contains(t, repositoryFile(t, "Dockerfile"), `CMD ["app", "web"]`)
	require.Equal(t, 5*len(deploy.Servers), deploy.RetainContainers)
	require.Contains(t, deploy.Logging.Options, "max-size")
	require.Contains(t, deploy.Logging.Options, "max-file")
}

func TestKamal_MigratesTheDatabaseOfAFirstDeploy(t *testing.T) {
	t.Parallel()
	added := regexp.MustCompile(`^app web<%= '(.+)' if ARGV\.include\?\('setup'\) %>$`).FindStringSubmatch(readKamal(t).Servers["web"].Cmd)

	require.Len(t, added, 2)
	command, rest, err := newRootCommand(newApplication()).Find(strings.Fields("web" + added[1]))
	require.NoError(t, err)
	require.NoError(t, command.ParseFlags(rest))
	require.Equal(t, "true", command.Flag("migrate").Value.String())
}

func TestKamal_SendsRequestsWhereWebListens(t *testing.T) {
	t.Parallel()
	deploy := readKamal(t)
	web, _, err := newApplication().schema().Load(config.Web, deploy.given(t, "web"))
	require.NoError(t, err)

	require.Equal(t, web.Port, deploy.Proxy.AppPort)
	require.Equal(t, "https://"+deploy.Proxy.Host, web.BaseURL)
	require.True(t, deploy.Proxy.SSL)
	require.Equal(t, "/up", deploy.Proxy.Healthcheck.Path)
	require.False(t, *deploy.Proxy.ForwardHeaders)
	require.False(t, *deploy.Proxy.Buffering.Responses)
	require.Greater(t, deploy.Proxy.Buffering.MaxRequestBody, web.MaxRequestBody)
}

func TestKamal_WaitsLongerThanTheProgramTakes(t *testing.T) {
	t.Parallel()
	deploy := readKamal(t)

	for name, server := range deploy.Servers {
		settings, _, err := newApplication().schema().Load(server.role(), deploy.given(t, name))
		require.NoError(t, err)
		budget := stopBudget(server.role(), settings)

		require.Greater(t, inSeconds(server.StopTimeout), budget, name)
		require.Greater(t, inSeconds(deploy.DrainTimeout), settings.LiveStreamLifetime, name)
		require.Greater(t, inSeconds(deploy.Proxy.Timeout), settings.RequestTimeout, name)
	}
}

func TestKamal_GivesEachRoleWhatItReadsAndNeeds(t *testing.T) {
	t.Parallel()
	deploy := readKamal(t)

	for name, server := range deploy.Servers {
		given := deploy.given(t, name)

		settings, _, err := newApplication().schema().Load(server.role(), given)

		require.NoError(t, err, name)
		require.Equal(t, config.Production, settings.Environment)
		require.NotEmpty(t, settings.RedisURL)
		for _, variable := range newApplication().schema().Variables() {
			if _, ok := given[variable.Name]; ok {
				require.True(t, variable.ReadBy(server.role()), "%s does not read %s", name, variable.Name)
			}
			if !slices.Contains(slices.Concat(server.Env.Secret, deploy.Env.Secret), variable.Name) {
				continue
			}
			without := maps.Clone(given)
			delete(without, variable.Name)
			_, _, err := newApplication().schema().Load(server.role(), without)
			require.ErrorContains(t, err, variable.Name, "%s is given a secret that it could do without", name)
		}
	}
}

func TestKamal_TakesSecretsByReferenceOnly(t *testing.T) {
	t.Parallel()
	deploy := readKamal(t)
	used := slices.Concat(deploy.Registry.Password, deploy.Env.Secret)
	for _, server := range deploy.Servers {
		used = append(used, server.Env.Secret...)
	}
	for _, accessory := range deploy.Accessories {
		used = append(used, accessory.Env.Secret...)
	}

	var named []string
	for line := range strings.Lines(repositoryFile(t, ".kamal/secrets")) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		require.Equal(t, "$"+name, value)
		named = append(named, name)
	}

	require.ElementsMatch(t, used, named)
	for _, name := range named {
		require.True(t, slices.Contains(notOurs, name) || isVariable(name), "nothing reads %s", name)
	}
}

func TestKamal_KeepsRedisPrivateAndItsTasksSafe(t *testing.T) {
	t.Parallel()
	deploy := readKamal(t)
	redis := deploy.Accessories["redis"]

	require.Regexp(t, `^redis:\d+$`, redis.Image)
	require.Empty(t, redis.Port)
	require.Equal(t, []string{"ecommerce_app-redis:/data"}, redis.Volumes)
	for _, option := range []string{"--appendonly yes", "--maxmemory-policy noeviction", "--protected-mode no"} {
		require.Contains(t, redis.Cmd, option)
	}
	require.Equal(t, "redis://"+deploy.Service+"-redis:6379/0", deploy.Env.Clear["REDIS_URL"])
}

func TestKamal_PostgreSQLCanBeSwitchedOn(t *testing.T) {
	t.Parallel()
	before, after, found := strings.Cut(repositoryFile(t, "config/deploy.yml"), "  # postgres:\n")
	require.True(t, found)
	block, rest, _ := strings.Cut("  # postgres:\n"+after, "\n\n")
	deploy := parseKamal(t, before+regexp.MustCompile(`(?m)^  # `).ReplaceAllString(block, "  ")+"\n\n"+rest)
	postgres := deploy.Accessories["postgres"]

	require.Regexp(t, `^postgres:\d+$`, postgres.Image)
	require.Empty(t, postgres.Port)
	require.Equal(t, deploy.Accessories["redis"].Host, postgres.Host)
	require.Equal(t, []string{"POSTGRES_PASSWORD"}, postgres.Env.Secret)
	require.Len(t, postgres.Volumes, 1)
}

func TestKamal_BuildsWithArgumentsOfTheDockerfile(t *testing.T) {
	t.Parallel()
	deploy := readKamal(t)

	require.Contains(t, []string{"amd64", "arm64"}, deploy.Builder.Arch)
	require.ElementsMatch(t, []string{"VERSION", "REVISION"}, slices.Collect(maps.Keys(deploy.Builder.Args)))
	for name := range deploy.Builder.Args {
		require.Regexp(t, `(?m)^ARG .*\b`+name+`=`, repositoryFile(t, "Dockerfile"))
	}
}

func TestKamal_AliasesRunCommandsThatExist(t *testing.T) {
	t.Parallel()
	deploy := readKamal(t)

	for name, line := range deploy.Aliases {
		require.Regexp(t, `^[a-z0-9_-]+$`, name)
		require.NotContains(t, kamalBuiltIns, name)
		require.Contains(t, []string{"app", "accessory"}, strings.Fields(line)[0], name)
		if roles := regexp.MustCompile(`--roles (\S+)`).FindStringSubmatch(line); roles != nil {
			require.Contains(t, deploy.Servers, roles[1], name)
		}
		if line := regexp.MustCompile(`"app (.+)"$`).FindStringSubmatch(line); line != nil {
			command, rest, err := newRootCommand(newApplication()).Find(strings.Fields(line[1]))
			require.NoError(t, err, name)
			require.True(t, command.HasParent(), "%s: there is no app %s", name, line[1])
			require.NoError(t, command.ParseFlags(rest), name)
			require.NoError(t, command.ValidateArgs(command.Flags().Args()), name)
		}
	}
}

func TestKamal_DocsNameOnlyCommandsThatExist(t *testing.T) {
	t.Parallel()
	known := slices.Concat(kamalBuiltIns, slices.Collect(maps.Keys(readKamal(t).Aliases)))

	for _, page := range []string{"docs/deploy.md", "docs/operate.md"} {
		commands := regexp.MustCompile("(?:bin/kamal|`logs-)[ ]?([a-z][a-z0-9-]+)").FindAllStringSubmatch(repositoryFile(t, page), -1)
		require.NotEmpty(t, commands)
		for _, command := range commands {
			require.True(t, slices.Contains(known, command[1]) || slices.Contains(known, "logs-"+command[1]), "%s: %s", page, command[0])
		}
	}
}

// Private

func inSeconds(number int) time.Duration { return time.Duration(number) * time.Second }
