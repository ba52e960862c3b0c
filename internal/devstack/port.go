package devstack

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
)

// FreePort returns the first port, from the given one upwards, that is free on all
// addresses and is not one of taken. It tries a thousand ports.
func FreePort(from int, taken ...int) (int, error) {
	for port := from; port < min(from+1000, 1<<16); port++ {
		if !slices.Contains(taken, port) && portIsFree("", port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("find a free port: none of the 1000 ports from %d is free", from)
}

// Private

// localPort returns a free port of 127.0.0.1: the one in file, else a random one
// below the kernel's range for outgoing connections (ip_local_port_range), so that
// no outgoing connection takes the port before its use.
func localPort(file string) (int, error) {
	if port := readPort(file); port != 0 && portIsFree("127.0.0.1", port) {
		return port, nil
	}
	for range 1000 {
		if port := 15000 + rand.IntN(17000); portIsFree("127.0.0.1", port) {
			return port, nil
		}
	}
	return 0, errors.New("find a free port: none of 1000 random ports is free")
}

func readPort(file string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	port, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return port
}

func writePort(file string, port int) error {
	return os.WriteFile(file, []byte(strconv.Itoa(port)+"\n"), 0o600)
}

func portIsFree(host string, port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}
