package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Private

// addressProblem returns what is wrong with a URL, or "". The problem does not quote
// the URL, because it may contain a password.
func addressProblem(value string, schemes ...string) string {
	if problem := loginProblem(value, schemes...); problem != "" {
		return problem
	}
	address, err := url.Parse(value)
	switch {
	case err != nil && strings.Contains(err.Error(), "port"):
		return "has a port that is not a number from 1 to 65535"
	case err != nil:
		return "cannot be read as an address"
	case address.Hostname() == "":
		return "names no host"
	case !validPort(address.Port()) || strings.HasSuffix(address.Host, ":"):
		return "has a port that is not a number from 1 to 65535"
	case address.Fragment != "" || strings.HasSuffix(value, "#"):
		return "has a # after the host; leave it out"
	}
	return ""
}

// loginProblem returns what is wrong with the scheme, user or password of a URL, or "".
// A character that ends the host too early would make a URL of it that nobody meant:
// in smtp://user:12/34@host, the host is user.
func loginProblem(value string, schemes ...string) string {
	scheme, rest, _ := strings.Cut(value, "://")
	if rest == "" || !slices.Contains(schemes, scheme) {
		return fmt.Sprintf("is not an address that begins with %s://", strings.Join(schemes, ":// or "))
	}
	if strings.Contains(value, " ") {
		return escape(' ')
	}
	authority, after := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority, after = rest[:end], rest[end:]
	}
	if strings.Contains(after, "@") {
		return escape(after[0])
	}
	if strings.Count(authority, "@") > 1 {
		return escape('@')
	}
	login, _, _ := strings.Cut(authority, "@")
	if login == authority {
		return ""
	}
	if _, err := url.PathUnescape(login); err != nil {
		return `has a % in its user or password that begins no code such as %2F; write it as %25`
	}
	for i := range len(login) {
		if strings.IndexByte("\"<>[]\\^`{|}", login[i]) >= 0 {
			return escape(login[i])
		}
	}
	return ""
}

func escape(character byte) string {
	return fmt.Sprintf("has %q in its user or password; write it as %%%02X", string(character), character)
}

func validPort(port string) bool {
	number, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && number > 0
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	address := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || address != nil && address.IsLoopback()
}

// private reports whether nobody on the Internet can reach a host.
func private(host string) bool {
	if address := net.ParseIP(host); address != nil {
		return address.IsLoopback() || address.IsPrivate() || address.IsLinkLocalUnicast()
	}
	reserved := []string{"localhost", "local", "internal", "lan", "home.arpa", "test", "example", "invalid"}
	return !strings.Contains(host, ".") ||
		slices.ContainsFunc(reserved, func(domain string) bool { return strings.HasSuffix(host, "."+domain) })
}
