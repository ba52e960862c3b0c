package testorigin

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Private

const (
	maxSize  = 64 << 20 // bytes of a body
	maxSleep = 60_000   // milliseconds
)

// script is what a query asks the origin to do.
type script struct {
	header     http.Header
	status     int
	size       int // bytes
	sleep      time.Duration
	empty, cut bool
	failFrom   int // the number of the first call of the path that fails; 0: none does
}

func readScript(query url.Values) (script, error) {
	s := script{header: http.Header{}, empty: query.Get("empty") == "1", cut: query.Get("cut") == "1"}
	for _, field := range query["h"] {
		name, value, found := strings.Cut(field, ":")
		if !found || name == "" {
			return script{}, fmt.Errorf("h=%q: a field is Name:Value", field)
		}
		s.header.Add(name, strings.TrimSpace(value))
	}
	var sleep int
	for name, one := range map[string]struct {
		to           *int
		unset, limit int
	}{
		"code": {&s.status, http.StatusOK, 599}, "size": {&s.size, 0, maxSize},
		"sleep": {&sleep, 0, maxSleep}, "failfrom": {&s.failFrom, 0, 1 << 30},
	} {
		var err error
		if *one.to, err = number(query, name, one.unset, one.limit); err != nil {
			return script{}, err
		}
	}
	if s.status < 200 {
		return script{}, fmt.Errorf("code=%d: a final status is 200 to 599", s.status)
	}
	s.sleep = time.Duration(sleep) * time.Millisecond
	return s, nil
}

func (s script) respond(w http.ResponseWriter, r *http.Request, call, callOfPath int) {
	select {
	case <-time.After(s.sleep):
	case <-r.Context().Done():
		return
	}
	for name, values := range s.header {
		w.Header()[name] = values
	}
	if s.failFrom > 0 && callOfPath >= s.failFrom {
		http.Error(w, fmt.Sprintf("n=%d\nfailed, as the query asks", call), http.StatusInternalServerError)
		return
	}
	body := s.body(call)
	if !s.empty && hasBody(s.status) && w.Header().Get("Content-Length") == "" {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(s.status)
	if s.empty || !hasBody(s.status) {
		return
	}
	if s.cut {
		_, _ = w.Write(body[:len(body)/2]) // the connection is about to end anyhow
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body) // a client that has left needs no reply
}

// body begins with the number of the call, and is size bytes long if that is more.
func (s script) body(call int) []byte {
	body := fmt.Appendf(nil, "n=%d\n", call)
	if missing := s.size - len(body); missing > 0 {
		body = append(body, bytes.Repeat([]byte("slipway "), missing/8+1)[:missing]...)
	}
	return body
}

func hasBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// number reads a whole number from 0 to limit.
func number(query url.Values, name string, unset, limit int) (int, error) {
	text := query.Get(name)
	if text == "" {
		return unset, nil
	}
	value, err := strconv.Atoi(text)
	if err != nil || value < 0 || value > limit {
		return 0, fmt.Errorf("%s=%q: it must be a number from 0 to %d", name, text, limit)
	}
	return value, nil
}
