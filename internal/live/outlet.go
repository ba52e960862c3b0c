package live

import (
	"io"
	"net"
	"net/http"
	"time"
)

// Private

// outlet is what a stream is sent through.
type outlet interface {
	// send sends a frame at once. It fails when the browser does not take it within
	// writeTimeout.
	send(frame) error
}

// response is the outlet of a stream whose handler waits for its end.
type response struct {
	w          http.ResponseWriter
	controller *http.ResponseController
}

func (r *response) send(one frame) error {
	if err := r.controller.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := r.w.Write(one.text()); err != nil {
		return err
	}
	return r.controller.Flush()
}

// connection is the outlet of a stream in HTTP/1.1 whose handler has returned after it
// has sent the header of the response.
type connection struct {
	net.Conn
	left chan struct{} // closed when the browser has left
	sent int64         // bytes
	deaf bool          // the browser does not take what is sent
}

// takeOver takes the connection of a response over. It fails when something between
// the handler and the connection does not allow that.
func takeOver(w *http.ResponseController) (*connection, error) {
	taken, _, err := w.Hijack()
	if err != nil {
		return nil, err
	}
	return &connection{Conn: taken, left: make(chan struct{})}, nil
}

func (c *connection) send(one frame) error { return c.write(one.chunk) }

// write also takes the deadline back, which would wake the process up later.
func (c *connection) write(content []byte) error {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	n, err := c.Write(content)
	c.sent += int64(n)
	if err != nil {
		c.deaf = true
		return err
	}
	return c.SetWriteDeadline(time.Time{})
}

// watch waits until the browser leaves. What a browser sends meanwhile is no request:
// the response says that the connection ends with it. So after one byte, only a
// frame that cannot be sent tells that the browser has left.
func (c *connection) watch() {
	var next [1]byte
	if _, err := io.ReadFull(c, next[:]); err != nil {
		close(c.left)
	}
}

// finish sends the last chunk, if the browser takes it, and closes the connection.
func (c *connection) finish() {
	if !c.deaf {
		_ = c.write([]byte("0\r\n\r\n")) // the browser may have left
	}
	_ = c.Close()
}
