package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"slipway/internal/config"
	"slipway/internal/failopen"
	"slipway/internal/storefront"
	"slipway/internal/telemetry"
	"slipway/internal/throttle"
)

func newThrottleCommand() *cobra.Command {
	command := &cobra.Command{
		Use:     "throttle",
		Short:   "See and end bans and limits",
		Long:    "See whom the limits of internal/storefront/limits.go refuse, and end it.",
		Example: "  app throttle list\n  app throttle reset 192.0.2.7",
		Args:    cobra.ArbitraryArgs,
		RunE:    requireSubcommand,
	}
	command.AddCommand(newThrottleListCommand(), newThrottleResetCommand())
	return command
}

func newThrottleListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List who is banned or over a limit",
		Long: "List who is banned or over a limit at present, by what the web processes told Redis.\n" +
			"Accounts are shown as hashes.\n\n" + config.Help(config.Throttle),
		Example: "  app throttle list",
		RunE: func(c *cobra.Command, _ []string) error {
			return withLimits(c, func(ctx context.Context, redis *failopen.Redis, _ config.Config) error {
				entries, ok := throttle.List(ctx, redis)
				if !ok {
					return errLimitsAway
				}
				if len(entries) == 0 {
					fmt.Fprintln(c.OutOrStdout(), "Nobody is banned or over a limit.")
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

func newThrottleResetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reset [rule | address | account | key]",
		Short: "End bans and begin counts anew",
		Long: "End bans and begin counts anew: all of them, or those of one rule, of a client's address,\n" +
			"of an account or of a key that list shows. Every web process follows within a second of\n" +
			"its next request.\n\n" + config.Help(config.Throttle),
		Example: "  app throttle reset\n  app throttle reset scanner\n  app throttle reset 192.0.2.7",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, what []string) error {
			return withLimits(c, func(ctx context.Context, redis *failopen.Redis, settings config.Config) error {
				number, ok := throttle.Reset(ctx, redis, append(what, "")[0], settings.ThrottleIPv6Prefix)
				if !ok {
					return errLimitsAway
				}
				fmt.Fprintf(c.OutOrStdout(), "Ended %d bans and counts.\n", number)
				return nil
			})
		},
	}
}

// Private

var errLimitsAway = errors.New("no answer from Redis; each web process goes by its own memory until there is one, and a restart of web clears that")

func withLimits(c *cobra.Command, use func(context.Context, *failopen.Redis, config.Config) error) error {
	settings, err := loadConfig(config.Throttle)
	if err != nil {
		return err
	}
	log := telemetry.NewLogger(c.ErrOrStderr(), settings.LogLevel, settings.LogFormat == config.LogJSON, "throttle")
	reporter := telemetry.NewReporter(log, prometheus.NewRegistry())
	failopen.LogThrough(func(source string, err error) { reporter.Report("Redis", source, err) })
	redis, err := failopen.Open(failopen.NewGuard(failopen.Options{URL: settings.RedisURL, Timeout: settings.RedisTimeout, PoolSize: 1}, reporter))
	if err != nil {
		return err
	}
	defer redis.Close()
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	return use(ctx, redis, settings)
}

// throttle is the limiter of the web role, nil when it is switched off.
func (p *process) throttle(redis *failopen.Redis, clients *throttle.Clients, pages *storefront.Storefront, countries *throttle.Countries) (*throttle.Limiter, error) {
	if !p.config.ThrottleEnabled {
		p.log.Warn("Requests are not limited: RACK_ATTACK_ENABLED is false")
		return nil, nil
	}
	rules := pages.Limits(storefront.LimitSettings{
		Safelist: p.config.ThrottleSafelist, Blocklist: p.config.ThrottleBlocklist, Countries: countries,
		Requests: int(p.config.ThrottleRequestLimit), RequestPeriod: time.Duration(p.config.ThrottleRequestPeriod),
		Logins: int(p.config.ThrottleLoginLimit), LoginPeriod: time.Duration(p.config.ThrottleLoginPeriod),
		FailedLogins: throttle.Ban{
			After:  int(p.config.ThrottleFailedLoginLimit),
			Within: time.Duration(p.config.ThrottleFailedLoginPeriod),
			For:    time.Duration(p.config.ThrottleFailedLoginTTL),
		},
	})
	return throttle.New(throttle.Options{
		Redis: redis, Clients: clients, Rules: rules, Sliding: p.config.ThrottleWindow == config.Sliding,
		FallbackDivisor: p.config.ThrottleFallbackDivisor, Log: p.log, Registry: p.registry,
	})
}

// countries refuses visitors by where they are, nil when none is to be refused.
func (p *process) countries() *throttle.Countries {
	if !p.config.ThrottleEnabled || p.config.GeoIPDatabase == "" {
		return nil
	}
	return throttle.NewCountries(p.config.GeoIPDatabase, p.config.BlockedCountries, p.config.AllowedCountries, p.log)
}
