package connection

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestRoom_TheLongestWaitingConnectionMakesRoom(t *testing.T) {
	t.Parallel()
	server := serve(t, Options{Most: 3}, answerOK)
	first, second, third := server.dial(t), server.dial(t), server.dial(t)
	for _, one := range []*peer{first, second, third, first} { // so the second has waited the longest
		server.visit(t, one, 3)
	}

	fourth := server.dial(t)

	second.requireClosed(t)
	for _, one := range []*peer{fourth, third, first} {
		status, _ := one.get(t)
		require.Equal(t, http.StatusOK, status)
	}
	require.Equal(t, 1, server.closed(t, "made_room"))
	require.Contains(t, server.log.String(), `level=WARN msg="Connections are closed, because too many are open" limit=MAX_CONNECTIONS most=3`)
}

func TestRoom_HalfARequestMakesRoomAndABusyConnectionDoesNot(t *testing.T) {
	t.Parallel()
	for version := 1; version <= 2; version++ {
		began, finish := make(chan struct{}), make(chan struct{})
		server := serve(t, Options{Most: 2}, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				began <- struct{}{}
				<-finish
			}
			w.WriteHeader(http.StatusNoContent)
		})
		status := make(chan int, 1)
		busy := server.client(t, version)
		go func() {
			response, err := busy.Get(server.url + "/slow")
			if err != nil {
				status <- 0
				return
			}
			_ = response.Body.Close()
			status <- response.StatusCode
		}()
		<-began
		slow := server.dial(t)
		slow.send(t, "GET / HTTP/1.1\r\nHost: ")
		stacktest.Eventually(t, func() bool { return server.heard() == 1 })

		visitor := server.dial(t)
		visited, _ := visitor.get(t)

		require.Equal(t, http.StatusNoContent, visited)
		slow.requireClosed(t)
		close(finish)
		require.Equal(t, http.StatusNoContent, <-status, "HTTP/%d", version)
	}
}

func TestRoom_WhenAllAreBusyANewConnectionIsClosed(t *testing.T) {
	t.Parallel()
	began, finish := make(chan struct{}), make(chan struct{})
	server := serve(t, Options{Most: 2}, func(http.ResponseWriter, *http.Request) {
		began <- struct{}{}
		<-finish
	})
	busy := []*peer{server.dial(t), server.dial(t)}
	for _, one := range busy {
		one.send(t, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
		<-began
	}

	for range 3 {
		server.dial(t).requireClosed(t)
	}

	close(finish)
	for _, one := range busy {
		status, _ := one.response(t)
		require.Equal(t, http.StatusOK, status)
	}
	require.Equal(t, 3, server.closed(t, "no_room"))
	require.Equal(t, 1, strings.Count(server.log.String(), "too many are open"), "once a minute")
}

func TestRoom_OneClientDoesNotTakeThatOfOthers(t *testing.T) {
	t.Parallel()
	server := serve(t, Options{Most: 100, MostPerClient: 2, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}}, answerOK)
	first, second := server.dialFrom(t, "127.0.0.1"), server.dialFrom(t, "127.0.0.1")
	other := server.dialFrom(t, "127.0.0.2")
	for _, one := range []*peer{other, second, first} {
		server.visit(t, one, 3)
	}

	third := server.dialFrom(t, "127.0.0.1")

	second.requireClosed(t)
	for _, one := range []*peer{first, other, third} {
		status, _ := one.get(t)
		require.Equal(t, http.StatusOK, status)
	}
	require.Equal(t, 1, server.closed(t, "client_made_room"))
	require.Contains(t, server.log.String(), "limit=MAX_CONNECTIONS_PER_CLIENT most=2")

	for range 5 { // a proxy has the connections of many
		defer server.dialFrom(t, "127.0.0.9").Close()
	}
	stacktest.Eventually(t, func() bool { return server.guard.room.open() == 8 })
	require.Equal(t, 1, server.closed(t, "client_made_room"))
}

func TestRoom_ANetworkOfIPv6IsOneClient(t *testing.T) {
	t.Parallel()
	room := newRoom(Options{MostPerClient: 1, IPv6Prefix: 64, Proxies: []netip.Prefix{netip.MustParsePrefix("fd00::/8")}})
	client := func(address string) (string, bool) {
		network, limited := room.clientOf(&net.TCPAddr{IP: net.ParseIP(address)})
		return network.String(), limited
	}

	for address, network := range map[string]string{
		"2001:db8::1": "2001:db8::/64", "2001:db8::ffff:0:1": "2001:db8::/64", "2001:db8:0:1::1": "2001:db8:0:1::/64",
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32",
	} {
		found, limited := client(address)
		require.True(t, limited)
		require.Equal(t, network, found, address)
	}
	_, limited := client("fd00::1")
	require.False(t, limited)
	_, limited = room.clientOf(&net.UnixAddr{Name: "socket"})
	require.False(t, limited)
}

func TestRoom_CountsConnections(t *testing.T) {
	t.Parallel()
	server := serve(t, Options{}, answerOK)
	open := server.dial(t)
	status, _ := open.get(t)
	require.Equal(t, http.StatusOK, status)

	require.NoError(t, testutil.GatherAndCompare(server.guard.options.Registry.(*prometheus.Registry), strings.NewReader(`
		# HELP app_http_connections Connections of clients that are open, those that wait for a request included.
		# TYPE app_http_connections gauge
		app_http_connections 1
	`), "app_http_connections"))
	count, err := testutil.GatherAndCount(server.guard.options.Registry.(*prometheus.Registry), "app_http_connections_closed_total")
	require.NoError(t, err)
	require.Equal(t, 7, count)
}

// Private

// visit sends a request, and returns when all connections wait for the next one. A
// response is there a little before its connection waits.
func (s *server) visit(t *testing.T, one *peer, connections int) {
	t.Helper()
	status, _ := one.get(t)
	require.Equal(t, http.StatusOK, status)
	s.settle(t, connections)
}

// settle waits until this many connections wait for a request.
func (s *server) settle(t *testing.T, connections int) {
	t.Helper()
	stacktest.Eventually(t, func() bool {
		s.guard.room.mutex.Lock()
		defer s.guard.room.mutex.Unlock()
		waiting := 0
		for place := s.guard.room.order.Front(); place != nil; place = place.Next() {
			if place.Value.(*conn).waitingSince.Load() != 0 {
				waiting++
			}
		}
		return waiting == connections
	})
}

// heard counts the connections that wait and of whose request a part has come.
func (s *server) heard() (count int) {
	s.guard.room.mutex.Lock()
	defer s.guard.room.mutex.Unlock()
	for place := s.guard.room.order.Front(); place != nil; place = place.Next() {
		if c := place.Value.(*conn); c.waitingSince.Load() != 0 && c.heard.Load() {
			count++
		}
	}
	return count
}

// dialFrom opens a connection from an address of this machine.
func (s *server) dialFrom(t *testing.T, address string) *peer {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	dialed, err := dialer.Dial("tcp", s.address)
	require.NoError(t, err)
	return newPeer(t, dialed)
}
