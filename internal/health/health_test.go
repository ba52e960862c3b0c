package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"slipway/internal/devstack/stacktest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestUp_Is503UntilBooted(t *testing.T) {
	t.Parallel()
	h, _ := newHealth(t, Check{Name: "database", Critical: true, Probe: works}, Check{Name: "redis", Disabled: true})

	h.probeAll(t)
	status, body, header := get(t, h.ServeUp)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "booting\n", body)
	require.NotEmpty(t, header.Get("Retry-After"))

	h.Booted()
	status, body, header = get(t, h.ServeUp)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "up\n", body)
	require.Equal(t, "no-store", header.Get("Cache-Control"))
}

func TestUp_Is503UntilAGateHasAConclusiveResult(t *testing.T) {
	t.Parallel()
	database := &outcome{err: context.DeadlineExceeded}
	h, _ := newHealth(t, Check{Name: "database", Critical: true, Gate: true, Probe: database.probe})
	h.Booted()

	// It is 503 before the first probe, and while no probe gets a reply of the database.
	for range 2 {
		status, body, _ := get(t, h.ServeUp)
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Equal(t, "booting\n", body)
		h.probeAll(t)
	}
	database.set(NotReady(errors.New("run app migrate")))
	h.probeAll(t)
	_, body, _ := get(t, h.ServeUp)
	require.Equal(t, "run app migrate\n", body)
}

func TestUp_WaitsForGatesForFiveSeconds(t *testing.T) {
	t.Parallel()
	h, clock := newHealth(t, Check{Name: "database", Critical: true, Gate: true, Probe: fails})
	h.Booted()
	h.probeAll(t)

	clock.advance(4 * time.Second)
	status, _, _ := get(t, h.ServeUp)
	require.Equal(t, http.StatusServiceUnavailable, status)

	clock.advance(2 * time.Second)
	status, _, _ = get(t, h.ServeUp)
	require.Equal(t, http.StatusOK, status)
}

func TestMayWork_WaitsForGatesWithoutLimit(t *testing.T) {
	t.Parallel()
	database := &outcome{err: errors.New("refused")}
	h, _ := newHealth(t, Check{Name: "database", Critical: true, Gate: true, Probe: database.probe})
	require.False(t, h.MayWork())
	h.Booted()
	h.probeAll(t)
	booted := time.Now()
	h.now = func() time.Time { return booted.Add(gateTimeout + time.Second) }
	ready, _ := h.Ready()
	require.True(t, ready)
	require.False(t, h.MayWork())

	database.set(NotReady(errors.New("run app migrate")))
	h.probeAll(t)
	require.False(t, h.MayWork())
	database.set(nil)
	h.probeAll(t)
	require.True(t, h.MayWork())
}

func TestMayWork_IsFalseAfterRetire(t *testing.T) {
	t.Parallel()
	h, _ := newHealth(t)
	h.Booted()
	require.True(t, h.MayWork())

	h.Retire()

	require.False(t, h.MayWork())
}

func TestUp_Is503WhileACheckIsNotReady(t *testing.T) {
	t.Parallel()
	database := &outcome{err: NotReady(errors.New("run app migrate"))}
	h, _ := newHealth(t, Check{Name: "database", Critical: true, Probe: database.probe})
	h.Booted()
	h.probeAll(t)

	status, body, _ := get(t, h.ServeUp)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "run app migrate\n", body)

	// An unreachable database does not change what is known of its schema.
	database.set(errors.New("refused"))
	h.probeAll(t)
	status, _, _ = get(t, h.ServeUp)
	require.Equal(t, http.StatusServiceUnavailable, status)

	database.set(nil)
	h.probeAll(t)
	status, _, _ = get(t, h.ServeUp)
	require.Equal(t, http.StatusOK, status)
}

func TestUp_Is503FromTheStartWhileABackendRefusesTheProcess(t *testing.T) {
	t.Parallel()
	database := &outcome{err: Refused(Finding{Status: Error, Reason: "wrong password"})}
	h, clock := newHealth(t, Check{Name: "database", Critical: true, Gate: true, Probe: database.probe})
	h.Booted()
	h.probeAll(t)
	clock.advance(time.Hour) // no grace

	status, body, _ := get(t, h.ServeUp)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "wrong password\n", body)
	require.False(t, h.MayWork())

	// A server that restarts meanwhile does not change what it will reply.
	database.set(errors.New("refused"))
	h.probeAll(t)
	status, _, _ = get(t, h.ServeUp)
	require.Equal(t, http.StatusServiceUnavailable, status)

	database.set(nil)
	h.probeAll(t)
	status, _, _ = get(t, h.ServeUp)
	require.Equal(t, http.StatusOK, status)
}

