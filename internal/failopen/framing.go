package failopen

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// SubscriberOptions are go-redis options for a client that only subscribes to
// channels. Its connections take nothing but messages, because go-redis panics
// about anything else. The error says that the address cannot be read.
func SubscriberOptions(url string) (*redis.Options, error) {
	options, err := PatientOptions(url, 2)
	if err != nil {
		return nil, err
	}
	options.MaxRetries = -1
	dial := options.Dialer
	options.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := dial(ctx, network, address)
		if subscriber, is := connection.(interface{ expectMessages() }); is {
			subscriber.expectMessages()
		}
		return connection, err
	}
	return options, nil
}

// Private

// The largest reply that a connection accepts. The Redis library reserves the
// memory that a reply announces before any of it has come, and it calls itself
// for each array within an array. Its reader would let any server at the address
// take all memory of the process, or end it.
const (
	longestString = 16 << 20  // bytes of one string
	largestReply  = 64 << 20  // bytes of all strings of one reply
	mostElements  = 256 << 10 // elements of all arrays of one reply
	deepestArray  = 16        // arrays within arrays
	longestLine   = 64 << 10  // bytes of a number, a status or an error
)

// dialFunc is the Dialer of the Redis library.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// checked makes connections that fail as soon as the peer sends what no Redis
// sends, before the library has seen it.
func checked(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		whole := &checkedConnection{Conn: connection}
		if raw, is := connection.(syscall.Conn); is {
			return &rawConnection{whole, raw}, nil
		}
		return whole, nil
	}
}

// checkedConnection reads replies in version 2 of the protocol of Redis.
type checkedConnection struct {
	net.Conn
	replies framing
	failed  error
}

// rawConnection also has the socket, in which the library looks for the end of
// the connection before it uses the connection again.
type rawConnection struct {
	*checkedConnection
	syscall.Conn
}

// Read returns no byte of a reply that is wrong.
func (c *checkedConnection) Read(buffer []byte) (int, error) {
	if c.failed != nil {
		return 0, c.failed
	}
	n, err := c.Conn.Read(buffer)
	if c.failed = c.replies.check(buffer[:n]); c.failed != nil {
		return 0, c.failed
	}
	return n, err
}

func (c *checkedConnection) expectMessages() { c.replies.messagesOnly = true }

// framing follows a stream of replies. It allocates nothing: it costs a few
// nanoseconds for each line of a reply, whatever the size of its strings.
type framing struct {
	state  framingState
	kind   byte // of the line
	line   int  // bytes of the line so far
	length int  // that the line announces; -1 for none
	digits int  // of length
	body   int  // bytes of the string that have not come yet

	depth    int
	left     [deepestArray]int // elements of each open array that have not come yet
	elements int               // of the reply so far
	size     int               // bytes of the strings of the reply so far

	messagesOnly bool // an array must be one that a subscriber can read
	message      message
}

type framingState int

const (
	atKind      framingState = iota // of a new element
	inText                          // up to the end of the line
	inLength                        // after the kind
	afterDigits                     // before the end of the line
	inBody                          // of a string, with the end of its line
)

// check returns an error when data cannot be the next part of the stream.
func (f *framing) check(data []byte) error {
	for len(data) > 0 {
		used, err := f.step(data)
		if err != nil {
			return err
		}
		data = data[used:]
	}
	return nil
}

// step uses the first bytes of data.
func (f *framing) step(data []byte) (used int, err error) {
	switch f.state {
	case atKind:
		f.kind, f.line, f.length, f.digits = data[0], 0, 0, 0
		switch f.kind {
		case '+', '-', ':':
			f.state = inText
		case '$', '*':
			f.state = inLength
		default:
			return 0, wrongReply("no reply begins with " + strconv.QuoteRune(rune(f.kind)))
		}
		return 1, nil
	case inText:
		used = bytes.IndexByte(data, '\n') + 1
		ends := used > 0
		if !ends {
			used = len(data)
		}
		if f.depth == 1 {
			f.message.read(data[:used])
		}
		if f.line += used; f.line > longestLine {
			return 0, wrongReply(fmt.Sprintf("a line is longer than %d bytes", longestLine))
		}
		if ends {
			return used, f.finish()
		}
		return used, nil
	case inLength:
		return 1, f.readLength(data[0])
	case afterDigits:
		if data[0] != '\n' {
			return 0, wrongReply("a length does not end with its line")
		}
		return 1, f.begin()
	default: // inBody
		used = min(f.body, len(data))
		if f.depth == 1 {
			f.message.read(data[:used])
		}
		if f.body -= used; f.body == 0 {
			return used, f.finish()
		}
		return used, nil
	}
}

