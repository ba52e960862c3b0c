package httpcache

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// site is a cache that listens on loopback, in front of a handler whose calls are
// counted. Its clock only moves by pass.
type site struct {
	t     *testing.T
	cache *Cache
	url   string
	start time.Time

	mutex    sync.Mutex
	passed   time.Duration
	requests []*http.Request // that the handler got
}

// reply is a response with its body.
type reply struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
}

func newSite(t *testing.T, options Options, handler http.HandlerFunc) *site {
	t.Helper()
	s := &site{t: t, start: time.Date(2026, time.November, 29, 12, 0, 0, 0, time.UTC)}
	options.Now = s.now
	s.cache = New(options, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mutex.Lock()
		s.requests = append(s.requests, r.Clone(r.Context()))
		s.mutex.Unlock()
		w.Header().Set("Date", s.now().Format(http.TimeFormat))
		handler(w, r)
	}))
	server := httptest.NewServer(s.cache)
	t.Cleanup(s.cache.Close)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// says returns a handler that sends fields ("Name: value") and a body that counts
// its calls: "1", "2" and so on.
func says(fields ...string) http.HandlerFunc {
	var mutex sync.Mutex
	calls := 0
	return func(w http.ResponseWriter, _ *http.Request) {
		mutex.Lock()
		calls++
		call := calls
		mutex.Unlock()
		setFields(w.Header(), fields)
		fmt.Fprint(w, call)
	}
}

func setFields(header http.Header, fields []string) {
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		header.Add(name, value)
	}
}

func (s *site) now() time.Time {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.start.Add(s.passed)
}

func (s *site) pass(d time.Duration) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.passed += d
}

func (s *site) calls() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return len(s.requests)
}

// asked is the last request that the handler got.
func (s *site) asked() *http.Request {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.requests[len(s.requests)-1]
}

func (s *site) get(path string, fields ...string) reply {
	s.t.Helper()
	return s.send(http.MethodGet, path, "", fields...)
}

func (s *site) send(method, path, body string, fields ...string) reply {
	s.t.Helper()
	got, err := s.try(method, path, body, fields...)
	require.NoError(s.t, err)
	return got
}

func (s *site) try(method, path, body string, fields ...string) (reply, error) {
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, content)
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("Accept-Encoding", "identity")
	setFields(request.Header, fields)
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
	}
	response, err := noRedirects.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, response.Trailer, string(text)}, err
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// eventually waits until a condition holds.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 10*time.Second, time.Millisecond)
}
