package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/config"
	"slipway/internal/health"
)

func newHealthCommand(app application) *cobra.Command {
	var deep bool
	command := &cobra.Command{
		Use:   "health",
		Short: "Ask the role on this machine whether it is up",
		Long: "Ask /up of the role on OPS_PORT; exit code 0 when it is up, else 1. With --deep ask\n" +
			"/health and print its reply. For container health checks: the image has no curl.\n\n" + app.help(config.Health),
		Example: "  app health\n  OPS_PORT=9091 app health --deep",
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := newProcess(c, app, config.Health)
			if err != nil {
				return err
			}
			path := "/up"
			if deep {
				path = "/health"
			}
			ctx, cancel := context.WithTimeout(c.Context(), 2*time.Second)
			defer cancel()
			status, body, err := p.askOps(ctx, path, 64<<10)
			if err != nil {
				return err
			}
			if deep {
				body = readable(body)
			}
			fmt.Fprintln(c.OutOrStdout(), strings.TrimSpace(body))
			if status != http.StatusOK {
				return &exitError{code: exitFailed}
			}
			return nil
		},
	}
	command.Flags().BoolVar(&deep, "deep", false, "ask /health instead of /up")
	return command
}

// Private

// askOps gets a path of the role on this machine that has OPS_PORT, and at most limit
// bytes of the body.
func (p *process) askOps(ctx context.Context, path string, limit int64) (status int, body string, err error) {
	address := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(p.config.OpsPort)) + path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", fmt.Errorf("nothing answers on OPS_PORT %d: %w", p.config.OpsPort, err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, limit))
	if err != nil {
		return 0, "", fmt.Errorf("nothing answers on OPS_PORT %d: %w", p.config.OpsPort, err)
	}
	return response.StatusCode, string(content), nil
}

// readable returns the body of /health as a table, and any other body unchanged.
func readable(body string) string {
	var report health.Report
	if json.Unmarshal([]byte(body), &report) != nil || report.Status == "" {
		return body
	}
	var text strings.Builder
	fmt.Fprintln(&text, report.Status)
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, name := range slices.Sorted(maps.Keys(report.Checks)) {
		check := report.Checks[name]
		since := ""
		if !check.Since.IsZero() {
			since = "since " + check.Since.Format(time.DateTime)
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\n", name, check.Status, since, check.Latency, check.Reason)
	}
	if err := table.Flush(); err != nil {
		return body
	}
	return text.String()
}