func TestUp_Is200WhileABackendRefusesAProcessThatHasServed(t *testing.T) {
	t.Parallel()
	database := &outcome{}
	h, _ := newHealth(t, Check{Name: "database", Critical: true, Gate: true, Probe: database.probe})
	h.Booted()
	h.probeAll(t)

	for range 2 {
		database.set(Refused(Finding{Status: Error, Reason: "wrong password"}))
		h.probeAll(t)
		status, _, _ := get(t, h.ServeUp)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, Result{Status: Error, Reason: "wrong password"}, shownOf(h, "database"))

		database.set(errors.New("refused"))
		h.probeAll(t)
	}
}

func TestUp_Is200WhileBackendsAreUnavailable(t *testing.T) {
	t.Parallel()
	h, _ := newHealth(t, Check{Name: "database", Critical: true, Probe: fails}, Check{Name: "redis", Probe: fails})
	h.Booted()
	h.probeAll(t)

	status, _, _ := get(t, h.ServeUp)

	require.Equal(t, http.StatusOK, status)
}

func TestHealth_ShowsTheWorstStatus(t *testing.T) {
	t.Parallel()
	for _, expected := range []struct {
		database, redis error
		status          Status
		code            int
	}{
		{nil, nil, OK, 200},
		{nil, context.DeadlineExceeded, Degraded, 200},
		{context.DeadlineExceeded, nil, Error, 503},
		{context.DeadlineExceeded, context.DeadlineExceeded, Error, 503},
	} {
		h, _ := newHealth(t,
			Check{Name: "database", Critical: true, Probe: (&outcome{err: expected.database}).probe},
			Check{Name: "redis", Probe: (&outcome{err: expected.redis}).probe},
			Check{Name: "queue", Critical: true, Disabled: true},
		)
		h.probeAll(t)

		code, body, header := get(t, h.ServeHealth)

		require.Equal(t, expected.code, code)
		require.Equal(t, "application/json", header.Get("Content-Type"))
		require.Equal(t, "no-store", header.Get("Cache-Control"))
		require.Equal(t, code == 503, header.Get("Retry-After") != "")
		var report Report
		require.NoError(t, json.Unmarshal([]byte(body), &report))
		require.Equal(t, expected.status, report.Status)
		require.Equal(t, Result{Status: Disabled}, report.Checks["queue"])
		if expected.redis != nil {
			require.Equal(t, Degraded, report.Checks["redis"].Status)
			require.Equal(t, "timeout", report.Checks["redis"].Reason)
		}
	}
}

func TestHealth_ACheckCountsAsFailedUntilItsFirstProbe(t *testing.T) {
	t.Parallel()
	h, _ := newHealth(t, Check{Name: "database", Critical: true, Probe: works})

	require.Equal(t, Error, h.Report().Checks["database"].Status)
	require.Equal(t, "not probed yet", h.Report().Checks["database"].Reason)
}

func TestHealth_DoesNotShowCredentials(t *testing.T) {
	t.Parallel()
	h, _ := newHealth(t, Check{Name: "redis", Probe: (&outcome{err: errors.New("cannot use redis://:hunter2@db")}).probe})
	h.probeAll(t)

	_, body, _ := get(t, h.ServeHealth)

	require.Contains(t, body, "cannot use redis://***@db")
	require.NotContains(t, body, "hunter2")
}

func TestHealth_SinceChangesOnlyWithTheStatus(t *testing.T) {
	t.Parallel()
	redis := &outcome{}
	h, clock := newHealth(t, Check{Name: "redis", Probe: redis.probe})
	since := func() time.Time {
		clock.advance(time.Second)
		h.probeAll(t)
		return h.Report().Checks["redis"].Since
	}

	up := since()
	require.Equal(t, up, since())

	redis.set(errors.New("refused"))
	down := since()
	require.Equal(t, 2*time.Second, down.Sub(up))
	redis.set(context.DeadlineExceeded) // another reason with the same status
	require.Equal(t, down, since())

	redis.set(nil)
	require.Equal(t, 2*time.Second, since().Sub(down))
}

func TestHealth_AProbeThatHangsCountsAsFailedAndDelaysNoResponse(t *testing.T) {
	t.Parallel()
	hanging, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	probes := 0
	h, clock := newHealth(t, Check{Name: "database", Critical: true, Every: time.Millisecond, Probe: func(context.Context) error {
		if probes++; probes > 1 {
			once.Do(func() { close(hanging) })
			<-release // ignores its context
		}
		return nil
	}})
	stop := running(t, h)
	defer stop()
	defer close(release)
	<-hanging
	require.Equal(t, OK, h.Report().Checks["database"].Status)

	clock.advance(4 * time.Second) // it may still end
	require.Equal(t, OK, h.Report().Checks["database"].Status)
	clock.advance(2 * time.Second)

	code, body, _ := get(t, h.ServeHealth)
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Contains(t, body, "no probe has ended since ")
	require.WithinDuration(t, clock.now().Add(-6*time.Second), h.Report().Checks["database"].Since, time.Second, "before that it was well")
}

