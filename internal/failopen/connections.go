package failopen

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// connections are all connections of the clients of one guard, and the sizes of
// the largest request and reply that they carried.
type connections struct {
	mutex sync.Mutex
	open  map[*connection]struct{}

	largestRequest atomic.Int64
	largestReply   atomic.Int64
}

func newConnections() *connections {
	return &connections{open: map[*connection]struct{}{}}
}

// purge closes all connections, those in use too. They may lead to a server
// that no longer has the address of Redis, and a new connection asks for the
// address again.
func (c *connections) purge() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for one := range c.open {
		one.unfit.Store(true)
		_ = one.socket.Close() // fails only when it is closed already
	}
	clear(c.open)
}

// count returns the number of open connections.
func (c *connections) count() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return len(c.open)
}

// wrap makes a connection of conn, whose own socket is below TLS where there is
// any. The receiver may be nil: then nobody purges it.
func (c *connections) wrap(conn, socket net.Conn) *connection {
	wrapped := &connection{Conn: conn, socket: socket, group: c}
	if c != nil {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		c.open[wrapped] = struct{}{}
	}
	return wrapped
}

// connection tells go-redis when it must not be used again: when it was purged,
// or when its server has replied that it serves nothing. Another server may
// have the address by then.
type connection struct {
	net.Conn
	socket net.Conn
	group  *connections // nil: not purged
	unfit  atomic.Bool

	request atomic.Int64 // bytes written since the last reply
	reply   atomic.Int64 // bytes read since the last request
}

func (c *connection) Read(buffer []byte) (int, error) {
	size, err := c.Conn.Read(buffer)
	if servesNothing(buffer[:size]) {
		c.unfit.Store(true)
	}
	if c.group != nil {
		c.request.Store(0)
		raise(&c.group.largestReply, c.reply.Add(int64(size)))
	}
	return size, err
}

func (c *connection) Write(data []byte) (int, error) {
	if c.group != nil {
		c.reply.Store(0)
		raise(&c.group.largestRequest, c.request.Add(int64(len(data))))
	}
	return c.Conn.Write(data)
}

func (c *connection) Close() error {
	if c.group != nil {
		c.group.mutex.Lock()
		delete(c.group.open, c)
		c.group.mutex.Unlock()
	}
	return c.Conn.Close()
}

// SyscallConn is what go-redis asks for to check an idle connection. An error
// makes it discard the connection.
func (c *connection) SyscallConn() (syscall.RawConn, error) {
	if c.unfit.Load() {
		return nil, net.ErrClosed
	}
	if plain, is := c.Conn.(syscall.Conn); is {
		return plain.SyscallConn()
	}
	return unchecked{}, nil
}

// Private

// unchecked is the socket of a TLS connection, into which go-redis cannot look.
type unchecked struct{}

func (unchecked) Control(func(uintptr)) error    { return nil }
func (unchecked) Read(func(uintptr) bool) error  { return nil }
func (unchecked) Write(func(uintptr) bool) error { return nil }

// servesNothing reports whether a reply says that its server serves no call.
func servesNothing(reply []byte) bool {
	return bytes.HasPrefix(reply, []byte("-LOADING ")) || bytes.HasPrefix(reply, []byte("-MASTERDOWN "))
}

func raise(largest *atomic.Int64, size int64) {
	for {
		known := largest.Load()
		if size <= known || largest.CompareAndSwap(known, size) {
			return
		}
	}
}
