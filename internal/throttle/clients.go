package throttle

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// Clients finds the address of the client of a request. It reads X-Forwarded-For
// only as far as trusted proxies have written it.
type Clients struct {
	trusted    []netip.Prefix
	ipv6Prefix int
	log        *slog.Logger
	warned     sync.Once
}

// NewClients trusts proxies in the networks of trusted. All addresses of one
// IPv6 network of ipv6Prefix bits count as one client, because a customer is
// given at least a /64.
func NewClients(trusted []netip.Prefix, ipv6Prefix int, log *slog.Logger) *Clients {
	return &Clients{trusted: trusted, ipv6Prefix: ipv6Prefix, log: log}
}

// Address is the address of the client: the last one in X-Forwarded-For that is
// no trusted proxy. It is the address of the peer when that header cannot be
// read, and the zero Addr when the peer is unknown too.
func (c *Clients) Address(r *http.Request) netip.Addr {
	peer := parseHop(r.RemoteAddr)
	forwarded := r.Header["X-Forwarded-For"]
	if len(forwarded) == 0 {
		return peer
	}
	client := peer
	for i := len(forwarded) - 1; i >= 0; i-- {
		for hops, more := forwarded[i], true; more && c.trusts(client); {
			var hop string
			hops, hop, more = cutLastHop(hops)
			if client = parseHop(hop); !client.IsValid() {
				return peer
			}
		}
	}
	c.warnOfSharedLimits(peer, client)
	return client
}

// Bucket is the key of a client: its address, or its network in IPv6. Clients
// with an unknown address share one key, so that none escapes the limits.
func (c *Clients) Bucket(client netip.Addr) string {
	if !client.IsValid() {
		return "unknown"
	}
	if client.Is6() && c.ipv6Prefix < 128 {
		network, err := client.Prefix(c.ipv6Prefix)
		if err == nil {
			return network.String()
		}
	}
	return client.String()
}

// Private

func (c *Clients) trusts(address netip.Addr) bool { return contains(c.trusted, address) }

// warnOfSharedLimits logs, once, that all visitors have one address and so share
// one limit. Docker causes the second case: on a network without IPv6 it
// replaces the address of an IPv6 visitor by that of its own proxy.
func (c *Clients) warnOfSharedLimits(peer, client netip.Addr) {
	switch {
	case len(c.trusted) == 0 && peer.IsPrivate():
		c.warned.Do(func() {
			c.log.Error(untrustedProxy, "proxy", peer.String(),
				"advice", "set it to the network of the proxy")
		})
	case c.trusts(client):
		c.warned.Do(func() {
			c.log.Error(onlyProxies, "address", client.String(),
				"advice", "give the network of the proxy IPv6: without it Docker hides the addresses of IPv6 visitors")
		})
	}
}

const (
	untrustedProxy = "Visitors share one rate limit because RACK_ATTACK_TRUSTED_PROXIES does not name the proxy that sets X-Forwarded-For"
	onlyProxies    = "Visitors share one rate limit because X-Forwarded-For names only trusted proxies"
)

func cutLastHop(list string) (rest, hop string, more bool) {
	comma := strings.LastIndexByte(list, ',')
	if comma < 0 {
		return "", list, false
	}
	return list[:comma], list[comma+1:], true
}

// parseHop reads an address with or without a port, brackets and a zone, as
// proxies and net/http write it. It is the zero Addr when it cannot be read.
func parseHop(hop string) netip.Addr {
	hop = strings.TrimSpace(hop)
	address, err := netip.ParseAddr(strings.Trim(hop, "[]"))
	if err != nil {
		host, _, splitErr := net.SplitHostPort(hop)
		if splitErr != nil {
			return netip.Addr{}
		}
		if address, err = netip.ParseAddr(host); err != nil {
			return netip.Addr{}
		}
	}
	return address.Unmap().WithZone("")
}

func contains(networks []netip.Prefix, address netip.Addr) bool {
	for _, network := range networks {
		if network.Contains(address) {
			return true
		}
	}
	return false
}
