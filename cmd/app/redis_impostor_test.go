package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"
)

// impersonate lets a server of the test reply in place of Redis: with reply to every
// command but a greeting. If cuts, it then ends the connection.
func (f *faultyRedis) impersonate(reply string, cuts bool) (end func()) {
	f.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(f.t, err)
	f.running.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			f.running.Go(func() { answerWith(connection, reply, cuts) })
		}
	})
	upstream := f.proxy.Upstream
	f.direct(listener.Addr().String())
	return func() {
		f.direct(upstream)
		require.NoError(f.t, listener.Close())
	}
}

// answerWith speaks as much of the protocol of Redis as a client needs.
func answerWith(connection net.Conn, reply string, cuts bool) {
	defer connection.Close()
	asked := bufio.NewReader(connection)
	for {
		command, err := readCommand(asked)
		if err != nil {
			return
		}
		switch command {
		case "HELLO": // as before Redis 6
			_, err = io.WriteString(connection, "-ERR unknown command 'HELLO'\r\n")
		case "AUTH":
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

// readCommand reads an array of strings and returns the first of them.
func readCommand(asked *bufio.Reader) (string, error) {
	count, err := readLength(asked, '*')
	if err != nil {
		return "", err
	}
	first := ""
	for i := range count {
		size, err := readLength(asked, '$')
		if err != nil {
			return "", err
		}
		argument := make([]byte, size+len("\r\n"))
		if _, err := io.ReadFull(asked, argument); err != nil {
			return "", err
		}
		if i == 0 {
			first = strings.ToUpper(string(argument[:size]))
		}
	}
	return first, nil
}

func readLength(asked *bufio.Reader, kind byte) (int, error) {
	line, err := asked.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("read %q where %q begins", line, kind)
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}
