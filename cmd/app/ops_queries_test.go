package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

// Private

// prometheusServer is a Prometheus that scrapes the roles of an application every second, with
// the rules of the repository.
type prometheusServer struct{ url string }

func (m *monitored) startPrometheus(t *testing.T) prometheusServer {
	t.Helper()
	needProgram(t, "prometheus")
	rules, err := filepath.Abs(inRepository(alertsFile))
	require.NoError(t, err)
	config := "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [" + rules + "]\n" +
		"scrape_configs:\n- job_name: slipway\n  static_configs:\n"
	for role, p := range m.roles() {
		config += fmt.Sprintf("  - {targets: [%q], labels: {role: %s}}\n", strings.TrimPrefix(p.ops, "http://"), role)
	}
	directory := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(directory, "prometheus.yml"), []byte(config), 0o600))
	address := fmt.Sprintf("127.0.0.1:%d", stacktest.Port(t))
	output := &stacktest.Journal{}
	command := exec.Command("prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+address)
	command.Dir, command.Stdout, command.Stderr = directory, output, output
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait() // it was killed
	})
	server := prometheusServer{"http://" + address}
	ready := func() bool { return status(server.url+"/-/ready") == http.StatusOK }
	stacktest.Eventually(t, ready, "Prometheus never became ready:\n%s", output)
	return server
}

// query returns the labels of each series of an instant query, which must parse.
func (p prometheusServer) query(t *testing.T, expression string) (series []map[string]string) {
	t.Helper()
	response, err := http.Get(p.url + "/api/v1/query?query=" + url.QueryEscape(expression))
	require.NoError(t, err)
	defer response.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct{ Metric map[string]string }
		}
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	require.Equal(t, "success", answer.Status, "%s: %s", expression, answer.Error)
	for _, result := range answer.Data.Result {
		series = append(series, result.Metric)
	}
	return series
}

// emptyQueries return nothing while all is well, or need an exporter that does not run
// here. Each is an expression of a dashboard, or a selector of an alert.
var emptyQueries = []string{
	`ALERTS{alertstate="firing"}`,
	`app_jobs_processed_total{result="failed"}`,
	`topk(10, sum by (backend, kind) (rate(app_jobs_processed_total{result="failed"}[$__rate_interval])))`,
	`node_filesystem_avail_bytes{mountpoint="/"}`,
	`node_filesystem_size_bytes{mountpoint="/"}`,
	`node_memory_MemAvailable_bytes`,
	`node_memory_MemTotal_bytes`,
}

// requireAnswers requires that each query returns a series, with each label of its legend.
func (p prometheusServer) requireAnswers(t *testing.T, queries []query) {
	t.Helper()
	for _, one := range queries {
		expression := strings.ReplaceAll(one.Expr, "$__rate_interval", "1m")
		if slices.Contains(emptyQueries, one.Expr) {
			p.query(t, expression)
			continue
		}
		var series []map[string]string
		stacktest.Eventually(t, func() bool {
			series = p.query(t, expression)
			return len(series) > 0
		}, "%s: no series for %s", one.origin, expression)
		for _, label := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(one.LegendFormat, -1) {
			require.True(t, slices.ContainsFunc(series, func(labels map[string]string) bool { return labels[label[1]] != "" }),
				"%s: no series of %s has the label %s", one.origin, expression, label[1])
		}
	}
}

// alertQueries are the selectors of all rules: when each finds a series, a rule that is
// silent has nothing to report.
func alertQueries(t *testing.T) (queries []query) {
	t.Helper()
	selectors := regexp.MustCompile(`\b(?:app|node|slipway|up)[\w:]*(?:\{[^}]*\})?`)
	for _, rule := range readRules(t) {
		found := selectors.FindAllString(rule.Expr, -1)
		require.NotEmpty(t, found, rule.Expr)
		for _, selector := range found {
			queries = append(queries, query{origin: rule.Alert + rule.Record, Expr: selector})
		}
	}
	return queries
}
