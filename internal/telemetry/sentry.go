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

const (
	sentryQueue   = 64                     // alerts that wait to be sent
	sentryTimeout = 5 * time.Second        // for sending one alert
	sentryEvery   = 5 * time.Minute        // between two alerts with one fingerprint
	sentryBurst   = 10                     // alerts of one process in a minute
	sentryAbandon = 200 * time.Millisecond // the part of CloseTimeout in which a cancelled send returns
)

// CloseTimeout bounds how long Reporter.Close and Sentry.Close wait for alerts that
// are being sent.
const CloseTimeout = 2 * time.Second

// SentryOptions are the settings of OpenSentry.
type SentryOptions struct {
	DSN         string // https://KEY@HOST/NUMBER; required
	Environment string // such as "production"
	Release     string // version of the build; may be empty
	Role        string // of this process, such as "web"
}

// Sentry sends alerts to a Sentry server (https://develop.sentry.dev/sdk/) from
// a goroutine of its own. Callers never wait for it: an alert that finds the
// queue full is counted and lost. A nil Sentry sends nothing.
type Sentry struct {
	client  *sentry.Client
	role    string
	wire    *outcomeTransport
	cancel  context.CancelFunc // of the send in progress and all later ones
	queue   chan alert
	done    chan struct{}
	dropped *prometheus.CounterVec

	mutex  sync.Mutex
	closed bool
	limits alertLimits
}

// OpenSentry starts the sending goroutine, which Close ends. It does not connect.
// Its error never contains the DSN.
func OpenSentry(options SentryOptions, registry prometheus.Registerer) (*Sentry, error) {
	ctx, cancel := context.WithCancel(context.Background())
	wire := &outcomeTransport{ctx: ctx, next: http.DefaultTransport.(*http.Transport).Clone()}
	transport := sentry.NewHTTPSyncTransport()
	transport.Timeout = sentryTimeout
	client, err := sentry.NewClient(sentry.ClientOptions{
		Dsn:                  options.DSN,
		Environment:          options.Environment,
		Release:              options.Release,
		Transport:            transport,
		HTTPTransport:        wire,
		Integrations:         func([]sentry.Integration) []sentry.Integration { return nil }, // they collect personal data
		DisableClientReports: true,
	})
	if err != nil {
		cancel()
		return nil, errors.New("parse the Sentry DSN: it must look like https://KEY@HOST/NUMBER")
	}
	s := &Sentry{
		client:  client,
		role:    options.Role,
		wire:    wire,
		cancel:  cancel,
		queue:   make(chan alert, sentryQueue),
		done:    make(chan struct{}),
		dropped: newDropped(registry),
		limits:  newAlertLimits(),
	}
	go s.sendQueued()
	return s, nil
}

// Close sends queued alerts for up to CloseTimeout, then cancels the rest. Later
// alerts are lost. It may be called again.
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
	case <-time.After(CloseTimeout - sentryAbandon):
	}
	s.cancel()
	select {
	case <-s.done:
	case <-time.After(sentryAbandon):
	}
}

// Private

// Values of the label reason: why an alert was not sent.
const (
	droppedQueue       = "queue_full"
	droppedRate        = "rate"        // more than sentryBurst in a minute
	droppedLimited     = "limited"     // Sentry's last response demands a pause (Retry-After)
	droppedRefused     = "refused"     // Sentry's response is an error
	droppedUnreachable = "unreachable" // no response in time
	droppedPanic       = "panic"
)

func newDropped(registry prometheus.Registerer) *prometheus.CounterVec {
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "app_reporter_dropped_total",
		Help: "Alerts that were not delivered to Sentry, by reason.",
	}, []string{"reason"})
	registry.MustRegister(dropped)
	for _, reason := range []string{droppedQueue, droppedRate, droppedLimited, droppedRefused, droppedUnreachable, droppedPanic} {
		dropped.WithLabelValues(reason)
	}
	return dropped
}

// enqueue queues an alert, unless its fingerprint was sent within sentryEvery.
func (s *Sentry) enqueue(a alert) {
	if s == nil {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	now := time.Now()
	if s.closed || s.limits.wasSent(a.fingerprint, now) {
		return
	}
	if !s.limits.takeToken(now) {
		s.drop(droppedRate)
		return
	}
	select {
	case s.queue <- a:
		s.limits.recordSent(a.fingerprint, now)
	default:
		s.drop(droppedQueue)
	}
}

func (s *Sentry) drop(reason string) { s.dropped.WithLabelValues(reason).Inc() }

// sendQueued sends queued alerts one by one until the queue is closed.
func (s *Sentry) sendQueued() {
	defer close(s.done)
	defer s.client.Close()
	for a := range s.queue {
		s.send(a)
	}
}

func (s *Sentry) send(a alert) {
	defer func() {
		if recover() != nil {
			s.drop(droppedPanic)
		}
	}()
	s.wire.outcome = droppedLimited // the client makes no request during the pause that Sentry demands
	s.client.CaptureEvent(a.event(s.role), nil, nil)
	if s.wire.outcome != "" {
		s.drop(s.wire.outcome)
	}
}

// outcomeTransport records the outcome of a request, which the Sentry client does
// not return, and cancels the request when ctx ends. It serves one request at a
// time.
type outcomeTransport struct {
	ctx     context.Context
	next    http.RoundTripper
	outcome string // why the last event was dropped; empty when Sentry accepted it
}

func (t *outcomeTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	t.outcome = droppedUnreachable
	ctx, cancel := context.WithTimeout(t.ctx, sentryTimeout)
	response, err := t.next.RoundTrip(request.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	t.outcome = ""
	if response.StatusCode >= 300 {
		t.outcome = droppedRefused
	}
	// The Sentry client reads part of the body, within the same timeout.
	response.Body = &boundedBody{response.Body, cancel}
	return response, nil
}

// boundedBody cancels the request's context when the response body is closed.
type boundedBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *boundedBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
