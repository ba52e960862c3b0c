package telemetry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	otlpQueue   = 512             // traces that wait to be exported
	otlpBatch   = 64              // traces of one request
	otlpEvery   = 2 * time.Second // between two requests while traces are few
	otlpTimeout = 5 * time.Second // of one request
	// otlpLast bounds the last request of a process that stops.
	otlpLast = time.Second
)

// OTLP exports traces to a collector of OpenTelemetry, as JSON over HTTP
// (https://opentelemetry.io/docs/specs/otlp/). The application never waits for it:
// traces that find the queue full, and those that the collector does not take, are
// counted and lost.
type OTLP struct {
	address  string
	header   http.Header
	resource []otlpAttribute
	client   *http.Client
	queue    chan Ended
	lost     *prometheus.CounterVec
	sends    *LoopLog
}

// OTLPOptions are the settings of NewOTLP.
type OTLPOptions struct {
	Endpoint    string      // base address of the collector, such as http://127.0.0.1:4318
	Header      http.Header // of each request, such as a token; may be nil
	Service     string      // service.name
	Version     string      // service.version
	Environment string      // deployment.environment.name
	Role        string      // service.instance.id begins with it
	Host        string      // host.name
	Log         *slog.Logger
	Registry    prometheus.Registerer
}

// NewOTLP returns an exporter. Call its Run to send what Keep gets. The error is about
// the endpoint.
func NewOTLP(options OTLPOptions) (*OTLP, error) {
	base, err := url.Parse(options.Endpoint)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("read the endpoint of OTLP: it must look like http://collector:4318")
	}
	lost := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "app_traces_lost_total", Help: "Traces that were not exported by OTLP, by reason: queue_full, unreachable or refused.",
	}, []string{"reason"})
	options.Registry.MustRegister(lost)
	for _, reason := range []string{lostQueue, lostUnreachable, lostRefused} {
		lost.WithLabelValues(reason)
	}
	return &OTLP{
		address: base.JoinPath("v1/traces").String(), header: options.Header,
		resource: []otlpAttribute{
			otlpText("service.name", options.Service), otlpText("service.version", options.Version),
			otlpText("service.instance.id", options.Role+"@"+options.Host), otlpText("host.name", options.Host),
			otlpText("deployment.environment.name", options.Environment), otlpText("app.role", options.Role),
		},
		client: &http.Client{
			Timeout: otlpTimeout,
			// Followed, a redirect would lose the body, and carry the headers to another server.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		queue: make(chan Ended, otlpQueue), lost: lost,
		sends: NewLoopLog(options.Log, "Traces were not exported", "Traces are exported again"),
	}, nil
}

// Keep queues a trace. One half of the queue is for those that failed or were slow.
func (o *OTLP) Keep(trace Ended) {
	if trace.Sampled && len(o.queue) > otlpQueue/2 {
		o.lost.WithLabelValues(lostQueue).Inc()
		return
	}
	select {
	case o.queue <- trace:
	default:
		o.lost.WithLabelValues(lostQueue).Inc()
	}
}

// Run exports queued traces until ctx ends, and then the rest for up to a second.
func (o *OTLP) Run(ctx context.Context) error {
	ticker := time.NewTicker(otlpEvery)
	defer ticker.Stop()
	for {
		var batch []Ended
		for full := false; !full; {
			select {
			case trace := <-o.queue:
				batch = append(batch, trace)
				full = len(batch) == otlpBatch
			case <-ticker.C:
				full = len(batch) > 0
			case <-ctx.Done():
				last, cancel := context.WithTimeout(context.WithoutCancel(ctx), otlpLast)
				defer cancel()
				o.send(last, append(batch, o.drain()...))
				return nil
			}
		}
		o.send(ctx, batch)
	}
}

// Private

// Values of the label reason.
const (
	lostQueue       = "queue_full"
	lostUnreachable = "unreachable"
	lostRefused     = "refused"
)

func (o *OTLP) drain() (rest []Ended) {
	for {
		select {
		case trace := <-o.queue:
			rest = append(rest, trace)
		default:
			return rest
		}
	}
}

func (o *OTLP) send(ctx context.Context, batch []Ended) {
	if len(batch) == 0 {
		return
	}
	if reason, err := o.post(ctx, batch); err != nil {
		o.lost.WithLabelValues(reason).Add(float64(len(batch)))
		o.sends.Failed(ctx, err)
		return
	}
	o.sends.Worked(ctx)
}

// post returns why the batch is lost, and its error. The error holds no address,
// because that may hold a password.
func (o *OTLP) post(ctx context.Context, batch []Ended) (reason string, err error) {
	body, _ := json.Marshal(o.export(batch)) // no error: texts and numbers
	ctx, cancel := context.WithTimeout(ctx, otlpTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, o.address, bytes.NewReader(body))
	if err != nil {
		return lostUnreachable, fmt.Errorf("address the collector: %s", Class(err))
	}
	for name, values := range o.header {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := o.client.Do(request)
	if err != nil {
		return lostUnreachable, fmt.Errorf("post traces to the collector: %s", Class(err))
	}
	defer response.Body.Close()                                      //nolint:errcheck // the response has been read
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 4<<10)) // so that the connection is used again
	if response.StatusCode >= http.StatusMultipleChoices {
		return lostRefused, fmt.Errorf("post traces to the collector: it replied with status %d", response.StatusCode)
	}
	return "", nil
}

