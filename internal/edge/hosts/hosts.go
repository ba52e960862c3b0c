// Package hosts knows the host names of a server, and refuses requests for others.
package hosts

import (
	"net"
	"net/http"
	"strings"

	"golang.org/x/net/idna"
)

// List is the host names of a server.
type List struct {
	names    map[string]bool
	suffixes []string // of "*.example.com": ".example.com"
}

// New returns the list of names, without port. "*.example.com" stands for every name
// that ends with ".example.com".
func New(names ...string) *List {
	l := &List{names: map[string]bool{}}
	for _, name := range names {
		if parent, wildcard := strings.CutPrefix(name, "*."); wildcard {
			if parent = Name(parent); parent != "" {
				l.suffixes = append(l.suffixes, "."+parent)
			}
		} else if name = Name(name); name != "" {
			l.names[name] = true
		}
	}
	return l
}

// Has reports whether a Host header, or the name in a TLS handshake, is one of the
// list. Case, port, trailing dot and the form of international names do not matter.
func (l *List) Has(host string) bool {
	name := Name(host)
	if l.names[name] {
		return true
	}
	for _, suffix := range l.suffixes {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// RefuseOthers answers requests for other hosts with 421, and hands the rest to next.
// Health checks use an IP address or the name of a container, and pass.
func (l *List) RefuseOthers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isHealthCheck(r) && !l.Has(r.Host) {
			Refuse(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Refuse answers a request for another host.
func Refuse(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "This server does not serve this host.", http.StatusMisdirectedRequest)
}

// Name returns the name in a Host header or a TLS handshake in lower-case ASCII,
// without port and trailing dot. It is empty for what is not a name or an address.
func Name(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if address := net.ParseIP(host); address != nil {
		return address.String()
	}
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(host, "."))
	if err != nil {
		return ""
	}
	return name
}

// Private

func isHealthCheck(r *http.Request) bool { return r.URL.Path == "/up" || r.URL.Path == "/health" }
