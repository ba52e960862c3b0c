package live

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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

// patience is how long a test waits for what must come.
const patience = stacktest.Patience

// process is a hub with an HTTP server, as a web process has them.
type process struct {
	hub      *Hub
	server   *httptest.Server
	log      *stacktest.Journal
	registry *prometheus.Registry
	opening  string // fragment that every stream begins with
	waits    bool   // handlers wait for the end of their streams
	stop     func()

	outliving atomic.Int64 // streams whose handlers have returned
	sent      atomic.Int64 // bytes of those that have ended
}

// bothWays tests streams whose handlers return, and those whose handlers wait.
func bothWays(t *testing.T, test func(t *testing.T, waits bool)) {
	t.Helper()
	for name, waits := range map[string]bool{"handlers return": false, "handlers wait": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, waits)
		})
	}
}

// startHub starts a process that need not reach Redis.
func startHub(t *testing.T, address string, options StreamOptions) *process {
	t.Helper()
	p := &process{log: &stacktest.Journal{}, registry: prometheus.NewRegistry()}
	reporter := telemetry.NewReporter(slog.New(slog.NewTextHandler(p.log, nil)), prometheus.NewRegistry())
	p.hub = NewHub(address, openRedis(t, address), options, reporter, p.registry)
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := Subscription{Topics: strings.Split(r.URL.Query().Get("topics"), ",")}
		if p.opening != "" {
			page.Opening = append(page.Opening, p.opening)
		}
		if !p.waits {
			page.Outlive = func() func(int64) {
				p.outliving.Add(1)
				return func(bytes int64) {
					p.sent.Add(bytes)
					p.outliving.Add(-1)
				}
			}
		}
		p.hub.Serve(w, r, page)
	}))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = p.hub.Run(ctx) })
	p.stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(func() {
		p.hub.Close()
		p.server.Close()
		p.stop()
	})
	return p
}

// startProcess starts a process and waits until it listens to Redis.
func startProcess(t *testing.T, address string) *process {
	t.Helper()
	p := startHub(t, address, StreamOptions{Lifetime: time.Minute, Limit: 1000})
	stacktest.Eventually(t, func() bool { return p.hub.Last() > 0 })
	return p
}

// waitFor waits until the hub has heard everything published so far.
func (p *process) waitFor(t *testing.T, publisher *Publisher) {
	t.Helper()
	number, ok := lastNumber(t.Context(), publisher.redis)
	require.True(t, ok)
	stacktest.Eventually(t, func() bool { return p.hub.Last() == number })
}

// listening waits until Redis has the hub among its listeners.
func (p *process) listening(t *testing.T, server *devstack.Redis) {
	t.Helper()
	client := stacktest.RedisClient(t, server)
	stacktest.Eventually(t, func() bool {
		listeners, err := client.PubSubNumSub(t.Context(), channel).Result()
		return err == nil && listeners[channel] > 0
	})
}

func (p *process) streams() int {
	p.hub.mutex.Lock()
	defer p.hub.mutex.Unlock()
	return len(p.hub.streams)
}

// queued is how many events wait for the stream that is best off.
func (p *process) queued() int {
	p.hub.mutex.Lock()
	defer p.hub.mutex.Unlock()
	queued := math.MaxInt
	for s := range p.hub.streams {
		queued = min(queued, len(s.events))
	}
	return queued
}

// empty waits until no stream is open.
func (p *process) empty(t *testing.T) {
	t.Helper()
	stacktest.Eventually(t, func() bool { return p.streams() == 0 })
}

// gauge is app_live_streams or app_live_degraded.
func (p *process) gauge(t *testing.T, name string) float64 {
	t.Helper()
	families, err := p.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	require.Fail(t, "no metric "+name)
	return 0
}

// get returns the head of an answer and leaves.
// get opens a stream and leaves it at once.
func (p *process) get(t *testing.T) (status int, header http.Header) {
	t.Helper()
	response, err := http.Get(p.server.URL + "/?topics=mugs")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode, response.Header
}

// visit opens a stream, waits for the first fragment if it shall, and leaves.
func (p *process) visit(path string, stay bool) error {
	response, err := http.Get(p.server.URL + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	lines := bufio.NewScanner(response.Body)
	for stay && lines.Scan() {
		if lines.Text() == "event: fragment" {
			return nil
		}
	}
	return lines.Err()
}

// dial sends a request and reads nothing.
func (p *process) dial(t *testing.T, path string) net.Conn {
	t.Helper()
	connection, err := net.Dial("tcp", p.server.Listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, connection.SetDeadline(time.Now().Add(patience)))
	_, err = fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", path)
	require.NoError(t, err)
	return connection
}

func (p *process) open(t *testing.T, topics string, header ...string) *page {
	t.Helper()
	return p.openAt(t, "/?topics="+topics, header...)
}

// openAt opens a stream, with name and value of headers, and returns when it
// has joined the hub.
func (p *process) openAt(t *testing.T, path string, header ...string) *page {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.server.URL+path, nil)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request) //nolint:bodyclose // the goroutine below closes it
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)

	opened := &page{records: make(chan record, 1000), close: cancel}
	go func() {
		defer close(opened.records)
		defer response.Body.Close()
		readRecords(response.Body, opened.records)
	}()
	require.Positive(t, opened.next(t).retry)
	return opened
}