func TestHealth_BoundsAProbeByItsTimeout(t *testing.T) {
	t.Parallel()
	hang := func(ctx context.Context) error {
		<-ctx.Done()
		return fmt.Errorf("query: %w", ctx.Err())
	}
	h, _ := newHealth(t, Check{
		Name: "database", Critical: true, Every: time.Millisecond, Timeout: 20 * time.Millisecond, Probe: hang,
	})
	defer running(t, h)()

	stacktest.Eventually(t, func() bool { return h.Report().Checks["database"].Reason == "timeout" })
}

func TestRun_ProbesEveryCheckUntilItsContextEnds(t *testing.T) {
	t.Parallel()
	var probed [2]chan struct{}
	var checks []Check
	for i := range probed {
		probed[i] = make(chan struct{})
		checks = append(checks, Check{Name: fmt.Sprint(i), Every: time.Millisecond, Probe: func(ctx context.Context) error {
			select {
			case probed[i] <- struct{}{}:
			case <-ctx.Done():
			}
			return nil
		}})
	}
	off := Check{Name: "off", Disabled: true, Probe: func(context.Context) error { panic("probed though disabled") }}
	h, _ := newHealth(t, append(checks, off)...)
	stop := running(t, h)

	for range 3 {
		for _, one := range probed {
			<-one
		}
	}

	stop()
}

func TestHealth_ExportsWhetherTheLastProbeSucceeded(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	h := New(registry, Check{Name: "database", Probe: works}, Check{Name: "redis", Probe: fails})
	h.probeAll(t)

	families, err := registry.Gather()

	require.NoError(t, err)
	values := map[string]float64{}
	for _, metric := range families[0].GetMetric() {
		values[metric.GetLabel()[0].GetValue()] = metric.GetGauge().GetValue()
	}
	require.Equal(t, "app_backend_up", families[0].GetName())
	require.Equal(t, map[string]float64{"database": 1, "redis": 0}, values)
}

func TestHealth_ShowsTheStatusOfAFinding(t *testing.T) {
	t.Parallel()
	database := &outcome{err: Finding{Status: Degraded, Reason: "read_only"}}
	h, clock := newHealth(t, Check{Name: "database", Critical: true, Probe: database.probe})
	h.probeAll(t)
	began := h.Report().Checks["database"].Since

	require.Equal(t, Degraded, h.Report().Status)
	require.Equal(t, "read_only", h.Report().Checks["database"].Reason)

	clock.advance(5 * time.Second)
	database.set(fmt.Errorf("check: %w", Finding{Status: Error, Reason: "read_only"}))
	h.probeAll(t)
	require.Equal(t, Error, h.Report().Status)
	require.Equal(t, "read_only", h.Report().Checks["database"].Reason)
	require.Equal(t, 5*time.Second, h.Report().Checks["database"].Since.Sub(began), "since is the start of the status")
}

func TestRun_ProbesMoreOftenWhileACheckFails(t *testing.T) {
	t.Parallel()
	database := &outcome{err: errors.New("refused")}
	h, _ := newHealth(t, Check{
		Name: "database", Critical: true, Every: time.Hour, RetryEvery: time.Millisecond, Probe: database.probe,
	})
	defer running(t, h)()
	stacktest.Eventually(t, func() bool { return h.Report().Checks["database"].Reason == "refused" })

	database.set(nil)

	stacktest.Eventually(t, func() bool { return h.Report().Checks["database"].Status == OK })
}

// Private

func works(context.Context) error { return nil }
func fails(context.Context) error { return errors.New("refused") }

// shownOf returns what /health shows of a check, without times.
func shownOf(h *Health, check string) Result {
	shown := h.Report().Checks[check]
	return Result{Status: shown.Status, Reason: shown.Reason}
}

// outcome is a probe whose result a test sets.
type outcome struct {
	mutex sync.Mutex
	err   error
}

func (o *outcome) set(err error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.err = err
}

func (o *outcome) probe(context.Context) error {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.err
}

func newHealth(t *testing.T, checks ...Check) (*Health, *clock) {
	t.Helper()
	h := New(prometheus.NewRegistry(), checks...)
	clock := &clock{at: time.Now().Truncate(time.Millisecond)}
	h.now = clock.now
	return h, clock
}

// probeAll probes every check once.
func (h *Health) probeAll(t *testing.T) {
	t.Helper()
	for _, check := range h.checks {
		if !check.Disabled {
			h.probe(t.Context(), check)
		}
	}
}

// running starts Run. The function stop ends it and waits for it.
func running(t *testing.T, h *Health) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	return func() {
		cancel()
		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-time.After(10 * time.Second):
			require.Fail(t, "the probes do not end")
		}
	}
}

func get(t *testing.T, handler http.HandlerFunc) (status int, body string, header http.Header) {
	t.Helper()
	recorder := httptest.NewRecorder()
	handler(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	return recorder.Code, recorder.Body.String(), recorder.Header()
}

type clock struct {
	mutex sync.Mutex
	at    time.Time
}

func (c *clock) now() time.Time {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.at = c.at.Add(d)
}
