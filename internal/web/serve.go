package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Serve serves HTTP at address until ctx ends. Then it calls stopping, which may
// be nil and must end responses without an end, such as event streams, and waits
// up to drain for requests in progress. It returns an error when it cannot
// listen, and when requests are still in progress after drain.
func Serve(ctx context.Context, address string, handler http.Handler, drain time.Duration, stopping func(), log *slog.Logger) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s (is another program using this port?): %w", address, err)
	}
	server := &http.Server{
		Handler:           closeAfterChunks(handler),
		ReadHeaderTimeout: 10 * time.Second,
		// Ends the response to a client that does not read. Deadline and event
		// streams set deadlines of their own.
		WriteTimeout: 2 * time.Minute,
		// Longer than a proxy keeps idle connections, so that the proxy closes first.
		IdleTimeout:    6 * time.Minute,
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}

	log.Info("Serving requests", "address", "http://"+address)

	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve on %s: %w", address, err)
	case <-ctx.Done():
	}

	if stopping != nil {
		stopping()
	}
	draining, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := server.Shutdown(draining); err != nil {
		return errors.Join(fmt.Errorf("requests were still in progress after %s: %w", drain, err), server.Close())
	}
	return nil
}

// Private

// closeAfterChunks closes the connection after the response to a request whose end
// two servers might see at different places: one with Transfer-Encoding, because
// net/http hides whether it had Content-Length too (RFC 9112, section 6.1), and one
// of HTTP/1.0, where Transfer-Encoding is ignored. Bytes behind such a request are
// never taken for another one. Browsers send neither.
func closeAfterChunks(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
