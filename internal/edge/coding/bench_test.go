package coding

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkHandler serves a product page of 26 KB, written at once.
func BenchmarkHandler(b *testing.B) {
	body := []byte(page)
	handler := New(Options{Jitter: 32}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{"text/html; charset=utf-8"}
		_, _ = w.Write(body)
	}))
	for _, accept := range []string{"identity", "gzip", "zstd"} {
		b.Run(accept, func(b *testing.B) {
			request := httptest.NewRequest(http.MethodGet, "/", nil)
			request.Header.Set("Accept-Encoding", accept)
			before := handler.Stats()
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(&discard{http.Header{}}, request)
			}
			after := handler.Stats()
			if responses := after.Compressed - before.Compressed; responses > 0 {
				b.ReportMetric(float64(after.BytesOut-before.BytesOut)/float64(responses), "B/response")
			}
		})
	}
}

// BenchmarkEncode compresses the same page to be stored.
func BenchmarkEncode(b *testing.B) {
	body := []byte(page)
	for _, c := range ForStored {
		b.Run(c.String(), func(b *testing.B) {
			var size int
			b.ReportAllocs()
			for b.Loop() {
				encoded, _ := Encode(c, Quick, body)
				size = len(encoded)
			}
			b.ReportMetric(float64(size), "B/body")
		})
	}
}

// BenchmarkEvents is what compressed event streams would save, and cost: a fragment of
// 300 bytes of changing text for each event, in one stream.
func BenchmarkEvents(b *testing.B) {
	const size = 300
	body := []byte(page)
	for _, c := range ForLive {
		b.Run(c.String(), func(b *testing.B) {
			stream := live.encoder(c, nil)
			target := &sink{target: io.Discard}
			stream.Reset(target)
			var events int64
			b.ReportAllocs()
			for b.Loop() {
				at := int(events*size) % (len(body) - size)
				_, _ = stream.Write(body[at : at+size])
				_ = stream.Flush()
				events++
			}
			b.ReportMetric(float64(target.bytes)/float64(events), "B/event")
		})
	}
}
