package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"slipway/internal/config"
)

const composeFile = "ops/compose/docker-compose.production.yml"

// composeVariables is what the file's .env holds.
var composeVariables = map[string]string{
	"IMAGE": "registry.example.com/app:1", "DOMAIN": "shop.example.com", "POSTGRES_PASSWORD": "pass-of-a-test",
}

func TestComposeProduction_RunsTheRolesAndWaitsUntilTheyStop(t *testing.T) {
	t.Parallel()
	services := readCompose(t)

	for _, role := range config.Roles {
		service := services[string(role)]
		variables := productionSettings(t, service.Environment)
		for name := range service.Environment {
			require.True(t, isVariable(name), "nothing reads %s", name)
		}

		require.Equal(t, []string{"app", string(role)}, service.Command)
		stop, err := time.ParseDuration(service.StopGracePeriod)
		require.NoError(t, err)
		require.Greater(t, stop, longestStop(t, role, variables), role)
		require.Equal(t, []string{"CMD", "app", "health"}, service.Healthcheck.Test)
		require.Equal(t, "unless-stopped", service.Restart)
		require.Equal(t, "service_completed_successfully", service.DependsOn["migrate"].Condition)
		require.True(t, service.ReadOnly)
	}
	require.Equal(t, []string{"app", "migrate"}, services["migrate"].Command)
	require.Equal(t, "no", services["migrate"].Restart)
	for name, service := range services {
		require.Equal(t, name == "proxy", len(service.Ports) > 0, "only the proxy is reachable from outside")
		require.Equal(t, "5", service.Logging.Options["max-file"], "the log of %s has a limit", name)
	}
}

func TestComposeProduction_TheProxyWaitsWhileWebRestarts(t *testing.T) {
	t.Parallel()
	services := readCompose(t)
	caddy := repositoryFile(t, "ops/caddy/Caddyfile")
	stop, err := time.ParseDuration(services["web"].StopGracePeriod)
	require.NoError(t, err)

	held, err := time.ParseDuration(regexp.MustCompile(`lb_try_duration (\S+)`).FindStringSubmatch(caddy)[1])

	require.NoError(t, err)
	require.Greater(t, held, stop)
	require.Equal(t, "web:3000", services["proxy"].Environment["UPSTREAM"])
	for _, name := range regexp.MustCompile(`\{\$(\w+)`).FindAllStringSubmatch(caddy, -1) {
		require.Contains(t, services["proxy"].Environment, name[1])
	}
	require.Contains(t, services["proxy"].Volumes, "../caddy/Caddyfile:/etc/caddy/Caddyfile:ro")
}

func TestComposeProduction_ComposeAcceptsIt(t *testing.T) {
	t.Parallel()
	if _, err := dockerTry("compose", "version"); err != nil {
		needProgram(t, "docker-compose")
	}
	directory := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(directory, "app.env"), []byte("SMTP_URL=smtp://mail.example.com\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(directory, "compose.yml"), []byte(repositoryFile(t, composeFile)), 0o600))
	compose := composeCommand(t)
	command := exec.Command(compose[0], slices.Concat(compose[1:], []string{"-f", "compose.yml", "config", "--quiet"})...)
	command.Dir, command.Env = directory, os.Environ()
	for name, value := range composeVariables {
		command.Env = append(command.Env, name+"="+value)
	}

	output, err := command.CombinedOutput()

	require.NoError(t, err, string(output))
	require.NotContains(t, string(output), "variable is not set")
}

// Private

// composeService is what the tests look at in a service of a Compose file.
type composeService struct {
	Command         []string
	Environment     map[string]string
	Image           string
	Ports, Volumes  []string
	Profiles        []string
	Restart         string
	ReadOnly        bool   `yaml:"read_only"`
	StopGracePeriod string `yaml:"stop_grace_period"`
	Healthcheck     struct{ Test []string }
	DependsOn       map[string]struct{ Condition string } `yaml:"depends_on"`
	Logging         struct{ Options map[string]string }
}

func readCompose(t *testing.T) map[string]composeService {
	t.Helper()
	content := repositoryFile(t, composeFile)
	for name, value := range composeVariables {
		content = strings.ReplaceAll(content, "${"+name+"}", value)
	}
	var file struct{ Services map[string]composeService }
	require.NoError(t, yaml.Unmarshal([]byte(content), &file))
	require.Subset(t, slices.Collect(maps.Keys(file.Services)), roleNames())
	return file.Services
}
