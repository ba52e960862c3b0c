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
		Handler:           handler,
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
