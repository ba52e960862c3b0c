package main

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
)

var updateDocs = flag.Bool("update-docs", false, "write the tables of docs/metrics.md as the roles export them")

func TestMetrics_OfARunningApplication(t *testing.T) {
	t.Parallel()
	d, postgres := deployAlone(t)
	m := startMonitored(t, d)
	m.exercise(t, postgres)

	t.Run("are those of the documentation", func(t *testing.T) {
		requireDocumented(t, m, "Metrics of the runtime", isRuntimeMetric)
	})
	t.Run("are clean for promtool", m.requireLinted)
	t.Run("have one spelling of each label", m.requireKnownLabels)
	t.Run("answer every query of dashboards and alerts", func(t *testing.T) {
		queries := alertQueries(t)
		for _, name := range dashboardFiles(t) {
			if name != storeDashboard {
				queries = append(queries, dashboardQueries(t, name)...)
			}
		}
		m.startPrometheus(t).requireAnswers(t, queries)
		for _, empty := range emptyQueries {
			require.True(t, slices.ContainsFunc(queries, func(one query) bool { return one.Expr == empty }), "nobody asks %s", empty)
		}
	})
}

// A scrape shows what was measured in the background, so no backend can delay it.
func TestMetrics_AnswerAtOnceWhileABackendIsFrozen(t *testing.T) {
	t.Parallel()
	d, postgres := deployAlone(t)
	web, workerPG, workerRedis := d.startAll()
	all := []*appProcess{web, workerPG, workerRedis}
	for name, freeze := range map[string]struct {
		freeze, thaw func() error
		symptom      string
	}{
		"PostgreSQL": {postgres.Freeze, postgres.Thaw, `app_jobs_backend_up{backend="pg"} 0`},
		"Redis":      {d.redis.Freeze, d.redis.Thaw, `app_jobs_backend_up{backend="redis"} 0`},
	} {
		require.NoError(t, freeze.freeze())
		for _, p := range all {
			requireQuickScrapes(t, p, "at the onset of a frozen "+name)
			p.eventually(func() bool { return strings.Contains(metricsOf(t, p), freeze.symptom) }, "misses "+name)
			requireQuickScrapes(t, p, "while "+name+" is frozen")
		}
		require.NoError(t, freeze.thaw())
		for _, p := range all {
			p.eventually(func() bool { return p.health().Status == "ok" }, "is healthy again")
		}
	}
}

// Private

// storeDashboard shows what the store exports. All other dashboards are of the runtime.
const storeDashboard = "store.json"

// monitored is an application whose roles show everything that they can.
type monitored struct {
	d                          *deployment
	web, workerPG, workerRedis *appProcess
}

func startMonitored(t *testing.T, d *deployment) *monitored {
	t.Helper()
	sentry := stacktest.StartSentry(t)
	m := &monitored{d: d}
	m.web = d.start("web", "APP_ENV=production", "SECRET_KEY_BASE="+testSecret, "BIND_ADDRESS=127.0.0.1", "SENTRY_DSN="+sentry.DSN,
		"INSTALLATION="+monitoredInstallation, "RACK_ATTACK_ENABLED=true", "RACK_ATTACK_REQ_IP_LIMIT=100000")
	m.workerPG = d.start("worker-pg", "INSTALLATION="+monitoredInstallation)
	m.workerRedis = d.start("worker-redis", "INSTALLATION="+monitoredInstallation)
	for _, p := range m.roles() {
		p.eventually(func() bool { return p.health().Status == "ok" }, "is healthy")
	}
	return m
}

// monitoredInstallation is the name of an installation whose roles have different
// settings of APP_ENV.
const monitoredInstallation = "monitored"

func (m *monitored) roles() map[string]*appProcess {
	return map[string]*appProcess{"web": m.web, "worker-pg": m.workerPG, "worker-redis": m.workerRedis}
}

// exercise makes each role of the test application do everything that it counts. In the
// middle of it, PostgreSQL and then Redis are away.
func (m *monitored) exercise(t *testing.T, postgres *devstack.Postgres) {
	t.Helper()
	v := newVisitor(t, m.web.url)
	v.http.Transport = startedAt(time.Now())
	write := func() {
		code, _, _ := v.post("/notes", newNote())
		require.Equal(t, http.StatusOK, code)
	}
	openEvents(t, v, "/live").await(t, "retry: ")
	require.Equal(t, http.StatusOK, status(m.web.url+"/"))
	write()
	m.workerPG.eventually(func() bool { return m.d.confirmed() == 1 }, "runs the job")
	m.workerRedis.eventually(func() bool { return m.d.archived() == 1 }, "runs the durable task")

	require.Equal(t, http.StatusOK, status(m.web.url+"/"))
	m.d.execute(`SELECT pg_notify('app_edge_purge', '{"expire":["board"]}')`)
	require.NoError(t, postgres.Kill())
	m.web.eventually(func() bool {
		fails, stale := status(m.web.url+"/thanks") == http.StatusServiceUnavailable, status(m.web.url+"/") == http.StatusOK
		return fails && stale && strings.Contains(metricsOf(t, m.web), "app_http_stale_total{")
	}, "serves a page that is not fresh")
	require.NoError(t, postgres.Restart(t.Context()))

	require.NoError(t, m.d.redis.Kill())
	write()
	for _, p := range m.roles() {
		p.eventually(func() bool { return strings.Contains(metricsOf(t, p), `app_backend_failures_total{backend="redis"`) }, "misses Redis")
	}
	require.NoError(t, m.d.redis.Restart(t.Context()))
	for _, p := range m.roles() {
		p.eventually(func() bool { return p.health().Status == "ok" }, "is healthy again")
	}
	m.workerRedis.eventually(func() bool { return m.d.archived() == 2 }, "runs the other durable task")
}

