package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/config"
	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
	"slipway/internal/jobs"
	"slipway/internal/jobs/inspect"
	"slipway/internal/operators"
	"slipway/internal/ops"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
	"slipway/internal/throttle"
)

// desk is a dashboard over what a recorder has written.
type desk struct {
	*httptest.Server
	db       *pgxpool.Pool
	redis    *devstack.Redis
	jobs     *jobs.Jobs
	recorder *ops.Recorder
	reporter *telemetry.Reporter
	registry *prometheus.Registry
}

func newDesk(t *testing.T, change ...func(*operators.Options)) *desk {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	d := &desk{db: pgtest.New(t, noMigrations), redis: stacktest.Redis(t), registry: prometheus.NewRegistry()}
	d.reporter = telemetry.NewReporter(log, prometheus.NewRegistry())
	d.recorder = ops.NewRecorder(ops.RecorderOptions{Role: "web", Version: "v7", Secret: "salt", Log: log, Registry: d.registry})
	d.reporter.CopyTo(d.recorder.Alert)
	metrics := jobs.NewMetrics(prometheus.NewRegistry())
	var err error
	d.jobs, err = jobs.NewJobs(d.db, metrics)
	require.NoError(t, err)
	tasks, err := jobs.NewTasks(failopen.NewGuard(failopen.Options{URL: d.redis.URL(), Timeout: time.Second}, d.reporter), d.jobs, metrics)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tasks.Close()) })
	kinds := jobs.Handlers{jobs.Handle(func(context.Context, printArgs) error { return nil })}
	inspector, err := inspect.New(inspect.Options{DB: d.db, Jobs: d.jobs, Tasks: tasks, Kinds: kinds})
	require.NoError(t, err)

	options := operators.Options{
		Login: operators.Login{User: "ada", Password: "correct horse"}, BaseURL: "https://print.example", Version: "v7",
		Clients:     throttle.NewClients(nil, 64, log),
		PageTimeout: 20 * time.Second, Log: log,
	}
	for _, one := range change {
		one(&options)
	}
	shared, err := operators.NewDesk(options)
	require.NoError(t, err)
	settings := []config.Setting{
		{Name: "PORT", Value: "3000", Source: "default", Help: "port of the pages"},
		{Name: "SECRET_KEY_BASE", Value: "********", Source: "set", Help: "signs cookies"},
	}
	dashboard := New(Options{
		Desk: shared, Reader: ops.NewReader(d.db), Jobs: inspector, Settings: settings, Patience: 10 * time.Second,
		Kept: Kept{OneIn: 100, SlowRequest: 500 * time.Millisecond},
	})
	e := echo.New()
	dashboard.Routes(e)
	d.Server = httptest.NewServer(e)
	t.Cleanup(d.Close)
	return d
}

// printArgs is a job.
type printArgs struct {
	Page int `json:"page"`
}

func (printArgs) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "print", Queue: jobs.Critical, Attempts: 3}
}

// count lets metrics of the runtime count, as they do in a process.
func (d *desk) count(t *testing.T) {
	t.Helper()
	requests := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "app_http_request_duration_seconds", Buckets: []float64{.01, .1, 1},
	}, []string{"method", "route", "status"})
	redis := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "app_redis_call_seconds", Buckets: []float64{.001, .01}},
		[]string{"redis", "source"})
	outgoing := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "app_outgoing_call_seconds", Buckets: []float64{.1, 1}},
		[]string{"service", "result"})
	work := d.counter("app_jobs_processed_total", "backend", "kind", "result")
	edge := d.counter("app_edge_requests_total", "result")
	caches := d.counter("app_cache_requests_total", "cache", "result")
	limits := d.counter("app_throttle_decisions_total", "rule", "result")
	up := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "app_backend_up"}, []string{"check"})
	breaker := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "app_redis_breaker_state"}, []string{"redis"})
	d.registry.MustRegister(requests, redis, outgoing, up, breaker)

	for range 99 {
		requests.WithLabelValues("GET", "/leaflets/:id", "200").Observe(.02)
	}
	requests.WithLabelValues("GET", "/leaflets/:id", "500").Observe(.5)
	requests.WithLabelValues("POST", "/orders", "303").Observe(.9)
	redis.WithLabelValues("main", "Limiter.check").Observe(.0005)
	outgoing.WithLabelValues("mail", "failed").Observe(.3)
	work.WithLabelValues("pg", "print", "failed").Add(3)
	edge.WithLabelValues("hit").Add(75)
	edge.WithLabelValues("miss").Add(25)
	caches.WithLabelValues("prices", "hit").Add(9)
	caches.WithLabelValues("prices", "miss").Add(1)
	limits.WithLabelValues("orders by address", "throttled").Add(4)
	limits.WithLabelValues("safelist", "safelisted").Add(51)
	up.WithLabelValues("database").Set(1)
	up.WithLabelValues("redis").Set(0)
	breaker.WithLabelValues("main").Set(1)
	d.recorder.Statement("SELECT page\n\tFROM leaflets", 30*time.Millisecond, nil)
	d.recorder.Client("192.0.2.7")
	d.flush(t)
}

func (d *desk) counter(name string, labels ...string) *prometheus.CounterVec {
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name}, labels)
	d.registry.MustRegister(counter)
	return counter
}

func (d *desk) enqueue(t *testing.T, args ...jobs.Args) {
	t.Helper()
	require.NoError(t, pgx.BeginFunc(t.Context(), d.db, func(tx pgx.Tx) error { return d.jobs.Enqueue(t.Context(), tx, args...) }))
}

// fail records an error, and returns the id of its group.
func (d *desk) fail(t *testing.T, source, trace, message string) (id string) {
	t.Helper()
	d.reporter.Unexpected(source, trace, errors.New(message))
	d.flush(t)
	require.NoError(t, d.db.QueryRow(t.Context(), `SELECT id FROM ops_errors ORDER BY last_at DESC LIMIT 1`).Scan(&id))
	return id
}

// keep stores traces.
func (d *desk) keep(t *testing.T, traces ...telemetry.Ended) {
	t.Helper()
	for _, one := range traces {
		d.recorder.Keep(one)
	}
	d.flush(t)
}

func (d *desk) flush(t *testing.T) {
	t.Helper()
	require.NoError(t, d.recorder.Flush(t.Context(), d.db))
}

// send sends a request as the operator. It does not follow redirects.
func (d *desk) send(t *testing.T, method, path string, form url.Values, more ...string) (status int, header http.Header, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, d.URL+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	request.SetBasicAuth("ada", "correct horse")
	for i := 0; i+1 < len(more); i += 2 {
		request.Header.Set(more[i], more[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, response.Header, string(content)
}

// get returns a page, which must be there.
func (d *desk) get(t *testing.T, path string) string {
	t.Helper()
	status, _, body := d.send(t, http.MethodGet, path, nil)
	require.Equal(t, http.StatusOK, status, body)
	return body
}

// json reads a page as JSON.
func (d *desk) json(t *testing.T, path string, into any) {
	t.Helper()
	status, _, body := d.send(t, http.MethodGet, path, nil, "Accept", "application/json")
	require.Equal(t, http.StatusOK, status, body)
	require.NoError(t, json.Unmarshal([]byte(body), into), body)
}

var noMigrations fs.FS = fstest.MapFS{"00001_nothing.sql": {Data: []byte("-- +goose Up\nSELECT 1;\n")}}
