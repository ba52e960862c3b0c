package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestGrafana_DashboardsAreProvisioned(t *testing.T) {
	t.Parallel()
	var sources struct {
		Datasources []struct{ UID, Type string }
	}
	require.NoError(t, yaml.Unmarshal([]byte(repositoryFile(t, "ops/grafana/provisioning/datasources/prometheus.yml")), &sources))
	var uids []string

	for _, name := range dashboardFiles(t) {
		one := readDashboard(t, name)
		uids = append(uids, one.UID)
		var ids []int
		for _, panel := range one.Panels {
			ids = append(ids, panel.ID)
			require.NotEmpty(t, panel.Title, name)
			require.NotEmpty(t, panel.Targets, "%s: %s", name, panel.Title)
			require.Equal(t, sources.Datasources[0].UID, panel.Datasource.UID, "%s: %s", name, panel.Title)
			require.LessOrEqual(t, panel.GridPos.X+panel.GridPos.W, 24, "%s: %s", name, panel.Title)
		}
		require.Len(t, slices.Compact(slices.Sorted(slices.Values(ids))), len(ids), name)
	}

	require.Len(t, slices.Compact(slices.Sorted(slices.Values(uids))), len(uids))
	require.NotContains(t, uids, "")
}

func TestCompose_TheProfileObservabilityBringsPrometheusAndGrafanaUp(t *testing.T) {
	t.Parallel()
	var file struct{ Services map[string]composeService }
	require.NoError(t, yaml.Unmarshal([]byte(repositoryFile(t, "docker-compose.yml")), &file))
	for name, service := range file.Services {
		for _, port := range service.Ports {
			require.True(t, strings.HasPrefix(port, "127.0.0.1:"), "%s publishes %s", name, port)
		}
	}
	guide := repositoryFile(t, "docs/operate.md")

	for _, name := range []string{"prometheus", "grafana"} {
		service := file.Services[name]
		require.Equal(t, []string{"observability"}, service.Profiles, name)
		require.Regexp(t, `:v?\d+\.\d+\.\d+$`, service.Image, "the image of %s is pinned", name)
		require.Contains(t, guide, "image: "+service.Image, "the accessory of Kamal is the same")
		for _, volume := range service.Volumes {
			if path, _, _ := strings.Cut(volume, ":"); strings.HasPrefix(path, "./") {
				_, err := os.Stat(inRepository(path))
				require.NoError(t, err, "%s mounts %s", name, path)
			}
		}
	}
	require.Contains(t, file.Services["grafana"].Volumes, "./ops/grafana/dashboards:"+provisionedPath(t)+":ro")
	require.Equal(t, "http://prometheus:9090", file.Services["grafana"].Environment["PROMETHEUS_URL"])
	for _, name := range dashboardFiles(t) {
		require.Contains(t, guide, "ops/grafana/dashboards/"+name+":"+provisionedPath(t)+"/"+name+":ro", "the accessory of Kamal")
	}
}

func TestCompose_AcceptsTheProfileObservability(t *testing.T) {
	t.Parallel()
	if _, err := dockerTry("compose", "version"); err != nil {
		needProgram(t, "docker-compose")
	}
	compose := composeCommand(t)
	command := exec.Command(compose[0], slices.Concat(compose[1:], []string{"--profile", "observability", "config", "--services"})...)
	command.Dir = inRepository(".")

	output, err := command.CombinedOutput()

	require.NoError(t, err, string(output))
	require.Subset(t, strings.Fields(string(output)), []string{"web", "prometheus", "grafana"})
}

// Private

// provisionedPath is where Grafana looks for dashboards.
func provisionedPath(t *testing.T) string {
	t.Helper()
	var providers struct {
		Providers []struct{ Options struct{ Path string } }
	}
	require.NoError(t, yaml.Unmarshal([]byte(repositoryFile(t, "ops/grafana/provisioning/dashboards/slipway.yml")), &providers))
	require.Len(t, providers.Providers, 1)
	return providers.Providers[0].Options.Path
}

// query is a query of a dashboard or an alert.
type query struct {
	origin             string
	Expr, LegendFormat string
}

type grafanaDashboard struct {
	UID    string
	Panels []struct {
		ID         int
		Title      string
		Datasource struct{ UID string }
		GridPos    struct{ X, W int }
		Targets    []query
	}
}

func readDashboard(t *testing.T, name string) (read grafanaDashboard) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(repositoryFile(t, "ops/grafana/dashboards/"+name)), &read))
	return read
}

func dashboardFiles(t *testing.T) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(inRepository("ops/grafana/dashboards/*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		names = append(names, filepath.Base(path))
	}
	return names
}

// dashboardQueries are the queries of all panels of a dashboard.
func dashboardQueries(t *testing.T, name string) (queries []query) {
	t.Helper()
	for _, panel := range readDashboard(t, name).Panels {
		for _, target := range panel.Targets {
			target.origin = name + ": " + panel.Title
			queries = append(queries, target)
		}
	}
	return queries
}