// The types below are the part of OTLP's JSON that is written here.
type (
	otlpExport struct {
		ResourceSpans []otlpResourceSpans `json:"resourceSpans"`
	}
	otlpResourceSpans struct {
		Resource   otlpResource     `json:"resource"`
		ScopeSpans []otlpScopeSpans `json:"scopeSpans"`
	}
	otlpResource struct {
		Attributes []otlpAttribute `json:"attributes"`
	}
	otlpScopeSpans struct {
		Scope otlpScope  `json:"scope"`
		Spans []otlpSpan `json:"spans"`
	}
	otlpScope struct {
		Name string `json:"name"`
	}
	otlpSpan struct {
		TraceID    string          `json:"traceId"`
		SpanID     string          `json:"spanId"`
		ParentID   string          `json:"parentSpanId,omitempty"`
		Name       string          `json:"name"`
		Kind       int             `json:"kind"`
		Start      string          `json:"startTimeUnixNano"`
		End        string          `json:"endTimeUnixNano"`
		Attributes []otlpAttribute `json:"attributes,omitempty"`
		Status     otlpStatus      `json:"status"`
	}
	otlpStatus struct {
		Code int `json:"code,omitempty"`
	}
	otlpAttribute struct {
		Key   string    `json:"key"`
		Value otlpValue `json:"value"`
	}
	otlpValue struct {
		Text string `json:"stringValue"`
	}
)

// The kinds and the status of spans in OTLP.
const (
	otlpInternal = 1
	otlpServer   = 2
	otlpClient   = 3
	otlpProducer = 4
	otlpConsumer = 5

	otlpError = 2
)

func otlpText(key, text string) otlpAttribute { return otlpAttribute{key, otlpValue{text}} }

func (o *OTLP) export(batch []Ended) otlpExport {
	var spans []otlpSpan
	for _, trace := range batch {
		spans = append(spans, otlpSpans(trace)...)
	}
	return otlpExport{[]otlpResourceSpans{{
		Resource:   otlpResource{o.resource},
		ScopeSpans: []otlpScopeSpans{{Scope: otlpScope{"slipway"}, Spans: spans}},
	}}}
}

// otlpSpans are the spans of a trace, the one for all of it first. Its id follows from
// what it is about, so that the job that a request enqueued can name its parent.
func otlpSpans(trace Ended) []otlpSpan {
	id := TraceID(trace.ID)
	traceID, rootID := hex.EncodeToString(id[:]), otlpSpanID(trace.ID, trace.Work, trace.Attempt)
	root := otlpSpan{
		TraceID: traceID, SpanID: rootID, Name: trace.Name, Kind: otlpServer,
		Start: otlpTime(trace.Started), End: otlpTime(trace.Started.Add(trace.Took)),
		Attributes: []otlpAttribute{otlpText("app.request_id", trace.ID), otlpText("app.outcome", trace.Outcome)},
	}
	if trace.Work != "" {
		root.Kind, root.ParentID = otlpConsumer, otlpSpanID(trace.ID, trace.Parent, min(1, len(trace.Parent)))
		root.Attributes = append(root.Attributes, otlpText("app.work", trace.Work), otlpText("app.attempt", strconv.Itoa(trace.Attempt)))
		if trace.ID == trace.Work {
			root.ParentID = ""
		}
	}
	if trace.Dropped > 0 {
		root.Attributes = append(root.Attributes, otlpText("app.spans_dropped", strconv.Itoa(trace.Dropped)))
	}
	root.Status.Code = otlpStatusOf(trace.Failed)
	spans := []otlpSpan{root}
	for i, span := range trace.Spans {
		began := trace.Started.Add(span.After)
		one := otlpSpan{
			TraceID: traceID, SpanID: otlpSpanID(rootID, strconv.Itoa(i), 0), ParentID: rootID, Kind: otlpClient,
			Name: string(span.Kind), Start: otlpTime(began), End: otlpTime(began.Add(span.Took)), Status: otlpStatus{otlpStatusOf(span.Class != "")},
		}
		switch span.Kind {
		case SQLSpan:
			text := strings.Join(strings.Fields(span.Name), " ")
			one.Attributes = append(one.Attributes, otlpText("db.system.name", "postgresql"), otlpText("db.query.text", text))
		case RedisSpan:
			one.Attributes = append(one.Attributes, otlpText("db.system.name", "redis"), otlpText("app.source", span.Name))
		case EnqueueSpan:
			one.Kind, one.Name = otlpProducer, "enqueue "+span.Name
		case WaitSpan:
			one.Kind, one.Name = otlpInternal, "wait for "+span.Name
		default:
			one.Name = span.Name
		}
		if span.Class != "" {
			one.Attributes = append(one.Attributes, otlpText("error.type", span.Class))
		}
		spans = append(spans, one)
	}
	return spans
}

func otlpStatusOf(failed bool) int {
	if failed {
		return otlpError
	}
	return 0
}

func otlpSpanID(trace, part string, number int) string {
	digest := sha256.Sum256([]byte(trace + "\x00" + part + "\x00" + strconv.Itoa(number)))
	return hex.EncodeToString(digest[:8])
}

func otlpTime(at time.Time) string { return strconv.FormatInt(at.UnixNano(), 10) }
