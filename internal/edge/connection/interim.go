package connection

import (
	"bytes"
	"net/http"
)

// Private

// kamalTarget is in every request that kamal-proxy passes on.
const kamalTarget = "X-Kamal-Target"

// observeInterim keeps responses with a status below 200, such as 100 and 103, from
// kamal-proxy. When it buffers responses, it takes the first one for the final one,
// and the client gets 200 for every status.
func (g *Guard) observeInterim(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, guarded := r.Context().Value(connKey{}).(*conn); guarded {
			_, behind := r.Header[kamalTarget]
			c.hidesInterim.Store(behind)
		}
		next.ServeHTTP(w, r)
	})
}

// isInterim reports whether net/http is sending a response with a status below 200. It
// sends each by a write of its own. 101 is not one of them: it is final.
func isInterim(content []byte) bool {
	const status = "HTTP/1.1 1xx"
	return len(content) > len(status) && bytes.HasPrefix(content, []byte(status[:len(status)-2])) &&
		!bytes.HasPrefix(content[len(status)-3:], []byte("101"))
}
