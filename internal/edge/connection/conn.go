package connection

import (
	"container/list"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Private

// chunk is the number of bytes for which a client has the time of WriteTimeout. With
// the default that is about MinimumRate.
const chunk = 32 << 10

// conn is a guarded connection.
type conn struct {
	net.Conn
	guard  *Guard
	client netip.Prefix  // of room
	place  *list.Element // in room; nil when it is closed

	waitingSince atomic.Int64 // for a request, in nanoseconds; 0: a request is in progress
	heard        atomic.Bool  // a part of the next request has come
	hijacked     atomic.Bool  // its handler sets the deadlines
	hidesInterim atomic.Bool  // the client must not get responses with a status below 200
	slow         atomic.Bool  // its client has not read for too long
	closing      sync.Once

	deadline sync.Mutex
	limit    time.Time // of the handler, for writing
	armed    time.Time // of the connection, for writing

	cork cork
}

// Read notes clients that do not finish a header.
func (c *conn) Read(buffer []byte) (int, error) {
	n, err := c.Conn.Read(buffer)
	if n > 0 {
		if !c.heard.Load() {
			c.heard.Store(true)
		}
		return n, err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && c.waitingSince.Load() != 0 && c.heard.Swap(false) {
		c.guard.metrics.closed.WithLabelValues(slowHeader).Inc()
	}
	return n, err
}

// Write sends a full buffer together with what follows it. See cork and send.
func (c *conn) Write(content []byte) (written int, err error) {
	if c.hidesInterim.Load() && isInterim(content) {
		return len(content), nil
	}
	c.cork.mutex.Lock()
	defer c.cork.mutex.Unlock()
	switch {
	case c.hijacked.Load():
		written, err = c.Conn.Write(content)
		return written, c.noteSlow(err)
	case len(content) == fullBuffer:
		return c.keep(content)
	case c.cork.kept != nil:
		return c.join(content)
	default:
		return c.send(content)
	}
}

// send goes on for as long as the client reads a chunk in each WriteTimeout, so that a
// slow client gets all of a long response.
func (c *conn) send(content []byte) (written int, err error) {
	unread := c.unread(len(content))
	for {
		if err := c.arm(); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(content[written:])
		written += n
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return written, err
		}
		before := unread
		if unread = c.unread(len(content)); n+before-unread < chunk || c.expired() {
			return written, c.noteSlow(err)
		}
	}
}

// ReadFrom sends a file without copying it, chunk by chunk.
func (c *conn) ReadFrom(source io.Reader) (sent int64, err error) {
	c.uncork()
	file, limited := source.(*io.LimitedReader)
	if !limited {
		file = &io.LimitedReader{R: source, N: 1<<63 - 1}
	}
	for file.N > 0 {
		part := &io.LimitedReader{R: file.R, N: min(chunk, file.N)}
		if err := c.arm(); err != nil {
			return sent, err
		}
		n, err := io.Copy(c.Conn, part)
		sent, file.N = sent+n, file.N-n
		if err != nil {
			return sent, c.noteSlow(err)
		}
		if part.N > 0 {
			return sent, nil // the file has ended
		}
	}
	return sent, nil
}

// SetWriteDeadline limits the time of a handler's response beside WriteTimeout. Without a
// limit, WriteTimeout stays in force: a write may be in progress.
func (c *conn) SetWriteDeadline(limit time.Time) error {
	c.deadline.Lock()
	defer c.deadline.Unlock()
	if c.limit = limit; limit.IsZero() && !c.hijacked.Load() {
		return nil
	}
	c.armed = limit
	return c.Conn.SetWriteDeadline(limit)
}

// release leaves the connection to a handler, without any limit of ours.
func (c *conn) release() error {
	c.begin()
	c.uncork()
	c.hijacked.Store(true)
	return c.SetWriteDeadline(time.Time{})
}

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *conn) SetDeadline(limit time.Time) error {
	return errors.Join(c.SetReadDeadline(limit), c.SetWriteDeadline(limit))
}

// CloseWrite lets http.Server end a connection so that the client gets the response.
func (c *conn) CloseWrite() error {
	c.uncork()
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close also makes room.
func (c *conn) Close() error {
	c.uncorkAtEnd()
	c.closing.Do(func() { c.guard.room.leave(c) })
	return c.Conn.Close()
}

func (c *conn) begin() { c.waitingSince.Store(0) }

func (c *conn) wait() {
	c.uncork()
	c.heard.Store(false)
	c.guard.room.queueUp(c)
}

// unread returns how many bytes the system has that the client has not taken. For a
// write of not more than a chunk nobody needs to know.
func (c *conn) unread(length int) (bytes int) {
	tcp, ok := c.Conn.(*net.TCPConn)
	if !ok || length <= chunk {
		return 0
	}
	socket, err := tcp.SyscallConn()
	if err != nil {
		return 0 // the connection is closed, as the next write says
	}
	_ = socket.Control(func(descriptor uintptr) {
		bytes, _ = unix.IoctlGetInt(int(descriptor), unix.TIOCOUTQ)
	})
	return bytes
}

// arm sets the deadline of the next write, unless the present one is about as good.
func (c *conn) arm() error {
	timeout := c.guard.options.WriteTimeout
	until := time.Now().Add(timeout)
	c.deadline.Lock()
	defer c.deadline.Unlock()
	if !c.limit.IsZero() && c.limit.Before(until) {
		until = c.limit
	}
	if !c.armed.IsZero() && !c.armed.After(until) && until.Sub(c.armed) < timeout/4 {
		return nil
	}
	c.armed = until
	return c.Conn.SetWriteDeadline(until)
}

// expired reports whether the handler's own deadline has passed.
func (c *conn) expired() bool {
	c.deadline.Lock()
	defer c.deadline.Unlock()
	return !c.limit.IsZero() && !time.Now().Before(c.limit)
}

func (c *conn) noteSlow(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && !c.slow.Swap(true) {
		c.guard.metrics.closed.WithLabelValues(slowReader).Inc()
	}
	return err
}
