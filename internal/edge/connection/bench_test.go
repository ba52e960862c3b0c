package connection

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
)

// BenchmarkRequest shows what the guard costs a request, beside http.Server alone.
func BenchmarkRequest(b *testing.B) {
	for _, size := range []int{3 << 10, 100 << 10} {
		page := make([]byte, size)
		handle := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) })
		for _, guarded := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dKB/guarded=%t", size>>10, guarded), func(b *testing.B) {
				served := &http.Server{Handler: handle, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
				listener, err := net.Listen("tcp", "127.0.0.1:0")
				if guarded {
					_ = listener.Close()
					guard := New(Options{Most: 4000, MostPerClient: 256, Log: slog.New(slog.DiscardHandler)})
					guard.Configure(served)
					listener, err = guard.Listen(b.Context(), "127.0.0.1:0")
				}
				if err != nil {
					b.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- served.Serve(listener) }()
				b.Cleanup(func() {
					_ = served.Close()
					if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
						b.Error(err)
					}
				})
				transport := &http.Transport{MaxIdleConnsPerHost: 100}
				defer transport.CloseIdleConnections()
				address := "http://" + listener.Addr().String()

				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						response, err := (&http.Client{Transport: transport}).Get(address)
						if err != nil {
							b.Error(err)
							return
						}
						_, _ = io.Copy(io.Discard, response.Body)
						_ = response.Body.Close()
					}
				})
			})
		}
	}
}
