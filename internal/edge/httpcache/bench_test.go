package httpcache

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkHit is the cost of a page from the store: the copy of its header and one
// Write.
func BenchmarkHit(b *testing.B) {
	page := strings.Repeat("x", 16<<10)
	c := New(Options{PrivateCookies: []string{"session"}}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		setFields(w.Header(), []string{
			"Content-Type: text/html; charset=utf-8", "Cache-Control: public, max-age=600, stale-while-revalidate=60", `Etag: "abc"`,
			"Date: Sun, 29 Nov 2026 00:00:00 GMT", "Content-Security-Policy: default-src 'self'", "Surrogate-Key: product",
			"Vary: Accept-Language", "X-Content-Type-Options: nosniff",
		})
		w.Header().Del("Date")
		_, _ = w.Write([]byte(page))
	}))
	defer c.Close()
	request := httptest.NewRequest(http.MethodGet, "https://app.example/products/mug?color=blue", nil)
	request.Header.Set("Accept-Language", "en")
	request.Header.Set("User-Agent", "bench")
	c.ServeHTTP(httptest.NewRecorder(), request)
	w := &discarded{header: http.Header{}}

	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		c.ServeHTTP(w, request)
	}
	if w.header.Get("X-Cache") != "hit" {
		b.Fatal("not a hit")
	}
}

type discarded struct{ header http.Header }

func (d *discarded) Header() http.Header               { return d.header }
func (d *discarded) WriteHeader(int)                   {}
func (d *discarded) Write(content []byte) (int, error) { return len(content), nil }
