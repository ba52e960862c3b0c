package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/cmd/bench/rawpage"
)

// newPageCommand returns the command of the process that is asked in the place of an
// application by nginx and Thruster, and directly.
func newPageCommand() *cobra.Command {
	var identity bool
	command := &cobra.Command{
		Use:    "page FILE",
		Short:  "Serve one page with net/http on PORT, which everybody may cache for an hour",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, arguments []string) error {
			return servePage(c.Context(), arguments[0], identity)
		},
	}
	command.Flags().BoolVar(&identity, "identity", false, "never serve the page in gzip")
	return command
}

// newRawPageCommand returns the command of the process with the page of a product that
// is made with libraries alone.
func newRawPageCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "rawpage",
		Short:  "Serve the page of a product with echo, pgx and templ alone on PORT",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return rawpage.Serve(c.Context(), net.JoinHostPort("127.0.0.1", os.Getenv("PORT")), os.Getenv("DATABASE_URL"))
		},
	}
}

// Private

// servePage serves a file for all requests, ready compressed to those that accept
// gzip, until ctx ends.
func servePage(ctx context.Context, file string, identity bool) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	packed := inGzip(content)
	page := func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Type", "text/html; charset=utf-8")
		header.Set("Cache-Control", "public, max-age=3600")
		header.Set("Vary", "Accept-Encoding")
		body := content
		if !identity && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			header.Set("Content-Encoding", "gzip")
			body = packed
		}
		header.Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}
	server := &http.Server{
		Addr: net.JoinHostPort("127.0.0.1", os.Getenv("PORT")), Handler: http.HandlerFunc(page), ReadHeaderTimeout: 10 * time.Second,
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
