package telemetry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/getsentry/sentry-go"
	"github.com/prometheus/client_golang/prometheus"
)

// How much Sentry hears, and how long it may take to listen.
const (
	sentryQueue   = 64                     // alarms that wait to be sent
	sentryTimeout = 5 * time.Second        // of sending one
	sentryEvery   = 5 * time.Minute        // between two alarms of one fingerprint
	sentryBurst   = 10                     // alarms of one process in a minute
	sentryFlush   = 2 * time.Second        // at exit
	sentryAbandon = 200 * time.Millisecond // of it, for a send to notice that it is given up
)

// SentryOptions say where to send and who sends.
type SentryOptions struct {
	DSN         string
	Environment string
	Release     string
	Role        string
}

// Sentry tells people of what needs them. Nothing waits for it: alarms go
// through a queue of its own, and those that find it full are counted and lost.
// A nil Sentry tells nobody.
type Sentry struct {
	client  *sentry.Client
	role    string
	wire    *sentryWire
	giveUp  context.CancelFunc
	queue   chan alarm
	done    chan struct{}
	dropped *prometheus.CounterVec

	mutex  sync.Mutex
	closed bool
	limits alarmLimits
}

// OpenSentry prepares to send. It does not connect.
func OpenSentry(options SentryOptions, registry prometheus.Registerer) (*Sentry, error) {
	ctx, giveUp := context.WithCancel(context.Background())
	wire := &sentryWire{ctx: ctx, next: http.DefaultTransport.(*http.Transport).Clone()}
	transport := sentry.NewHTTPSyncTransport()
	transport.Timeout = sentryTimeout
	client, err := sentry.NewClient(sentry.ClientOptions{
		Dsn:                  options.DSN,
		Environment:          options.Environment,
		Release:              options.Release,
		Transport:            transport,
		HTTPTransport:        wire,
		Integrations:         func([]sentry.Integration) []sentry.Integration { return nil }, // they collect more than we want to tell
		DisableClientReports: true,
	})
	if err != nil {
		giveUp()
		return nil, errors.New("read the address of Sentry: it must look like https://KEY@HOST/NUMBER")
	}
	s := &Sentry{
		client:  client,
		role:    options.Role,
		wire:    wire,
		giveUp:  giveUp,
		queue:   make(chan alarm, sentryQueue),
		done:    make(chan struct{}),
		dropped: newDropped(registry),
		limits:  newAlarmLimits(),
	}
	go s.send()
	return s, nil
}

// Close sends what waits, for two seconds at most. What is told later is lost.
func (s *Sentry) Close() {
	if s == nil {
		return
	}
	s.mutex.Lock()
	if !s.closed {
		s.closed = true
		close(s.queue)
	}
	s.mutex.Unlock()

	select {
	case <-s.done:
	case <-time.After(sentryFlush - sentryAbandon):
	}
	s.giveUp()
	select {
	case <-s.done:
	case <-time.After(sentryAbandon):
	}
}

// Private

// Why Sentry did not get a report.
const (
	droppedQueue       = "queue_full"
	droppedRate        = "rate"        // more than ten in a minute
	droppedLimited     = "limited"     // Sentry has asked for silence
	droppedRefused     = "refused"     // Sentry answered, and did not take it
	droppedUnreachable = "unreachable" // no answer in time
	droppedPanic       = "panic"
)

func newDropped(registry prometheus.Registerer) *prometheus.CounterVec {
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "app_reporter_dropped_total",
		Help: "Reports that Sentry did not get, by reason.",
	}, []string{"reason"})
	registry.MustRegister(dropped)
	for _, reason := range []string{droppedQueue, droppedRate, droppedLimited, droppedRefused, droppedUnreachable, droppedPanic} {
		dropped.WithLabelValues(reason)
	}
	return dropped
}

// tell queues an alarm, unless the same has been told of late.
func (s *Sentry) tell(a alarm) {
	if s == nil {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	now := time.Now()
	if s.closed || s.limits.toldOfLate(a.fingerprint, now) {
		return
	}
	if !s.limits.take(now) {
		s.drop(droppedRate)
		return
	}
	select {
	case s.queue <- a:
		s.limits.told(a.fingerprint, now)
	default:
		s.drop(droppedQueue)
	}
}

func (s *Sentry) drop(reason string) { s.dropped.WithLabelValues(reason).Inc() }

// send sends what is queued, one alarm after the other.
func (s *Sentry) send() {
	defer close(s.done)
	defer s.client.Close()
	for a := range s.queue {
		s.sendOne(a)
	}
}

func (s *Sentry) sendOne(a alarm) {
	defer func() {
		if recover() != nil {
			s.drop(droppedPanic)
		}
	}()
	s.wire.outcome = droppedLimited // it is not asked when Sentry has asked for silence
	s.client.CaptureEvent(a.event(s.role), nil, nil)
	if s.wire.outcome != "" {
		s.drop(s.wire.outcome)
	}
}

// sentryWire notes what becomes of a request, which the library keeps to
// itself, and gives it up when the program ends. For one request at a time.
type sentryWire struct {
	ctx     context.Context
	next    http.RoundTripper
	outcome string // why the last event was dropped; empty when Sentry took it
}

func (w *sentryWire) RoundTrip(request *http.Request) (*http.Response, error) {
	w.outcome = droppedUnreachable
	ctx, cancel := context.WithTimeout(w.ctx, sentryTimeout)
	response, err := w.next.RoundTrip(request.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	w.outcome = ""
	if response.StatusCode >= 300 {
		w.outcome = droppedRefused
	}
	// The library reads a little of the body, which must not take longer either.
	response.Body = &boundedBody{response.Body, cancel}
	return response, nil
}

// boundedBody ends a request's context with the reading of its answer.
type boundedBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *boundedBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
