package connection

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// Private

// pace gives every request deadlines that move on with what its client sends and, in
// HTTP/2, reads. In HTTP/1.1, the connection does the latter.
func (g *Guard) pace(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		multiplexed := r.ProtoMajor > 1
		if multiplexed {
			slow := &writer{ResponseWriter: w, controller: http.NewResponseController(w), guard: g}
			defer slow.arm() // for what net/http sends after the handler
			w = slow
		}
		if r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody {
			sent := &body{ReadCloser: r.Body, controller: http.NewResponseController(w), guard: g}
			if !multiplexed {
				sent.arm() // net/http reads what the handler leaves
			}
			r.Body = sent
		}
		next.ServeHTTP(w, r)
	})
}

// body is the body of a request. A pause of the client may be as long as ReadTimeout.
// All its pauses together may be as much longer as MinimumRate gives for what it has
// sent.
type body struct {
	io.ReadCloser
	controller *http.ResponseController
	guard      *Guard
	received   int64
	waited     time.Duration
	armed      time.Time
	slow       bool
}

func (b *body) Read(buffer []byte) (int, error) {
	b.arm()
	started := time.Now()
	n, err := b.ReadCloser.Read(buffer)
	b.waited += time.Since(started)
	b.received += int64(n)
	if errors.Is(err, os.ErrDeadlineExceeded) && !b.slow {
		b.slow = true
		b.guard.metrics.closed.WithLabelValues(slowBody).Inc()
	}
	return n, err
}

// arm sets the deadline of the next read, unless the present one is about as good.
func (b *body) arm() {
	timeout := b.guard.options.ReadTimeout
	earned := time.Duration(b.received) * time.Second / MinimumRate
	until := time.Now().Add(min(timeout, timeout+earned-b.waited))
	if !b.armed.IsZero() && !b.armed.After(until) && until.Sub(b.armed) < timeout/8 {
		return
	}
	b.armed = until
	_ = b.controller.SetReadDeadline(until) // fails only without a connection, in tests
}

// writer is the response of one stream of HTTP/2. A deadline of such a stream ends it
// also while nobody writes, so there is one only while somebody does.
type writer struct {
	http.ResponseWriter
	controller *http.ResponseController
	guard      *Guard
	limit      time.Time // of the handler
	armed      time.Time
}

// Write gives the client WriteTimeout for every chunk.
func (w *writer) Write(content []byte) (written int, err error) {
	defer w.disarm()
	for {
		part := content[written:min(written+chunk, len(content))]
		w.arm()
		n, err := w.ResponseWriter.Write(part)
		written += n
		if err != nil || written == len(content) {
			return written, w.note(err)
		}
	}
}

// FlushError is for http.ResponseController.
func (w *writer) FlushError() error {
	w.arm()
	defer w.disarm()
	return w.note(w.controller.Flush())
}

// Flush implements http.Flusher.
func (w *writer) Flush() { _ = w.FlushError() }

// SetWriteDeadline is for http.ResponseController.
func (w *writer) SetWriteDeadline(limit time.Time) error {
	w.limit = limit
	return nil
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) arm() {
	until := time.Now().Add(w.guard.options.WriteTimeout)
	if !w.limit.IsZero() && w.limit.Before(until) {
		until = w.limit
	}
	w.armed = until
	_ = w.controller.SetWriteDeadline(until)
}

func (w *writer) disarm() { _ = w.controller.SetWriteDeadline(time.Time{}) }

// note counts a stream that its deadline has ended. Its error says only that it ended.
func (w *writer) note(err error) error {
	if err != nil && !time.Now().Before(w.armed) {
		w.guard.metrics.closed.WithLabelValues(slowReader).Inc()
	}
	return err
}
