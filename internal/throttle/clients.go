package throttle

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// Clients tells who sent a request. Only proxies that are named are believed
// when they say for whom they ask.
type Clients struct {
	trusted    []netip.Prefix
	ipv6Prefix int
	log        *slog.Logger
	warned     sync.Once
}

// NewClients trusts X-Forwarded-For of proxies within trusted, and takes
// addresses of one IPv6 network of ipv6Prefix bits for one client: a customer
// is given a /64 at least.
func NewClients(trusted []netip.Prefix, ipv6Prefix int, log *slog.Logger) *Clients {
	return &Clients{trusted: trusted, ipv6Prefix: ipv6Prefix, log: log}
}

// Address is the client's: the last one in X-Forwarded-For, from the right,
// that is no trusted proxy. Where the way there is unreadable it is the peer's,
// and the zero Addr where even that is unknown.
func (c *Clients) Address(r *http.Request) netip.Addr {
	peer := parseHop(r.RemoteAddr)
	forwarded := r.Header["X-Forwarded-For"]
	if len(forwarded) == 0 {
		return peer
	}
	client := peer
	for i := len(forwarded) - 1; i >= 0 && c.trusts(client); i-- {
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

// Bucket is what requests of one client have in common. Clients whose address
// is unknown share one bucket rather than escape all limits.
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

// warnOfSharedLimits tells the operator, once, that visitors cannot be told
// apart: then one of them uses up the limits of all.
func (c *Clients) warnOfSharedLimits(peer, client netip.Addr) {
	switch {
	case len(c.trusted) == 0 && peer.IsPrivate():
		c.warned.Do(func() {
			c.log.Error("ALL VISITORS SHARE ONE RATE LIMIT: a proxy in a private network names them in X-Forwarded-For, and RACK_ATTACK_TRUSTED_PROXIES does not name the proxy. Set it to the proxy's network", "proxy", peer.String())
		})
	case c.trusts(client):
		c.warned.Do(func() {
			c.log.Error("VISITORS SHARE ONE RATE LIMIT: X-Forwarded-For names nobody but a trusted proxy, as Docker does with IPv6 visitors on a network without IPv6", "address", client.String())
		})
	}
}

func cutLastHop(list string) (rest, hop string, more bool) {
	comma := strings.LastIndexByte(list, ',')
	if comma < 0 {
		return "", list, false
	}
	return list[:comma], list[comma+1:], true
}

// parseHop reads an address as proxies and net/http write it: with or without
// a port, brackets and a zone.
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
