package connection

import (
	"sync"
	"time"
)

// Private

const (
	// fullBuffer is the size of the buffer through which net/http and its HTTP/2 write.
	// A write of exactly that size nearly always means that more follows at once.
	fullBuffer = 4 << 10

	// corkedFor is how long a full buffer waits for what follows.
	corkedFor = time.Millisecond

	// joinedAtMost is the largest write that is copied to follow a full buffer.
	joinedAtMost = chunk - fullBuffer
)

// cork keeps a full buffer until the next write, and sends both by one system call: most
// of a response of 5 to 30 KB is the price of its system calls. What follows the buffer
// is there within microseconds; a response that ends with it, or pauses after it, waits
// for the end of the request or for corkedFor.
type cork struct {
	mutex sync.Mutex // held while bytes are sent, so that they stay in order
	kept  *[]byte    // of buffers; nil: nothing
	timer *time.Timer
}

// buffers are of full buffers with what follows them.
var buffers = sync.Pool{New: func() any {
	buffer := make([]byte, 0, chunk)
	return &buffer
}}

// keep keeps a full buffer. It sends the one before it, if there is one.
func (c *conn) keep(content []byte) (int, error) {
	if err := c.uncorkLocked(); err != nil {
		return 0, err
	}
	buffer := buffers.Get().(*[]byte)
	*buffer = append((*buffer)[:0], content...)
	c.cork.kept = buffer
	if c.cork.timer == nil {
		c.cork.timer = time.AfterFunc(corkedFor, c.uncork)
	} else {
		c.cork.timer.Reset(corkedFor)
	}
	return len(content), nil
}

// join sends the kept buffer with what follows it. It returns how much of that is sent.
func (c *conn) join(content []byte) (int, error) {
	if len(content) > joinedAtMost {
		if err := c.uncorkLocked(); err != nil {
			return 0, err
		}
		return c.send(content)
	}
	buffer := c.cork.take()
	defer buffers.Put(buffer)
	*buffer = append(*buffer, content...)
	n, err := c.send(*buffer)
	if n < fullBuffer {
		_ = c.Conn.Close() // see uncorkLocked
	}
	return max(0, n-fullBuffer), err
}

// uncork sends what is kept.
func (c *conn) uncork() {
	c.cork.mutex.Lock()
	defer c.cork.mutex.Unlock()
	_ = c.uncorkLocked() // on an error, the connection has ended
}

// uncorkAtEnd sends what is kept as far as the system takes it at once, unless a write
// is in progress, which the end of the connection ends.
func (c *conn) uncorkAtEnd() {
	if !c.cork.mutex.TryLock() {
		return
	}
	defer c.cork.mutex.Unlock()
	if c.cork.kept != nil {
		buffer := c.cork.take()
		defer buffers.Put(buffer)
		_ = c.Conn.SetWriteDeadline(time.Now().Add(corkedFor))
		_, _ = c.Conn.Write(*buffer)
	}
}

// uncorkLocked sends what is kept. When that fails, the connection ends: whoever wrote it
// has been told that it is sent, and what follows must not take its place.
func (c *conn) uncorkLocked() error {
	if c.cork.kept == nil {
		return nil
	}
	buffer := c.cork.take()
	defer buffers.Put(buffer)
	_, err := c.send(*buffer)
	if err != nil {
		_ = c.Conn.Close()
	}
	return err
}

// take returns what is kept, and forgets it.
func (k *cork) take() *[]byte {
	buffer := k.kept
	k.kept = nil
	k.timer.Stop()
	return buffer
}
