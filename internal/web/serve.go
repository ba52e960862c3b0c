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

// Serve answers requests at address until ctx ends, then finishes those that
// are under way within drain. Stopping is called first: it ends what would
// never finish by itself, such as event streams. May be nil.
func Serve(ctx context.Context, address string, handler http.Handler, drain time.Duration, stopping func(), log *slog.Logger) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s (is another program using this port?): %w", address, err)
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		// For a client that takes nothing; pages and event streams set their own.
		WriteTimeout: 2 * time.Minute,
		// Longer than a proxy keeps a connection that it may use again.
		IdleTimeout:    6 * time.Minute,
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}

	log.Info("Serving", "address", "http://"+address)

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
		return errors.Join(fmt.Errorf("requests were still under way after %s: %w", drain, err), server.Close())
	}
	return nil
}