// readLength reads one character of the length of a string or an array.
func (f *framing) readLength(c byte) error {
	switch {
	case c == '-' && f.digits == 0 && f.length == 0:
		f.length = -1
	case c >= '0' && c <= '9' && f.digits < 10 && (f.length >= 0 || f.digits == 0 && c == '1'):
		f.digits++
		if f.length >= 0 {
			f.length = 10*f.length + int(c-'0')
		}
	case c == '\r' && f.digits > 0:
		f.state = afterDigits
	default:
		return wrongReply("a length is not a number")
	}
	return nil
}

// begin begins the string or the array whose length is known.
func (f *framing) begin() error {
	switch {
	case f.length < 0:
		return f.finish()
	case f.kind == '$':
		if f.size += f.length; f.length > longestString || f.size > largestReply {
			return wrongReply(fmt.Sprintf("strings of %d bytes are announced", f.size))
		}
		f.body, f.state = f.length+len("\r\n"), inBody
		return nil
	}
	if f.elements += f.length; f.elements > mostElements {
		return wrongReply(fmt.Sprintf("%d elements are announced", f.elements))
	}
	if f.length == 0 {
		return f.finish()
	}
	if f.depth == deepestArray {
		return wrongReply(fmt.Sprintf("arrays are more than %d deep", deepestArray))
	}
	f.left[f.depth] = f.length
	f.depth++
	f.state = atKind
	return nil
}

// finish ends an element, and every array of which it is the last one.
func (f *framing) finish() error {
	f.state = atKind
	kind := f.kind
	if f.length < 0 {
		kind = nothing
	}
	for f.depth > 0 {
		if f.depth == 1 {
			f.message.add(kind)
		}
		if f.left[f.depth-1]--; f.left[f.depth-1] > 0 {
			return nil
		}
		f.depth--
		kind = '*'
	}
	if kind == '*' && f.messagesOnly && !f.message.readable() {
		return wrongReply("an array is no message of a channel")
	}
	f.elements, f.size, f.message = 0, 0, message{}
	return nil
}

// nothing stands for the kind of a string or an array that is missing.
const nothing = '_'

// message is what an array says of itself that may be a message of a channel: the
// text of its first element, with the end of its line, and the kinds of all.
type message struct {
	name  [16]byte
	named int
	kinds [4]byte
	count int
}

func (m *message) read(text []byte) {
	if m.count == 0 {
		m.named += copy(m.name[m.named:], text)
	}
}

func (m *message) add(kind byte) {
	if kind == '+' {
		kind = '$' // a string too
	}
	if m.count < len(m.kinds) {
		m.kinds[m.count] = kind
	}
	m.count++
}

// readable reports whether the library reads the array without a panic. It
// returns an error for an array with another name, such as the reply to HELLO.
func (m *message) readable() bool {
	kinds := string(m.kinds[:min(m.count, len(m.kinds))])
	switch string(m.name[:m.named]) {
	case "subscribe\r\n", "unsubscribe\r\n", "psubscribe\r\n", "punsubscribe\r\n", "ssubscribe\r\n", "sunsubscribe\r\n":
		return m.count == 3 && (kinds == "$$:" || kinds == "$_:")
	case "message\r\n", "smessage\r\n":
		return m.count == 3 && kinds == "$$$"
	case "pmessage\r\n":
		return m.count == 4 && kinds == "$$$$"
	case "pong\r\n":
		return m.count == 2 && kinds == "$$"
	}
	return strings.HasPrefix(kinds, "$")
}

// wrongReply is the error of a connection to a peer that is no Redis.
type wrongReply string

func (w wrongReply) Error() string { return "the peer does not speak as Redis does: " + string(w) }

// Class names the error in logs and metrics, see telemetry.Class.
func (w wrongReply) Class() string { return "protocol" }

// Timeout lets a patient client try again after a pause, as it does after a
// connection that broke.
func (w wrongReply) Timeout() bool { return false }
