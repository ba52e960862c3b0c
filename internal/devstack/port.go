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

// FreePort is the first port from the given one upwards that nobody listens
// on, on any address, and that is not among the taken ones.
func FreePort(from int, taken ...int) (int, error) {
	for port := from; port < min(from+1000, 1<<16); port++ {
		if !slices.Contains(taken, port) && portIsFree("", port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("find a free port: none in a thousand from %d", from)
}

// Private

// localPort is a free port of 127.0.0.1: the one that the file remembers, or
// any other. It stays below the range that the kernel hands to outgoing
// connections, where a port can be taken between the look and the use.
func localPort(file string) (int, error) {
	if port := rememberedPort(file); port != 0 && portIsFree("127.0.0.1", port) {
		return port, nil
	}
	for range 1000 {
		if port := 15000 + rand.IntN(17000); portIsFree("127.0.0.1", port) {
			return port, nil
		}
	}
	return 0, errors.New("find a free port: none of a thousand")
}

func rememberedPort(file string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	port, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return port
}

func rememberPort(file string, port int) error {
	return os.WriteFile(file, []byte(strconv.Itoa(port)+"\n"), 0o600)
}

func portIsFree(host string, port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}
