package telemetry

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"sync"
	"time"
)

// Trace is what one request, job or task did, after the model of OpenTelemetry: one
// span for all of it, and one for each call of a backend within it. The traces of a
// request and of all jobs and tasks that it caused have one id. The methods of a nil
// Trace do nothing, and all may be called by several goroutines.
type Trace struct {
	Subject
	started time.Time

	mutex   sync.Mutex
	ended   bool
	dropped int
	spans   []Span
	room    [6]Span // of spans: most traces need no more
}

// Subject is what a trace is about.
type Subject struct {
	ID      string // of the request at the beginning, see RequestID; without one, of the job or task
	Kind    TraceKind
	Name    string // route or kind of work; has few values
	Work    string // the job or task as operators write its id; empty for a request
	Parent  string // the job or task that enqueued this one; empty: none did
	Attempt int    // of a job or task, from 1; 0 for a request
}

// TraceKind is the kind of work that a trace is about.
type TraceKind string

// The kinds of work.
const (
	RequestTrace TraceKind = "request"
	JobTrace     TraceKind = "job"
	TaskTrace    TraceKind = "task"
)

// Span is one call within a trace.
type Span struct {
	Kind  SpanKind
	Name  string        // a statement without its values, the caller of Redis, a service
	After time.Duration // from the start of the trace
	Took  time.Duration
	Class string // of its error, see Class; empty: it went well
}

// SpanKind is what a span called.
type SpanKind string

// The kinds of calls.
const (
	SQLSpan      SpanKind = "sql"
	RedisSpan    SpanKind = "redis"
	OutgoingSpan SpanKind = "outgoing" // a server outside the application, such as for mail
	EnqueueSpan  SpanKind = "enqueue"  // of a job or task
	WaitSpan     SpanKind = "wait"     // for a connection
)

// TraceOf returns the trace of ctx, nil when there is none.
func TraceOf(ctx context.Context) *Trace {
	trace, _ := ctx.Value(traceKey{}).(*Trace)
	return trace
}

// Add records a call that began at started and ended now, with its error, which may be
// nil. After the end of the trace it does nothing.
func (t *Trace) Add(kind SpanKind, name string, started time.Time, err error) {
	if t != nil {
		t.AddSpan(kind, name, started, time.Since(started), err)
	}
}

// AddSpan is Add for a call whose duration is known.
func (t *Trace) AddSpan(kind SpanKind, name string, started time.Time, took time.Duration, err error) {
	if t == nil {
		return
	}
	span := Span{Kind: kind, Name: name, After: started.Sub(t.started), Took: took}
	if err != nil {
		span.Class = Class(err)
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	switch {
	case t.ended:
	case len(t.spans) == mostSpans:
		t.dropped++
	case t.spans == nil:
		t.room[0] = span
		t.spans = t.room[:1]
	default:
		t.spans = append(t.spans, span)
	}
}

// Ended is a trace after its end.
type Ended struct {
	Subject
	Started time.Time
	Took    time.Duration
	Outcome string // an HTTP status or the result of a run
	Failed  bool
	Spans   []Span // in the order of their ends
	Dropped int    // spans beyond mostSpans
	Sampled bool   // it neither failed nor was slow. A client that chooses the id of its request can cause this
}

// TraceID returns the trace id of OpenTelemetry (16 bytes) for the id of a trace. All
// processes derive the same one, so it need not travel beside the id.
func TraceID(id string) [16]byte {
	digest := sha256.Sum256([]byte(id))
	return [16]byte(digest[:16])
}

// Tracer gives requests, jobs and tasks their traces, and passes on those that are
// worth keeping. A nil Tracer traces nothing.
type Tracer struct {
	options TracerOptions
	sample  uint64 // a trace id whose first eight bytes are below this is in the sample
}

// TracerOptions are the settings of a tracer.
type TracerOptions struct {
	// OneIn keeps one of so many traces whatever they are; 1: all, 0: none. The trace id
	// decides, so that all processes keep the same ones.
	OneIn int
	// SlowRequest and SlowWork are the durations from which a request, and a job or
	// task, is kept. 0: none for its duration.
	SlowRequest, SlowWork time.Duration
	// Keep gets the traces to keep, each when it has ended. It must not block.
	Keep []func(Ended)
}

// NewTracer returns a tracer. It is nil when options keep nothing.
func NewTracer(options TracerOptions) *Tracer {
	if len(options.Keep) == 0 {
		return nil
	}
	t := &Tracer{options: options}
	if options.OneIn > 0 {
		t.sample = math.MaxUint64 / uint64(options.OneIn)
	}
	return t
}

// Start begins the trace of a subject, and returns the context of its work.
func (t *Tracer) Start(ctx context.Context, subject Subject) (context.Context, *Trace) {
	if t == nil {
		return ctx, nil
	}
	trace := &Trace{Subject: subject, started: time.Now()}
	return context.WithValue(ctx, traceKey{}, trace), trace
}

// End ends a trace with its outcome, such as an HTTP status, and passes it on when it
// failed, was slow or is in the sample. Further calls do nothing.
func (t *Tracer) End(trace *Trace, outcome string, failed bool) {
	if t == nil || trace == nil {
		return
	}
	took := time.Since(trace.started)
	trace.mutex.Lock()
	again := trace.ended
	trace.ended = true
	trace.mutex.Unlock()
	notable := failed || t.slow(trace.Kind, took)
	if again || (!notable && !t.sampled(trace.ID)) {
		return
	}
	ended := Ended{
		Subject: trace.Subject, Started: trace.started, Took: took, Outcome: outcome, Failed: failed,
		Spans: trace.spans, Dropped: trace.dropped, Sampled: !notable,
	}
	for _, keep := range t.options.Keep {
		keep(ended)
	}
}

// Private

// mostSpans bounds the spans of one trace.
const mostSpans = 100

type traceKey struct{}

func (t *Tracer) slow(kind TraceKind, took time.Duration) bool {
	least := t.options.SlowWork
	if kind == RequestTrace {
		least = t.options.SlowRequest
	}
	return least > 0 && took >= least
}

// sampled decides like the sampler TraceIDRatioBased of OpenTelemetry: by the trace id
// alone.
func (t *Tracer) sampled(id string) bool {
	if t.sample == 0 || t.sample == math.MaxUint64 {
		return t.sample != 0
	}
	trace := TraceID(id)
	return binary.BigEndian.Uint64(trace[:8]) < t.sample
}
