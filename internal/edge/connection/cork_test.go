package connection

import (
	"bytes"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestCork_SendsAFullBufferWithWhatFollows(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ writes, sent []int }{
		"a small response":                {[]int{900}, []int{900}},
		"a page":                          {[]int{fullBuffer, 8000}, []int{fullBuffer + 8000}},
		"two full buffers and the end":    {[]int{fullBuffer, fullBuffer, 10}, []int{fullBuffer, fullBuffer + 10}},
		"too much to copy":                {[]int{fullBuffer, joinedAtMost + 1}, []int{fullBuffer, joinedAtMost + 1}},
		"as much as is copied":            {[]int{fullBuffer, joinedAtMost}, []int{chunk}},
		"a full buffer after another end": {[]int{10, fullBuffer, 20, 30}, []int{10, fullBuffer + 20, 30}},
	} {
		inner := &recorder{}
		c := corked(inner)

		var want []byte
		for i, size := range row.writes {
			content := bytes.Repeat([]byte{byte('a' + i)}, size)
			want = append(want, content...)
			n, err := c.Write(content)
			require.NoError(t, err)
			require.Equal(t, size, n, name)
		}

		// A test that pauses for a millisecond between two writes sees them apart.
		if sent := inner.sizes(); len(sent) <= len(row.sent) {
			require.Equal(t, row.sent, sent, name)
		}
		require.Equal(t, want, inner.all(), name)
	}
}

func TestCork_SendsAllInOrder(t *testing.T) {
	t.Parallel()
	inner := &recorder{}
	c := corked(inner)
	random := rand.New(rand.NewPCG(1, 2))

	var want []byte
	for i := range 2000 {
		size := fullBuffer
		if random.IntN(3) == 0 {
			size = random.IntN(2*chunk) + 1
		}
		content := bytes.Repeat([]byte(strconv.Itoa(i)+" "), size)[:size]
		want = append(want, content...)
		n, err := c.Write(content)
		require.NoError(t, err)
		require.Equal(t, size, n)
		switch random.IntN(50) {
		case 0:
			time.Sleep(corkedFor) // so that its timer meets the next write
		case 1:
			c.wait()
		}
	}
	c.uncork()

	require.Equal(t, want, inner.all())
}

func TestCork_KeepsNothingFromAClientThatWaits(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(c *conn){
		"after a while":                  func(*conn) {},
		"when the request ends":          func(c *conn) { c.cork.timer.Stop(); c.wait() },
		"when the connection ends":       func(c *conn) { c.cork.timer.Stop(); _ = c.Close() },
		"when no more will be written":   func(c *conn) { c.cork.timer.Stop(); _ = c.CloseWrite() },
		"when a file follows":            func(c *conn) { c.cork.timer.Stop(); _, _ = c.ReadFrom(strings.NewReader("")) },
		"when the handler takes it over": func(c *conn) { c.cork.timer.Stop(); c.guard.connState(c, http.StateHijacked) },
	} {
		inner := &recorder{}
		c := corked(inner)
		_, err := c.Write(make([]byte, fullBuffer))
		require.NoError(t, err)

		end(c)

		stacktest.Eventually(t, func() bool { return len(inner.all()) == fullBuffer }, name)
	}
}

func TestCork_AConnectionThatLostBytesEnds(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(c *conn) error{
		"a write":            func(c *conn) error { _, err := c.Write([]byte("next")); return err },
		"a full buffer":      func(c *conn) error { _, err := c.Write(make([]byte, fullBuffer)); return err },
		"a large write":      func(c *conn) error { _, err := c.Write(make([]byte, chunk)); return err },
		"the next request":   func(c *conn) error { c.wait(); return nil },
		"a file":             func(c *conn) error { _, err := c.ReadFrom(strings.NewReader("next")); return err },
		"nothing, in a time": func(*conn) error { return nil },
	} {
		inner := &recorder{takes: 100} // and the client reads no more
		c := corked(inner)
		_, err := c.Write(make([]byte, fullBuffer))
		require.NoError(t, err, "the buffer is kept")

		_ = next(c)

		stacktest.Eventually(t, inner.isClosed, name)
		require.Len(t, inner.all(), 100, name)
	}
}

func TestConn_NoLimitOfAHandlerLeavesThatOfTheGuard(t *testing.T) {
	t.Parallel()
	inner := &recorder{}
	c := corked(inner)
	_, err := c.Write([]byte("begins"))
	require.NoError(t, err)
	require.False(t, inner.deadline().IsZero())

	require.NoError(t, c.SetWriteDeadline(time.Time{}))
	require.False(t, inner.deadline().IsZero(), "a write may be in progress")

	c.guard.connState(c, http.StateHijacked)
	require.True(t, inner.deadline().IsZero(), "the handler does what it likes")
}

func TestCork_ResponsesOfExactlyAFullBufferArrive(t *testing.T) {
	t.Parallel()
	server := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		size := r.URL.Query().Get("size")
		bytes, _ := strconv.Atoi(size)
		w.Header().Set("Content-Length", size)
		_, _ = io.WriteString(w, strings.Repeat("x", bytes))
	})

	for _, more := range []string{"", "Connection: close\r\n"} {
		asked := server.dial(t)
		asked.send(t, "HEAD /?size=3000 HTTP/1.1\r\nHost: test\r\n%s\r\n", more)
		header := len("\r\n")
		for line := asked.line(t); line != ""; line = asked.line(t) {
			header += len(line) + len("\r\n")
		}

		peer := server.dial(t)
		peer.send(t, "GET /?size=%d HTTP/1.1\r\nHost: test\r\n%s\r\n", fullBuffer-header, more)
		response := peer.take(t, fullBuffer)

		require.True(t, strings.HasSuffix(response, "\r\n\r\n"+strings.Repeat("x", fullBuffer-header)))
	}
}

// Private

// corked is a connection that writes to another one.
func corked(inner net.Conn) *conn {
	guard := New(Options{Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry()})
	return &conn{Conn: inner, guard: guard}
}

// recorder is a connection that records what is written.
type recorder struct {
	net.Conn
	takes int // bytes, until writes time out; 0: any number

	mutex  sync.Mutex
	writes [][]byte
	until  time.Time
	closed bool
}

func (r *recorder) Write(content []byte) (int, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.closed {
		return 0, net.ErrClosed
	}
	taken := len(content)
	if r.takes > 0 {
		taken = min(taken, max(0, r.takes-len(bytes.Join(r.writes, nil))))
	}
	r.writes = append(r.writes, bytes.Clone(content[:taken]))
	if taken < len(content) {
		return taken, os.ErrDeadlineExceeded
	}
	return taken, nil
}

func (r *recorder) SetWriteDeadline(until time.Time) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.until = until
	return nil
}

func (r *recorder) Close() error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.closed = true
	return nil
}

func (r *recorder) isClosed() bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.closed
}

func (r *recorder) deadline() time.Time {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.until
}

func (r *recorder) sizes() (sizes []int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, one := range r.writes {
		sizes = append(sizes, len(one))
	}
	return sizes
}

func (r *recorder) all() []byte {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return bytes.Join(r.writes, nil)
}
