package throttle

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
	"slipway/internal/failopen/failopentest"
	"slipway/internal/telemetry"
)

func TestMain(m *testing.M) {
	failopen.LogThrough(func(string, error) {})
	m.Run()
}

// world is a Limiter with a clock that stands still, at the beginning of a
// window of every period up to an hour.
type world struct {
	*Limiter
	clock    *clock
	log      *stacktest.Journal
	registry *prometheus.Registry
}

// newWorld makes a Limiter of rules. Change may change its options.
func newWorld(t testing.TB, redis *failopen.Redis, rules []Rule, change ...func(*Options)) *world {
	t.Helper()
	w := &world{clock: &clock{at: time.Now().Truncate(time.Hour)}, log: &stacktest.Journal{}, registry: prometheus.NewRegistry()}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	options := Options{Redis: redis, Clients: NewClients(nil, 64, log), Rules: rules, Log: log, Registry: w.registry}
	for _, one := range change {
		one(&options)
	}
	limiter, err := New(options)
	require.NoError(t, err)
	limiter.now = w.clock.now
	w.Limiter = limiter
	return w
}

// get asks about a GET request of a client.
func (w *world) get(ip, path string) Result {
	_, decision := w.Check(request(ip, path))
	return decision.Result
}

// answer lets a request be answered with status if it passes.
func (w *world) answer(ip, path string, status int, notes ...string) Result {
	r, decision := w.Check(request(ip, path))
	if !decision.Refused() {
		for _, note := range notes {
			Note(r.Context(), note)
		}
		w.Answered(r, status)
	}
	return decision.Result
}

// pass sends requests until one is refused, most at the most, and returns how
// many passed.
func (w *world) pass(most int, ip, path string) (passed int) {
	for range most {
		if w.get(ip, path) == Passed {
			passed++
		}
	}
	return passed
}

// decisions is the number of decisions in the metric.
func (w *world) decisions(t testing.TB, rule, store, result string) int {
	t.Helper()
	families, err := w.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			if labels["rule"] == rule && labels["store"] == store && labels["result"] == result {
				return int(metric.GetCounter().GetValue())
			}
		}
	}
	return 0
}

func request(ip, path string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(ip), 1234).String()
	return r
}

// clock is set by tests.
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

// withoutRedis is a Redis that is switched off.
func withoutRedis(t testing.TB) *failopen.Redis {
	t.Helper()
	redis, err := failopen.Open(failopen.NewGuard(failopen.Options{},
		telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())))
	require.NoError(t, err)
	return redis
}

// open opens a Redis as the web role does.
func open(t testing.TB, server *devstack.Redis) (*failopen.Redis, *failopen.Guard) {
	t.Helper()
	return failopentest.Open(t, failopen.Options{URL: server.URL(), Timeout: 500 * time.Millisecond})
}

// bothStores runs a test with Redis and without.
func bothStores(t *testing.T, test func(t *testing.T, redis *failopen.Redis)) {
	t.Run("with Redis", func(t *testing.T) {
		t.Parallel()
		redis, _ := open(t, stacktest.Redis(t))
		test(t, redis)
	})
	t.Run("without Redis", func(t *testing.T) {
		t.Parallel()
		test(t, withoutRedis(t))
	})
}
