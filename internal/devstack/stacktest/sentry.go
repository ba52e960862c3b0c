package stacktest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Sentry is a server that accepts reports of errors as Sentry does, and stores
// them for the test.
type Sentry struct {
	DSN string // the address to report to

	server   *httptest.Server
	mutex    sync.Mutex
	requests []string
}

// StartSentry starts a Sentry that replies 200 to every report. It ends with the
// test.
func StartSentry(t testing.TB) *Sentry {
	t.Helper()
	return StartSentryWith(t, func(http.ResponseWriter, *http.Request) {})
}

// StartSentryWith is StartSentry with a reply of the test's own. The report is
// stored before reply is called.
func StartSentryWith(t testing.TB, reply http.HandlerFunc) *Sentry {
	t.Helper()
	s := &Sentry{}
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a report that was cut short has a body that is no JSON
		s.mutex.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.Path+"\n"+string(body))
		s.mutex.Unlock()
		reply(w, r)
	}))
	t.Cleanup(s.Close)
	s.DSN = strings.Replace(s.server.URL, "://", "://public-key@", 1) + "/42"
	return s
}

// Await waits for a number of requests, and returns all that have come by then.
func (s *Sentry) Await(t testing.TB, number int) string {
	t.Helper()
	Eventually(t, func() bool { return len(s.Requests()) >= number }, "Sentry gets %d requests", number)
	return strings.Join(s.Requests(), "\n")
}

// Close ends the server before the test ends.
func (s *Sentry) Close() { s.server.Close() }

// Requests returns all requests so far, the oldest first: a line with the method
// and the path, and then the body.
func (s *Sentry) Requests() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.requests)
}
