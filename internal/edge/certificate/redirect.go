package certificate

import (
	"net"
	"net/http"
	"strconv"
	"strings"

	"slipway/internal/edge/hosts"
)

// Redirect is the handler of the HTTP listener. It sends clients to the same address
// with https, at a port, answers the challenge HTTP-01 of the certificate authority,
// and refuses other hosts. It hands /up to next, whatever the
// host: health checks use an IP address and take a redirect for a failure.
func (d *Domains) Redirect(port int, next http.Handler) http.Handler {
	redirect := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { redirectTo(port, w, r) })
	own := d.manager.HTTPHandler(redirect)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/up":
			next.ServeHTTP(w, r)
		case !d.own.Has(r.Host):
			hosts.Refuse(w)
		default:
			own.ServeHTTP(w, r)
		}
	})
}

// Private

// redirectTo lets clients repeat a form as it was (308). It is 301 for GET and HEAD,
// which older clients know too.
func redirectTo(port int, w http.ResponseWriter, r *http.Request) {
	path := r.URL.RequestURI()
	if !strings.HasPrefix(path, "/") {
		http.Error(w, "Use HTTPS.", http.StatusBadRequest) // such as OPTIONS *
		return
	}
	status := http.StatusPermanentRedirect
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		status = http.StatusMovedPermanently
	}
	host := hosts.Name(r.Host)
	if port != 443 {
		host = net.JoinHostPort(host, strconv.Itoa(port))
	}
	http.Redirect(w, r, "https://"+host+path, status)
}
