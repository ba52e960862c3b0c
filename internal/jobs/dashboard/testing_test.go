package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
	"slipway/internal/jobs"
	"slipway/internal/jobs/batch"
	"slipway/internal/jobs/history"
	"slipway/internal/jobs/inspect"
	"slipway/internal/jobs/recurring"
	"slipway/internal/operators"
	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
	"slipway/internal/throttle"
)

// deskOptions are what a test may change.
type deskOptions struct {
	operators.Options
	Patience time.Duration
}

// desk is a dashboard over both backends, without workers.
type desk struct {
	*httptest.Server
	db        *pgxpool.Pool
	pg        *stacktest.Relay // between db and PostgreSQL
	redis     *devstack.Redis
	jobs      *jobs.Jobs
	tasks     *jobs.Tasks
	batches   *batch.Batches
	dashboard *Dashboard
	log       *stacktest.Journal
}

func newDesk(t *testing.T, change ...func(*deskOptions)) *desk {
	t.Helper()
	d := &desk{redis: stacktest.Redis(t), log: &stacktest.Journal{}}
	d.openDatabase(t)
	metrics := jobs.NewMetrics(prometheus.NewRegistry())
	var err error
	d.jobs, err = jobs.NewJobs(d.db, metrics)
	require.NoError(t, err)
	guard := failopen.NewGuard(failopen.Options{URL: d.redis.URL(), Timeout: 250 * time.Millisecond}, newReporter())
	d.tasks, err = jobs.NewTasks(guard, d.jobs, metrics)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.tasks.Close()) })

	ofJobs := jobs.Handlers{
		jobs.Handle(func(context.Context, printArgs) error { return nil }),
		jobs.Handle(func(context.Context, posterArgs) error { return nil }),
	}
	ofTasks := jobs.Handlers{jobs.Handle(func(context.Context, waveArgs) error { return nil })}
	d.tasks.Know(ofTasks)
	entries, err := recurring.Parse([]byte("nightly:\n  kind: print\n  schedule: \"0 3 * * *\"\n  args: {page: 1}\n"), ofJobs, ofTasks)
	require.NoError(t, err)
	kinds := append(append(jobs.Handlers{}, ofJobs...), ofTasks...)
	inspector, err := inspect.New(inspect.Options{DB: d.db, Jobs: d.jobs, Tasks: d.tasks, Kinds: kinds})
	require.NoError(t, err)
	d.batches = batch.New(d.db, d.jobs)
	options := deskOptions{Patience: 10 * time.Second, Options: operators.Options{
		Login: operators.Login{User: "ada", Password: "correct horse"}, Clients: throttle.NewClients(nil, 64, d.log.Logger()),
		BaseURL: "https://print.example", Version: "v7",
		PageTimeout: 20 * time.Second, Log: d.log.Logger(),
	}}
	for _, one := range change {
		one(&options)
	}
	shared, err := operators.NewDesk(options.Options)
	require.NoError(t, err)
	d.dashboard = New(Options{
		Inspector: inspector, History: history.New(d.db), Batches: d.batches,
		Scheduler: recurring.NewScheduler(d.db, d.jobs, d.tasks, entries, d.log.Logger()), Jobs: ofJobs, Tasks: ofTasks,
		Desk: shared, Patience: options.Patience, Log: d.log.Logger(),
	})
	e := echo.New()
	d.dashboard.Routes(e)
	d.Server = httptest.NewServer(e)
	t.Cleanup(d.Close)
	return d
}

// printArgs is a job whose args hold a secret.
type printArgs struct {
	Page  int    `json:"page"`
	Token string `json:"token,omitempty"`
	Note  string `json:"note,omitempty"`
}

func (printArgs) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "print", Queue: jobs.Critical, Attempts: 3}
}

func (p printArgs) Check() error {
	if p.Page < 1 {
		return errors.New("page must be at least 1")
	}
	if strings.HasPrefix(p.Token, "old") {
		return fmt.Errorf("the token %s is of last year", p.Token)
	}
	return nil
}

// posterArgs is a job that is unique.
type posterArgs struct {
	Page int `json:"page"`
}

func (posterArgs) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "poster", Attempts: 3, Unique: jobs.Uniqueness{Waiting: true}}
}

// waveArgs is a transient task.
type waveArgs struct {
	To string `json:"to"`
}

func (waveArgs) Declare() jobs.Declaration { return jobs.Declaration{Kind: "wave", Queue: jobs.Low} }

