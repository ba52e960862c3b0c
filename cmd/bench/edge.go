package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"slipway/internal/edge"
	"slipway/internal/edge/httpcache"
	"slipway/internal/edge/testorigin"
)

func newEdgeCommand() *cobra.Command {
	var judge string
	command := &cobra.Command{
		Use:   "edge",
		Short: "Run the public suite of tests for HTTP caches against the edge",
		Long: `Run a checkout of github.com/http-tests/cache-tests against the HTTP cache of the
edge, with the policy of RFC 9111 and a plain reverse proxy behind it. Everything
listens on 127.0.0.1. It needs node 20 or later, takes a minute, and prints how many
required and optimal tests passed and each that did not.

Four tests, of interim responses, import the package undici and fail where it is not
installed in the checkout.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return judgeEdge(c.Context(), c.OutOrStdout(), judge) },
	}
	command.Flags().StringVar(&judge, "judge", "", "directory of the checkout")
	_ = command.MarkFlagRequired("judge")
	return command
}

// Private

// judgeEdge runs the suite in directory and prints its verdict on the cache.
func judgeEdge(ctx context.Context, out io.Writer, directory string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	origin, err := startSuite(ctx, directory)
	if err != nil {
		return err
	}
	defer origin.stop()
	cached, closeCache, err := serveCached(ctx, origin.address)
	if err != nil {
		return err
	}
	defer closeCache()
	results, err := runSuite(ctx, directory, cached)
	if err != nil {
		return err
	}
	printResults(out, results)
	return nil
}

// serveCached listens with the edge in front of a plain reverse proxy to an address. It returns the address that it listens on.
func serveCached(ctx context.Context, origin string) (address string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("listen for the edge: %w", err)
	}
	cached := edge.New(edge.Options{
		Policy: httpcache.RFC9111, CacheSize: 64 << 20, MaxItemSize: 1 << 20, StaleIfError: time.Minute,
		Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
	}, testorigin.Proxy(&url.URL{Scheme: "http", Host: origin}))
	server := &http.Server{
		Handler: cached, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx },
	}
	go func() { _ = server.Serve(listener) }()
	return listener.Addr().String(), func() { _ = server.Close(); cached.Close() }, nil
}
