package stacktest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
)

// Impostor listens where a client expects Redis. It replies with the same text to
// every command, until it passes connections on to a real Redis.
type Impostor struct {
	listener net.Listener
	behind   *url.URL
	greets   bool
	running  sync.WaitGroup

	mutex     sync.Mutex
	reply     string
	honest    bool
	seen      int
	connected map[net.Conn]struct{}
}

// StartImpostor starts an impostor before server. With greets, the impostor takes
// part in the handshake of a connection as an old Redis does.
func StartImpostor(t testing.TB, server *devstack.Redis, reply string, greets bool) *Impostor {
	t.Helper()
	behind, err := url.Parse(server.URL())
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	i := &Impostor{listener: listener, behind: behind, reply: reply, greets: greets, connected: map[net.Conn]struct{}{}}
	i.running.Go(i.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		i.hangUp()
		i.running.Wait()
	})
	return i
}

// URL is the address of the impostor, with the password of the real Redis.
func (i *Impostor) URL() string {
	address := *i.behind
	address.Host = i.listener.Addr().String()
	return address.String()
}

// Seen is the number of connections so far.
func (i *Impostor) Seen() int {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	return i.seen
}

// Say ends all connections and gives later ones another reply.
func (i *Impostor) Say(reply string) {
	i.mutex.Lock()
	i.reply = reply
	i.mutex.Unlock()
	i.hangUp()
}

// StepAside ends all connections. Later ones reach the real Redis.
func (i *Impostor) StepAside() {
	i.mutex.Lock()
	i.honest = true
	i.mutex.Unlock()
	i.hangUp()
}

// ReplyInPlaceOfRedis replies to every command on a connection with the same text.
// With greets, it takes part in the handshake as an old Redis does. With cuts, it
// ends the connection after the first reply.
func ReplyInPlaceOfRedis(connection net.Conn, reply string, greets, cuts bool) {
	defer connection.Close()
	commands := bufio.NewReader(connection)
	for {
		command, err := readCommand(commands)
		if err != nil {
			return
		}
		switch {
		case greets && command == "HELLO": // as before Redis 6
			_, err = io.WriteString(connection, "-ERR unknown command 'HELLO'\r\n")
		case greets && (command == "AUTH" || command == "SELECT"):
			_, err = io.WriteString(connection, "+OK\r\n")
		default:
			_, err = io.WriteString(connection, reply)
			if cuts {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// Nonsense are replies that no client of Redis expects.
func Nonsense() []string {
	return []string{
		"*0\r\n", ">0\r\n", "*2\r\n$7\r\nmessage\r\n:1\r\n", ">2\r\n$7\r\nmessage\r\n$1\r\nx\r\n", "*1\r\n:1\r\n", "*1\r\n$-1\r\n",
		"*3\r\n$7\r\nmessage\r\n$-1\r\n$1\r\nx\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n$1\r\n1\r\n", "*2\r\n$4\r\npong\r\n:1\r\n",
		"*4\r\n$8\r\npmessage\r\n$1\r\nx\r\n$1\r\nx\r\n:1\r\n", "*3\r\n$8\r\nsmessage\r\n$1\r\nx\r\n*1\r\n:1\r\n", "*2\r\n-a\r\n-b\r\n",
		"*1000000000\r\n", "$1000000000\r\n", "*262144\r\n", "$16777216\r\n", "*99999999999999999999\r\n", "$-2\r\n", "*-7\r\n",
		strings.Repeat("*1\r\n", 100_000), strings.Repeat("+", 1<<20), "%1\r\n+a\r\n+b\r\n", "|1\r\n+a\r\n+b\r\n", "~1\r\n+a\r\n", "_\r\n",
		"#t\r\n", "=15\r\ntxt:Some string\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", "\x16\x03\x01\x00\xa5", "\r\n", ":x\r\n", "$5\r\nhel",
		"+OK\r\n", ":1\r\n", "$2\r\nhi\r\n", "$-1\r\n", "*-1\r\n", "-\r\n", "-ERR unknown command\r\n", "+OK\r\n*0\r\n",
	}
}

// Private

func (i *Impostor) accept() {
	for {
		connection, err := i.listener.Accept()
		if err != nil {
			return
		}
		i.mutex.Lock()
		i.connected[connection] = struct{}{}
		i.seen++
		reply, honest := i.reply, i.honest
		i.mutex.Unlock()
		i.running.Go(func() {
			defer i.leave(connection)
			if honest {
				i.passOn(connection)
				return
			}
			ReplyInPlaceOfRedis(connection, reply, i.greets, false)
		})
	}
}

func (i *Impostor) passOn(connection net.Conn) {
	server, err := net.Dial("tcp", i.behind.Host)
	if err != nil {
		return
	}
	i.mutex.Lock()
	i.connected[server] = struct{}{}
	i.mutex.Unlock()
	defer i.leave(server)
	i.running.Go(func() {
		_, _ = io.Copy(connection, server)
		_ = connection.Close()
	})
	_, _ = io.Copy(server, connection)
}

func (i *Impostor) leave(connection net.Conn) {
	_ = connection.Close()
	i.mutex.Lock()
	defer i.mutex.Unlock()
	delete(i.connected, connection)
}

func (i *Impostor) hangUp() {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	for connection := range i.connected {
		_ = connection.Close()
	}
}

// readCommand reads an array of strings and returns the first of them.
func readCommand(commands *bufio.Reader) (string, error) {
	count, err := readLength(commands, '*')
	if err != nil {
		return "", err
	}
	first := ""
	for i := range count {
		size, err := readLength(commands, '$')
		if err != nil {
			return "", err
		}
		argument := make([]byte, size+len("\r\n"))
		if _, err := io.ReadFull(commands, argument); err != nil {
			return "", err
		}
		if i == 0 {
			first = strings.ToUpper(string(argument[:size]))
		}
	}
	return first, nil
}

func readLength(commands *bufio.Reader, kind byte) (int, error) {
	line, err := commands.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("read %q where %q begins", line, kind)
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}
