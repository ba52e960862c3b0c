package main

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// events reads the event stream of a page until it ends.
type events struct {
	lines chan string // closed at the end of the stream
}

// openEvents opens the event stream at path. It is closed when the test ends.
func openEvents(t *testing.T, v *visitor, path string) *events {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, v.url+path, nil)
	require.NoError(t, err)
	response, err := (&http.Client{Jar: v.http.Jar, Transport: v.http.Transport}).Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	require.Equal(t, http.StatusOK, response.StatusCode)
	stream := &events{lines: make(chan string, 1000)}
	go func() {
		defer close(stream.lines)
		scanner := bufio.NewScanner(response.Body)
		for scanner.Scan() {
			stream.lines <- scanner.Text()
		}
	}()
	return stream
}

// await returns the first line that holds text.
func (e *events) await(t *testing.T, text string) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case line, open := <-e.lines:
			require.True(t, open, "the stream ended before %q", text)
			if strings.Contains(line, text) {
				return line
			}
		case <-deadline:
			require.Fail(t, "no event", "%q", text)
		}
	}
}

// drain returns the lines that have come so far.
func drain(e *events) (lines []string) {
	for len(e.lines) > 0 {
		lines = append(lines, <-e.lines)
	}
	return lines
}
