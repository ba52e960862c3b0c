package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/config"
	"slipway/internal/failopen"
	"slipway/internal/throttle"
)

func newThrottleCommand(app application) *cobra.Command {
	command := &cobra.Command{
		Use:     "throttle",
		Short:   "List and end bans and limits",
		Long:    "List the clients that the limits on requests refuse, and end their bans.",
		Example: "  app throttle list\n  app throttle reset 192.0.2.7",
		Args:    cobra.ArbitraryArgs,
		RunE:    requireSubcommand,
	}
	command.AddCommand(newThrottleListCommand(app), newThrottleResetCommand(app))
	return command
}

func newThrottleListCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the clients that are banned or over a limit",
		Long: "List the clients that are banned or over a limit now, as the web processes stored them in\n" +
			"Redis. Accounts are shown as hashes.\n\n" + app.help(config.Throttle),
		Example: "  app throttle list",
		RunE: func(c *cobra.Command, _ []string) error {
			return withLimits(c, app, func(ctx context.Context, redis *failopen.Redis, _ config.Config) error {
				entries, ok := throttle.List(ctx, redis)
				if !ok {
					return errLimitsUnavailable
				}
				if len(entries) == 0 {
					fmt.Fprintln(c.OutOrStdout(), "No client is banned or over a limit.")
					return nil
				}
				table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(table, "KIND\tRULE\tKEY\tENDS IN")
				for _, entry := range entries {
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", entry.Kind, entry.Rule, entry.Key, entry.Left.Round(time.Second))
				}
				return table.Flush()
			})
		},
	}
}

func newThrottleResetCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:   "reset [rule | address | account | key]",
		Short: "End bans and reset counters",
		Long: "End bans and reset counters: all of them, or those of one rule, of a client's address,\n" +
			"of an account or of a key that list shows. Every web process follows within a second of\n" +
			"its next request.\n\n" + app.help(config.Throttle),
		Example: "  app throttle reset\n  app throttle reset scanner\n  app throttle reset 192.0.2.7",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, what []string) error {
			return withLimits(c, app, func(ctx context.Context, redis *failopen.Redis, settings config.Config) error {
				number, ok := throttle.Reset(ctx, redis, append(what, "")[0], settings.ThrottleIPv6Prefix)
				if !ok {
					return errLimitsUnavailable
				}
				fmt.Fprintf(c.OutOrStdout(), "Ended %d bans and counts.\n", number)
				return nil
			})
		},
	}
}

// Private

var errLimitsUnavailable = errors.New("until Redis serves this command, each web process limits requests by its own " +
	"counters, which a restart clears")

func withLimits(c *cobra.Command, app application, use func(context.Context, *failopen.Redis, config.Config) error) error {
	p, err := newProcess(c, app, config.Throttle)
	if err != nil {
		return err
	}
	options := failopen.Options{URL: p.config.RedisURL, Namespace: p.namespace(), Timeout: p.config.RedisTimeout, PoolSize: 1}
	guard := failopen.NewGuard(options, p.reporter)
	redis, err := failopen.Open(guard)
	if err != nil {
		return err
	}
	defer redis.Close()
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	err = use(ctx, redis, p.config)
	if !errors.Is(err, errLimitsUnavailable) || guard.Disabled() {
		return err
	}
	if fault := guard.Check(ctx); fault != nil {
		return fmt.Errorf("%w; %w", fault, err)
	}
	return fmt.Errorf("no reply from Redis, try again; %w", err)
}