// startedAt is X-Request-Start of every request, as a proxy sets it.
type startedAt time.Time

func (s startedAt) RoundTrip(request *http.Request) (*http.Response, error) {
	started := request.Clone(request.Context())
	started.Header.Set("X-Request-Start", fmt.Sprintf("t=%d", time.Time(s).UnixMilli()))
	return http.DefaultTransport.RoundTrip(started)
}

// families are the metrics of each role.
func (m *monitored) families(t *testing.T) map[string]map[string]*dto.MetricFamily {
	t.Helper()
	families := map[string]map[string]*dto.MetricFamily{}
	for role, p := range m.roles() {
		parser := expfmt.NewTextParser(model.LegacyValidation)
		parsed, err := parser.TextToMetricFamilies(strings.NewReader(metricsOf(t, p)))
		require.NoError(t, err, role)
		families[role] = parsed
	}
	return families
}

func isRuntimeMetric(name string) bool { return strings.HasPrefix(name, "app_") }

// requireKnownLabels requires that a label has one form of its values, whichever metric
// has it, and that a client cannot choose one.
func (m *monitored) requireKnownLabels(t *testing.T) {
	known := map[string][]string{
		"backend": {"mail", "pg", "redis"},
		"method":  {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "OTHER"},
		"pool":    {"main", "river"},
		"redis":   {"shared", "queue"},
		"side":    {"in", "out"},
		"status":  {"1xx", "2xx", "3xx", "4xx", "5xx", "other"},
		"store":   {"local", "redis"},
	}
	free := []string{
		"cache", "check", "class", "code", "commit", "go", "kind", "queue", "reason", "result", "route", "rule", "service", "source", "state",
		"version", "what",
	}
	request, err := http.NewRequestWithContext(t.Context(), "BREW", m.web.url+"/of/a/client", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())

	for role, families := range m.families(t) {
		for name, family := range families {
			for _, metric := range family.GetMetric() {
				for _, label := range metric.GetLabel() {
					require.NotContains(t, label.GetValue(), "client/", "%s of %s", name, role)
					values, is := known[label.GetName()]
					if is {
						require.Contains(t, values, label.GetValue(), "%s of %s", name, role)
					} else if isRuntimeMetric(name) {
						require.Contains(t, free, label.GetName(), "%s has a new label: is there another spelling of it?", name)
					}
				}
			}
		}
	}
}

func (m *monitored) requireLinted(t *testing.T) {
	needProgram(t, "promtool")
	for role, p := range m.roles() {
		promtool := exec.Command("promtool", "check", "metrics")
		promtool.Stdin = strings.NewReader(metricsOf(t, p))

		output, err := promtool.CombinedOutput()

		require.NoError(t, err, "%s: %s", role, output)
		require.Empty(t, string(output), role)
	}
}

// requireDocumented requires that the table below a heading of docs/metrics.md holds the
// metrics whose names belong there.
func requireDocumented(t *testing.T, m *monitored, heading string, belongs func(name string) bool) {
	t.Helper()
	const page = "docs/metrics.md"
	exported := metricTable(m.families(t), belongs)
	before, rest, found := strings.Cut(repositoryFile(t, page), "\n## "+heading+"\n")
	require.True(t, found, "%s has no heading %s", page, heading)
	start := strings.Index(rest, "\n| Metric |")
	require.GreaterOrEqual(t, start, 0, "there is no table below %s", heading)
	end := start + 1 + strings.Index(rest[start+1:]+"\n\n", "\n\n")
	if *updateDocs {
		content := before + "\n## " + heading + "\n" + rest[:start] + "\n" + exported + rest[min(end, len(rest)):]
		require.NoError(t, os.WriteFile(inRepository(page), []byte(strings.TrimRight(content, "\n")+"\n"), 0o644))
		return
	}
	require.Equal(t, exported, strings.TrimSpace(rest[start:min(end, len(rest))]), "run the test with -update-docs")
}

// metricTable is one row for each metric: its type, its labels, the roles that export it
// and its help.
func metricTable(families map[string]map[string]*dto.MetricFamily, belongs func(name string) bool) string {
	all := map[string]*dto.MetricFamily{}
	labels, roles := map[string]map[string]bool{}, map[string][]string{}
	for _, role := range slices.Sorted(maps.Keys(families)) {
		for name, family := range families[role] {
			if !belongs(name) {
				continue
			}
			all[name] = family
			roles[name] = append(roles[name], role)
			if labels[name] == nil {
				labels[name] = map[string]bool{}
			}
			for _, metric := range family.GetMetric() {
				for _, label := range metric.GetLabel() {
					labels[name]["`"+label.GetName()+"`"] = true
				}
			}
		}
	}
	rows := []string{"| Metric | Type | Labels | Roles | Meaning |", "|---|---|---|---|---|"}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		where := strings.Join(roles[name], ", ")
		if len(roles[name]) == len(families) {
			where = "all"
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s | %s |", name, strings.ToLower(all[name].GetType().String()),
			strings.Join(slices.Sorted(maps.Keys(labels[name])), ", "), where, all[name].GetHelp()))
	}
	return strings.Join(rows, "\n")
}

// requireQuickScrapes takes the fastest of some, because other tests share the machine. A
// scrape that asked the backend would wait for it each time.
func requireQuickScrapes(t *testing.T, p *appProcess, when string) {
	t.Helper()
	var took []time.Duration
	for range 5 {
		started := time.Now()
		metricsOf(t, p)
		took = append(took, time.Since(started))
	}
	require.Less(t, slices.Min(took), 100*time.Millisecond, "%s %s", p.name, when)
}
