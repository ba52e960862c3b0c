package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// sentryStandIn keeps what it is told.
type sentryStandIn struct {
	address string
	mutex   sync.Mutex
	bodies  []string
}

func startSentry(t *testing.T) *sentryStandIn {
	t.Helper()
	s := &sentryStandIn{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		s.mutex.Lock()
		defer s.mutex.Unlock()
		s.bodies = append(s.bodies, string(body))
	}))
	t.Cleanup(server.Close)
	s.address = strings.Replace(server.URL, "://", "://key@", 1) + "/1"
	return s
}

func (s *sentryStandIn) all() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return append([]string(nil), s.bodies...)
}
