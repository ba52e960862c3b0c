package certificate

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"

	"golang.org/x/net/idna"
)

// RefuseOthers answers requests for hosts other than the own domains with 421, and
// hands the rest to next. Case, port, trailing dot and the form of international
// names do not matter.
func (d *Domains) RefuseOthers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.own[hostName(r.Host)] {
			http.Error(w, "This server does not serve this host.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Private

// allow is the host policy of autocert. The host may have a port.
func (d *Domains) allow(_ context.Context, host string) error {
	if !d.own[hostName(host)] {
		return fmt.Errorf("%q is not a domain of this server", host)
	}
	return nil
}

// hostName returns the name in a Host header or a TLS handshake in lower-case ASCII,
// without port and trailing dot. It is empty for what is not a name.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(host, "."))
	if err != nil {
		return ""
	}
	return name
}
