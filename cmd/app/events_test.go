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

func openEvents(t *testing.T, s *visitor, path string) *events {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	require.NoError(t, err)
	response, err := (&http.Client{Jar: s.http.Jar, Transport: s.http.Transport}).Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	stream := &events{lines: make(chan string, 1000)}
	go func() {
		defer close(stream.lines)
		defer response.Body.Close()
		scanner := bufio.NewScanner(response.Body)
		for scanner.Scan() {
			stream.lines <- scanner.Text()
		}
	}()
	t.Cleanup(cancel)
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
