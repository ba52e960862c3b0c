package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// drainingProxy stands in front of web processes and does to them what
// kamal-proxy does in a deploy. A target gets requests once its /up replies
// 2xx; the one it replaces finishes its own, up to a limit. No request is retried
// or buffered.
type drainingProxy struct {
	url string

	mutex  sync.Mutex
	target *target
}

// target is one web process as the proxy sees it.
type target struct {
	url     *url.URL
	forward *httputil.ReverseProxy
	drained context.Context // ends the requests that run after the limit
	cut     context.CancelCauseFunc

	mutex    sync.Mutex
	underWay map[*http.Request]time.Time // since when
	served   int
	requests sync.WaitGroup
}

// arrivedAfter is the age from which a request has certainly reached its process.
const arrivedAfter = 100 * time.Millisecond

var errDrained = errors.New("the proxy has waited long enough")

func newDrainingProxy(t *testing.T) *drainingProxy {
	t.Helper()
	p := &drainingProxy{}
	server := httptest.NewUnstartedServer(p)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // cut streams
	server.Start()
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func newTarget(t *testing.T, web *appProcess) *target {
	t.Helper()
	address, err := url.Parse(web.url)
	require.NoError(t, err)
	transport := &http.Transport{MaxIdleConnsPerHost: 100, ResponseHeaderTimeout: 30 * time.Second}
	t.Cleanup(transport.CloseIdleConnections)
	one := &target{url: address, underWay: map[*http.Request]time.Time{}}
	one.drained, one.cut = context.WithCancelCause(context.Background())
	t.Cleanup(func() { one.cut(nil) })
	one.forward = &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(one.url)
			r.SetXForwarded()
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			status := http.StatusBadGateway
			if errors.Is(context.Cause(r.Context()), errDrained) {
				status = http.StatusGatewayTimeout
			}
			http.Error(w, "the proxy got no answer: "+err.Error(), status)
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	return one
}

// ServeHTTP hands a request to the present target.
func (p *drainingProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	r = r.WithContext(ctx)

	// The lock is held, so that a swap counts every request for one target.
	p.mutex.Lock()
	target := p.target
	target.begin(r)
	p.mutex.Unlock()

	defer target.end(r)
	defer context.AfterFunc(target.drained, func() { cancel(errDrained) })()
	target.forward.ServeHTTP(w, r)
}

// swap sends new requests to next once that is up, and once suits accepts the
// running requests. After an error all is as it was.
func (p *drainingProxy) swap(ctx context.Context, next *target, suits func(old *target) bool) error {
	if err := next.awaitUp(ctx); err != nil {
		return err
	}
	for {
		p.mutex.Lock()
		old := p.target
		if old == nil || suits(old) {
			p.target = next
			p.mutex.Unlock()
			return nil
		}
		p.mutex.Unlock()
		select {
		case <-ctx.Done():
			return fmt.Errorf("no suitable moment, under way: %v", old.atWork(time.Hour))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// drain waits for the requests under way. Cut reports that it ended some.
func (t *target) drain(limit time.Duration) (took time.Duration, cut bool) {
	started := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.requests.Wait()
	}()
	select {
	case <-done:
	case <-time.After(limit):
		cut = true
		t.cut(errDrained)
		<-done
	}
	return time.Since(started), cut
}

// atWork counts the requests that have reached the process, and are younger than
// less, by method and path.
func (t *target) atWork(less time.Duration) map[string]int {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	counts := map[string]int{}
	for r, since := range t.underWay {
		if age := time.Since(since); age > arrivedAfter && age < less {
			counts[r.Method+" "+r.URL.Path]++
		}
	}
	return counts
}

// open counts all requests under way.
func (t *target) open() int {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return len(t.underWay)
}

// Private

func (t *target) begin(r *http.Request) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.requests.Add(1)
	t.underWay[r] = time.Now()
	t.served++
}

func (t *target) end(r *http.Request) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	delete(t.underWay, r)
	t.requests.Done()
}

// awaitUp polls /up until it replies 2xx, ten times as often as kamal-proxy.
func (t *target) awaitUp(ctx context.Context) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for last := "nothing"; ; {
		if ok, answer := t.up(ctx); ok {
			return nil
		} else if ctx.Err() == nil {
			last = answer
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s never came up, /up replied %s", t.url, last)
		case <-ticker.C:
		}
	}
}

func (t *target) up(ctx context.Context) (ok bool, answer string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url.JoinPath("/up").String(), nil)
	if err != nil {
		return false, err.Error()
	}
	request.Header.Set("User-Agent", "kamal-proxy")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return false, err.Error()
	}
	return response.StatusCode/100 == 2, response.Status + ": " + strings.TrimSpace(string(body))
}
