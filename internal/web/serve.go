package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"slipway/internal/edge/connection"
)

// Listener is where and how Serve serves.
type Listener struct {
	Address  string
	Handler  http.Handler
	TLS      *tls.Config       // nil: HTTP without encryption
	H2C      bool              // without encryption, HTTP/2 is spoken as well, with clients that know it
	Guard    *connection.Guard // of the connections; nil: they have timeouts, and there may be any number
	Drain    time.Duration     // how long Serve waits for requests in progress
	Stopping func()            // may be nil; must end responses without an end, such as event streams
	// Outliving may be nil. It waits, until its context ends, for responses whose handlers
	// have returned and whose connections http.Server therefore no longer knows.
	Outliving func(context.Context) error
	Log       *slog.Logger
}

// Serve serves HTTP until ctx ends. Then it calls Stopping, and waits up to Drain for
// requests in progress. It returns an error when it cannot listen, and when requests
// are still in progress after Drain.
func Serve(ctx context.Context, l Listener) error {
	guard := l.Guard
	if guard == nil {
		guard = connection.New(connection.Options{Log: l.Log})
	}
	listener, err := guard.Listen(ctx, l.Address)
	switch {
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listen on %s (ports below 1024 need CAP_NET_BIND_SERVICE, see docs/without-kamal.md): %w", l.Address, err)
	case err != nil:
		return fmt.Errorf("listen on %s (is another program using this port?): %w", l.Address, err)
	}
	server := &http.Server{
		Handler:        closeAfterChunks(l.Handler),
		TLSConfig:      l.TLS,
		Protocols:      l.protocols(),
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(l.Log.Handler(), slog.LevelDebug),
	}
	guard.Configure(server)

	scheme, serve := "http://", server.Serve
	if l.TLS != nil {
		scheme, serve = "https://", func(listener net.Listener) error { return server.ServeTLS(listener, "", "") }
	}
	l.Log.Info("Serving requests", "address", scheme+l.Address)

	served := make(chan error, 1)
	go func() { served <- serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve on %s: %w", l.Address, err)
	case <-ctx.Done():
	}

	if l.Stopping != nil {
		l.Stopping()
	}
	draining, cancel := context.WithTimeout(context.Background(), l.Drain)
	defer cancel()
	err = server.Shutdown(draining)
	if err == nil && l.Outliving != nil {
		err = l.Outliving(draining)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("requests were still in progress after %s: %w", l.Drain, err), server.Close())
	}
	return nil
}

// Private

// maxHeader is the greatest size of the header of a request, in bytes. net/http adds
// 4 KiB, and answers longer ones with status 431.
const maxHeader = 64 << 10

// protocols are the versions of HTTP that are spoken.
func (l Listener) protocols() *http.Protocols {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(l.TLS != nil)
	protocols.SetUnencryptedHTTP2(l.H2C && l.TLS == nil)
	return &protocols
}

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