// page reads one stream as a browser does.
type page struct {
	records chan record
	close   func()
}

// record is what one blank line ends.
type record struct {
	id, event, data string
	retry           int
}

// event is the next record that a page's script must act on.
func (p *page) event(t *testing.T) record {
	t.Helper()
	for {
		if next := p.next(t); next.event != "" && next.event != string(statusLive) && next.event != string(statusDegraded) {
			return next
		}
	}
}

// status is the next status that the stream sends.
func (p *page) status(t *testing.T) status {
	t.Helper()
	for {
		if next := p.next(t); next.event != "" && next.event != "fragment" {
			return status(next.event)
		}
	}
}

// fragment is the next fragment, whatever else comes before.
func (p *page) fragment(t *testing.T) record {
	t.Helper()
	for {
		if next := p.next(t); next.event == "fragment" {
			return next
		}
	}
}

// mark is the next record with a number and no event.
func (p *page) mark(t *testing.T) record {
	t.Helper()
	for {
		if next := p.next(t); next.event == "" && next.id != "" {
			return next
		}
	}
}

func (p *page) next(t *testing.T) record {
	t.Helper()
	select {
	case next, ok := <-p.records:
		require.True(t, ok, "the stream has ended")
		return next
	case <-time.After(patience):
		require.FailNow(t, "the stream says nothing")
		return record{}
	}
}

// last waits for the end and returns the last record.
func (p *page) last(t *testing.T) record {
	t.Helper()
	last := record{}
	for {
		select {
		case next, ok := <-p.records:
			if !ok {
				return last
			}
			last = next
		case <-time.After(patience):
			require.FailNow(t, "the stream does not end")
		}
	}
}

// readRecords parses an event stream: WHATWG HTML, section 9.2.6.
func readRecords(body io.Reader, records chan<- record) {
	var current record
	var data []string
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			current.data = strings.Join(data, "\n")
			records <- current
			current, data = record{}, nil
		case field == "id":
			current.id = value
		case field == "event":
			current.event = value
		case field == "data":
			data = append(data, value)
		case field == "retry":
			current.retry, _ = strconv.Atoi(value)
		}
	}
}

// newHub makes a hub without Redis.
func newHub(t *testing.T, options StreamOptions) *Hub {
	t.Helper()
	reporter := telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	return NewHub("", openRedis(t, ""), options, reporter, prometheus.NewRegistry())
}

func newPublisher(t *testing.T, address string) *Publisher {
	t.Helper()
	return NewPublisher(openRedis(t, address))
}

// publish publishes and returns the number.
func publish(t *testing.T, publisher *Publisher, topic, html string) int64 {
	t.Helper()
	require.True(t, publisher.Publish(t.Context(), Fragment{Topics: []string{topic}, HTML: html}))
	number, ok := lastNumber(t.Context(), publisher.redis)
	require.True(t, ok)
	return number
}

// eventuallyPublish publishes to the topic mugs as soon as Redis is available.
func eventuallyPublish(t *testing.T, publisher *Publisher, html string) {
	t.Helper()
	stacktest.Eventually(t, func() bool {
		return publisher.Publish(t.Context(), Fragment{Topics: []string{"mugs"}, HTML: html})
	})
}

// openRedis opens the guarded Redis at address, with its prober running. An
// empty address is a Redis that is switched off.
func openRedis(t testing.TB, address string) *failopen.Redis {
	t.Helper()
	opened, _ := failopentest.Open(t, failopen.Options{URL: address, Timeout: time.Second})
	return opened
}

// relay passes bytes on to a Redis until blackHole.
type relay struct {
	listener net.Listener
	target   string
	swallow  chan struct{} // closed: what is connected goes silent, and nothing closes
	mutex    sync.Mutex
	running  sync.WaitGroup
}

// startRelay stands between a hub and server, and returns the address to use.
func startRelay(t *testing.T, server *devstack.Redis) (*relay, string) {
	t.Helper()
	address, err := url.Parse(server.URL())
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &relay{listener: listener, target: address.Host, swallow: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	r.running.Go(func() { r.accept(ctx) })
	t.Cleanup(func() {
		cancel()
		require.NoError(t, listener.Close())
		r.running.Wait()
	})
	address.Host = listener.Addr().String()
	return r, address.String()
}

// blackHole lets everything that is connected now go silent. Who connects
// later gets through.
func (r *relay) blackHole() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	close(r.swallow)
	r.swallow = make(chan struct{})
}

func (r *relay) accept(ctx context.Context) {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		context.AfterFunc(ctx, func() { _ = client.Close(); _ = server.Close() })
		r.mutex.Lock()
		swallow := r.swallow
		r.mutex.Unlock()
		r.running.Go(func() { pass(client, server, swallow) })
		r.running.Go(func() { pass(server, client, swallow) })
	}
}

func pass(from, to net.Conn, swallow <-chan struct{}) {
	buffer := make([]byte, 4<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-swallow:
			if err != nil {
				return // and the other side hears nothing of it
			}
		default:
			if err != nil {
				_ = to.Close()
				return
			}
			_, _ = to.Write(buffer[:n])
		}
	}
}
