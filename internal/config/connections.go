package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Hosts returns the hosts that pages are served for: those of ALLOWED_HOSTS, TLS_DOMAIN
// and BASE_URL. It is empty when pages are served for any host, because neither of the
// first two is set: then a proxy in front of web knows the hosts.
func (c *Config) Hosts() []string {
	if len(c.AllowedHosts)+len(c.TLSDomains) == 0 {
		return nil
	}
	hosts := slices.Concat(c.AllowedHosts, c.TLSDomains)
	if address, err := url.Parse(c.BaseURL); err == nil && address.Hostname() != "" {
		hosts = append(hosts, address.Hostname())
	}
	return hosts
}

// Proxies returns the peers whose connections are those of many clients: the trusted
// proxies. Without any, they are all private addresses, because a proxy nobody has
// named has such a one.
func (c *Config) Proxies() []netip.Prefix {
	if len(c.ThrottleTrustedProxies) > 0 {
		return c.ThrottleTrustedProxies
	}
	var networks []netip.Prefix
	for _, network := range []string{
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10",
	} {
		networks = append(networks, netip.MustParsePrefix(network))
	}
	return networks
}

// Private

// connectionsForPages are the connections beside those of event streams.
const connectionsForPages = 2000

// proxyPatience is the time after which kamal-proxy gives a request up.
const proxyPatience = 30 * time.Second

// checkConnections reports limits that leave no room for pages, or that a proxy does
// not wait for, and hosts that no request can have.
func (c *Config) checkConnections(checks *Checker) {
	checks.That("MAX_CONNECTIONS", c.MaxConnections > c.LiveStreamLimit || c.MaxConnections <= 0,
		fmt.Sprintf("is %d; it must be more than LIVE_STREAM_LIMIT (%d), or event streams leave no room for pages",
			c.MaxConnections, c.LiveStreamLimit))
	if checks.role == Web {
		checks.Warn("REQUEST_TIMEOUT", c.RequestTimeout < proxyPatience,
			fmt.Sprintf("is %s, and kamal-proxy waits for %s; its response_timeout must be longer", c.RequestTimeout, proxyPatience))
		checks.Warn("HTTP_IDLE_TIMEOUT", time.Duration(c.HTTPIdleTimeout) >= 5*time.Minute,
			"is less than 5m; a proxy that uses a connection which web has just closed loses the request")
	}
	for _, host := range c.AllowedHosts {
		problem := hostProblem(host)
		checks.That("ALLOWED_HOSTS", problem == "", fmt.Sprintf("names %s, %s", host, problem))
	}
}

// hostProblem returns why no request can have a host, as the end of a sentence, or "".
func hostProblem(host string) string {
	name := strings.TrimPrefix(host, "*.")
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	switch {
	case strings.Contains(name, "*"):
		return "and * may only be the first part of a name, as in *.example.com"
	case strings.ContainsAny(name, ":/@"):
		return "which is more than a host name; leave out the scheme, the port and the path"
	case asciiName(name) == "":
		return "which is not a host name"
	}
	return ""
}