// openDatabase opens a database behind a relay, so that a test can lose it.
func (d *desk) openDatabase(t *testing.T) {
	t.Helper()
	address, err := url.Parse(pgtest.URL(t, noMigrations))
	require.NoError(t, err)
	d.pg = stacktest.StartRelay(t, address.Host)
	address.Host = d.pg.Address()
	d.db, err = postgres.Open(t.Context(), postgres.Options{
		URL: address.String(), Name: t.Name(), PoolSize: 20, ConnectTimeout: 5 * time.Second, StatementTimeout: 20 * time.Second,
		LockTimeout: 10 * time.Second, PingTimeout: time.Second,
	})
	require.NoError(t, err)
	t.Cleanup(d.db.Close)
}

// losePostgres lets PostgreSQL reply no more, until the test ends.
func (d *desk) losePostgres(t *testing.T) {
	t.Helper()
	d.pg.LoseAbove(1)
	t.Cleanup(func() { d.pg.LoseAbove(0) })
}

// loseRedis lets Redis reply no more, until the test ends.
func (d *desk) loseRedis(t *testing.T) {
	t.Helper()
	require.NoError(t, d.redis.Freeze())
	t.Cleanup(func() { require.NoError(t, d.redis.Thaw()) })
}

// enqueue stores jobs, and returns the id of the first.
func (d *desk) enqueue(t *testing.T, args ...jobs.Args) inspect.ID {
	t.Helper()
	var id int64
	require.NoError(t, pgx.BeginFunc(t.Context(), d.db, func(tx pgx.Tx) error { return d.jobs.Enqueue(t.Context(), tx, args...) }))
	require.NoError(t, d.db.QueryRow(t.Context(), `SELECT max(id) FROM river_job`).Scan(&id))
	return inspect.ID{Backend: jobs.PG, Job: id - int64(len(args)) + 1}
}

// fail lets jobs fail for good with an error.
func (d *desk) fail(t *testing.T, reason string, ids ...inspect.ID) {
	t.Helper()
	for _, id := range ids {
		d.execute(t, `
			UPDATE river_job
			SET state = 'discarded', attempt = 3, attempted_at = now(), finalized_at = now(),
			    errors = ARRAY[jsonb_build_object('attempt', 3, 'at', now(), 'error', $2::text, 'trace', 'goroutine 1 [running]')]
			WHERE id = $1`, id.Job, reason)
	}
}

func (d *desk) execute(t *testing.T, statement string, values ...any) {
	t.Helper()
	_, err := d.db.Exec(t.Context(), statement, values...)
	require.NoError(t, err)
}

// state is the state of a job.
func (d *desk) state(t *testing.T, id inspect.ID) (state string) {
	t.Helper()
	row := d.db.QueryRow(t.Context(), `SELECT coalesce((SELECT state::text FROM river_job WHERE id = $1), 'gone')`, id.Job)
	require.NoError(t, row.Scan(&state))
	return state
}

// ask sends a request as the operator, and returns status and body.
func (d *desk) ask(t *testing.T, method, path string, form url.Values, header ...string) (status int, body string) {
	t.Helper()
	status, _, body = d.send(t, method, path, form, header...)
	return status, body
}

// send is ask with the header of the response. It does not follow redirects.
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

// get returns a screen, which must be there.
func (d *desk) get(t *testing.T, path string) string {
	t.Helper()
	status, body := d.ask(t, http.MethodGet, path, nil)
	require.Equal(t, http.StatusOK, status, body)
	return body
}

// json reads a screen as JSON.
func (d *desk) json(t *testing.T, path string, into any) {
	t.Helper()
	status, body := d.ask(t, http.MethodGet, path, nil, "Accept", "application/json")
	require.Equal(t, http.StatusOK, status, body)
	require.NoError(t, json.Unmarshal([]byte(body), into), body)
}

// post sends a form, and returns where it redirects to.
func (d *desk) post(t *testing.T, path string, pairs ...string) string {
	t.Helper()
	status, header, body := d.send(t, http.MethodPost, path, form(pairs...))
	require.Equal(t, http.StatusSeeOther, status, body)
	return header.Get("Location")
}

func form(pairs ...string) url.Values {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return values
}

func newReporter() *telemetry.Reporter {
	return telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
}

var noMigrations fs.FS = fstest.MapFS{"00001_nothing.sql": {Data: []byte("-- +goose Up\nSELECT 1;\n")}}
