package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"slipway/internal/config"
)

// TestStops_EveryNumberFollowsFromTheProgram compares each place that names the
// time of a stop with the constants of the program.
func TestStops_EveryNumberFollowsFromTheProgram(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"env.example", ".env.production.example"} {
		for _, entry := range readExample(t, file) {
			switch entry.name {
			case "SHUTDOWN_TIMEOUT":
				require.Contains(t, entry.comment, fmt.Sprintf("SIGKILL must come at least %d seconds later.", seconds(webStopMargin)), file)
			case "JOBS_SHUTDOWN_TIMEOUT":
				require.Contains(t, entry.comment, fmt.Sprintf("SIGKILL must come at least %d seconds later.", seconds(workerStopMargin)), file)
			}
		}
	}

	table := repositoryFile(t, "docs/operate.md")
	web, worker := defaultSettings(t, config.Web), defaultSettings(t, config.WorkerPG)
	require.Contains(t, table, fmt.Sprintf(": %d | `stop_timeout` ", seconds(stopBudget(config.Web, web))))
	require.Contains(t, table, fmt.Sprintf(": %d | `stop_timeout` ", seconds(stopBudget(config.WorkerPG, worker))))
	for name, server := range readKamal(t).Servers {
		require.Contains(t, table, fmt.Sprintf("`stop_timeout` %d |", server.StopTimeout), name)
	}
}

func TestStops_ComposeWaitsLongerThanTheProgramTakes(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"docker-compose.yml", "docker-compose.production.yml"} {
		var compose struct {
			Services map[string]struct {
				Grace time.Duration `yaml:"stop_grace_period"`
			}
		}
		require.NoError(t, yaml.Unmarshal([]byte(repositoryFile(t, file)), &compose))
		for _, role := range config.Roles {
			require.Greater(t, compose.Services[string(role)].Grace, stopBudget(role, defaultSettings(t, role)), "%s of %s", role, file)
		}
	}
}

// Private

// stopBudget is the longest time that a role takes after SIGTERM.
func stopBudget(role config.Role, settings config.Config) time.Duration {
	if role == config.Web {
		return settings.ShutdownTimeout + webStopMargin
	}
	return settings.JobsShutdownTimeout + workerStopMargin
}

func defaultSettings(t *testing.T, role config.Role) config.Config {
	t.Helper()
	settings, _, err := newApplication().schema().Load(role, map[string]string{
		"APP_ENV": "test", "DATABASE_URL": "postgres://localhost/app", "REDIS_URL": "redis://localhost",
	})
	require.NoError(t, err)
	return settings
}

func seconds(d time.Duration) int { return int(d.Seconds()) }
