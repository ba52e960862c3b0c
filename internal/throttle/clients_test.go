package throttle

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestClients_TheAddressIsTheLastUntrustedOne(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("203.0.113.9/32"),
		netip.MustParsePrefix("fd00::/8")}
	for _, one := range []struct {
		peer      string
		forwarded []string
		client    string
	}{
		{"198.51.100.1:1", nil, "198.51.100.1"},
		{"198.51.100.1:1", []string{"192.0.2.1"}, "198.51.100.1"}, // anybody may say anything
		{"172.18.0.2:1", nil, "172.18.0.2"},
		{"172.18.0.2:1", []string{"192.0.2.1"}, "192.0.2.1"},
		{"172.18.0.2:1", []string{"6.6.6.6, 192.0.2.1"}, "192.0.2.1"},
		{"172.18.0.2:1", []string{"6.6.6.6,192.0.2.1,203.0.113.9"}, "192.0.2.1"},
		{"172.18.0.2:1", []string{"6.6.6.6", "192.0.2.1", "203.0.113.9"}, "192.0.2.1"},
		{"172.18.0.2:1", []string{"6.6.6.6,192.0.2.1", " 203.0.113.9 , 172.18.0.5"}, "192.0.2.1"},
		{"172.18.0.2:1", []string{"203.0.113.9, 172.18.0.5"}, "203.0.113.9"},
		{"172.18.0.2:1", []string{"192.0.2.1, garbage"}, "172.18.0.2"},
		{"172.18.0.2:1", []string{"192.0.2.1,"}, "172.18.0.2"},
		{"172.18.0.2:1", []string{""}, "172.18.0.2"},
		{"172.18.0.2:1", []string{"garbage, 192.0.2.1"}, "192.0.2.1"},
		{"172.18.0.2:1", []string{"192.0.2.1:4711"}, "192.0.2.1"},
		{"172.18.0.2:1", []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		{"172.18.0.2:1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"172.18.0.2:1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"172.18.0.2:1", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"172.18.0.2:1", []string{"fe80::1%eth0"}, "fe80::1"},
		{"[fd00::2]:1", []string{"192.0.2.1"}, "192.0.2.1"},
		{"[fd00::2%eth0]:1", []string{"192.0.2.1"}, "192.0.2.1"},
		{"[::ffff:172.18.0.2]:1", []string{"192.0.2.1"}, "192.0.2.1"},
		{"", []string{"192.0.2.1"}, ""},
		{"@", nil, ""},
		{"172.18.0.2:1", []string{strings.Repeat("172.18.0.3,", 5000) + "172.18.0.4"}, "172.18.0.3"},
	} {
		clients := NewClients(proxies, 64, slog.New(slog.DiscardHandler))
		r := &http.Request{RemoteAddr: one.peer, Header: http.Header{"X-Forwarded-For": one.forwarded}}

		address := clients.Address(r)

		if one.client == "" {
			require.False(t, address.IsValid(), "%v", one)
			require.Equal(t, "unknown", clients.Bucket(address))
			continue
		}
		require.Equal(t, one.client, address.String(), "%.100v", one)
	}
}

func TestClients_ABucketIsAnAddressOrAnIPv6Network(t *testing.T) {
	t.Parallel()
	clients := NewClients(nil, 64, nil)

	require.Equal(t, "192.0.2.1", clients.Bucket(netip.MustParseAddr("192.0.2.1")))
	require.Equal(t, "2001:db8:1:2::/64", clients.Bucket(netip.MustParseAddr("2001:db8:1:2:3:4:5:6")))
	require.Equal(t, "2001:db8:1::/48", NewClients(nil, 48, nil).Bucket(netip.MustParseAddr("2001:db8:1:2:3:4:5:6")))
	require.Equal(t, "2001:db8::1", NewClients(nil, 128, nil).Bucket(netip.MustParseAddr("2001:db8::1")))
}

func TestClients_WarnOnceWhenVisitorsShareOneAddress(t *testing.T) {
	t.Parallel()
	docker := []netip.Prefix{netip.MustParsePrefix("172.16.0.0/12")}
	warnings := func(trusted []netip.Prefix, peer, forwarded string) int {
		log := &stacktest.Journal{}
		clients := NewClients(trusted, 64, slog.New(slog.NewTextHandler(log, nil)))
		for range 3 {
			r := &http.Request{RemoteAddr: peer, Header: http.Header{}}
			if forwarded != "" {
				r.Header.Set("X-Forwarded-For", forwarded)
			}
			clients.Address(r)
		}
		return strings.Count(log.String(), "Visitors share one rate limit")
	}

	require.Equal(t, 1, warnings(nil, "172.18.0.2:1", "192.0.2.1"))
	require.Equal(t, 1, warnings(docker, "172.18.0.2:1", "172.18.0.1"))
	require.Zero(t, warnings(docker, "172.18.0.2:1", "192.0.2.1"))
	require.Zero(t, warnings(nil, "172.18.0.1:1", ""), "a container whose port is published")
	require.Zero(t, warnings(nil, "198.51.100.1:1", "192.0.2.1"), "anybody may send that")
}
