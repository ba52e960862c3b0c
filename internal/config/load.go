package config

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/mail"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Load reads the settings of a role from variables (see Environ). The error
// is Problems: all that is wrong, not only the first.
func Load(role Role, variables map[string]string) (Config, error) {
	given := nonEmpty(variables)
	var config Config
	problems, _ := parse(&config, given, role)
	config.fillDefaults()
	problems = append(problems, config.check(role)...)
	if len(problems) > 0 {
		return config, problems.sorted()
	}
	return config, nil
}

// Warnings are the values that a role cannot read and that Load has replaced by
// their defaults, because they must not keep it from starting.
func Warnings(role Role, variables map[string]string) Problems {
	_, warnings := parse(&Config{}, nonEmpty(variables), role)
	return warnings.sorted()
}

// Private

func nonEmpty(variables map[string]string) map[string]string {
	given := map[string]string{}
	for name, value := range variables {
		if strings.TrimSpace(value) != "" {
			given[name] = value
		}
	}
	return given
}

// parse fills config and reports the values that are not of their type: those
// of lenient variables as warnings, with the default in their place. Variables
// that role does not read are left at their default.
func parse(config *Config, given map[string]string, role Role) (problems, warnings Problems) {
	relevant := map[string]string{}
	fields := map[string]Variable{}
	for _, variable := range Variables() {
		fields[variable.Field] = variable
		if value, ok := given[variable.Name]; ok && variable.ReadBy(role) {
			relevant[variable.Name] = value
		}
	}

	err := env.ParseWithOptions(config, env.Options{Environment: relevant})

	var all env.AggregateError
	if errors.As(err, &all) {
		for _, one := range all.Errors {
			var parseError env.ParseError
			if !errors.As(one, &parseError) {
				panic("config: " + one.Error()) // a field's tags are wrong
			}
			variable := fields[parseError.Name]
			problem := variable.problem(notOfType(variable, relevant[variable.Name]))
			if !variable.lenient {
				problems = append(problems, problem)
				continue
			}
			problem.Text += fmt.Sprintf("; %s is used instead", variable.Default)
			warnings = append(warnings, problem)
			given = maps.Clone(given)
			delete(given, variable.Name)
		}
	}
	if len(warnings) > 0 {
		*config = Config{}
		problems, _ = parse(config, given, role)
	}
	return problems, warnings
}

// fillDefaults sets what depends on other settings.
func (c *Config) fillDefaults() {
	development := c.Environment != Production
	if c.LogFormat == "" {
		c.LogFormat = LogJSON
		if development {
			c.LogFormat = LogText
		}
	}
	if c.BindAddress == "" {
		c.BindAddress = "0.0.0.0"
		if development {
			c.BindAddress = "127.0.0.1"
		}
	}
	if c.QueueRedisURL == "" {
		c.QueueRedisURL = c.RedisURL
	}
	if c.Environment == Development && c.ThrottleSafelist == nil {
		c.ThrottleSafelist = Networks{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	if !development {
		return
	}
	if c.BaseURL == "" {
		c.BaseURL = "http://localhost:" + strconv.Itoa(c.Port)
	}
	if c.SecretKeyBase == "" {
		c.SecretKeyBase = "development only: anybody who reads the source knows this key"
	}
	if c.MailDir == "" && c.SMTPURL == "" {
		c.MailDir = filepath.Join("tmp", "mail")
	}
}

// check reports every value that has the right type and is still wrong.
func (c *Config) check(role Role) Problems {
	checks := checker{role: role}

	checks.oneOf("APP_ENV", string(c.Environment), string(Development), string(Test), string(Production))
	checks.oneOf("LOG_FORMAT", string(c.LogFormat), string(LogText), string(LogJSON))
	checks.oneOf("RACK_ATTACK_WINDOW", string(c.ThrottleWindow), string(Fixed), string(Sliding))
	checks.between("RACK_ATTACK_IPV6_PREFIX", c.ThrottleIPv6Prefix, 32, 128)
	checks.between("RACK_ATTACK_FALLBACK_DIVISOR", c.ThrottleFallbackDivisor, 1, 1000)
	checks.that("RACK_ATTACK_GEOIP_DATABASE", c.GeoIPDatabase != "" || len(c.BlockedCountries)+len(c.AllowedCountries) == 0, "is missing, and countries are to be refused")
	checks.between("PORT", c.Port, 1, 65535)
	checks.between("OPS_PORT", c.OpsPort, 1, 65535)
	checks.that("OPS_PORT", role != Web || c.OpsPort != c.Port, "is the same as PORT; /metrics must not be public")
	checks.between("MAX_REQUEST_BODY", int(c.MaxRequestBody), 1024, 1<<30)
	checks.between("DATABASE_POOL_SIZE", c.DatabasePoolSize, 4, 1000)
	checks.between("DATABASE_QUEUE_LIMIT", c.DatabaseQueueLimit, 1, 1_000_000)
	checks.between("STALE_CACHE_SIZE", int(c.StaleCacheSize), 0, 1<<40)
	checks.between("REDIS_POOL_SIZE", c.RedisPoolSize, 1, 10000)
	checks.between("REDIS_MIN_IDLE", c.RedisMinIdle, 0, 10000)
	checks.that("REDIS_MIN_IDLE", c.RedisMinIdle <= c.RedisPoolSize,
		fmt.Sprintf("is %d; it must not be more than REDIS_POOL_SIZE (%d)", c.RedisMinIdle, c.RedisPoolSize))
	checks.between("REDIS_MAX_IN_FLIGHT", c.RedisMaxInFlight, 1, 100_000)
	checks.between("REDIS_FAILURES", c.RedisFailures, 1, 1000)
	checks.between("LIVE_STREAM_LIMIT", c.LiveStreamLimit, 1, 1_000_000)
	checks.between("ORDER_LIMIT", c.OrderLimit, 0, 1_000_000)
	checks.between("FLASH_SALE_LIMIT_PER_CART", c.FlashSaleLimitPerCart, 1, 20)
	checks.that("DATABASE_POOL_SIZE", role != WorkerPG || c.DatabasePoolSize >= 8 || c.DatabasePoolSize < 4,
		fmt.Sprintf("is %d; worker-pg needs 8: one for each of three queues, one to listen, one to write results, and some for the jobs", c.DatabasePoolSize))
	checks.between("JOBS_CRITICAL_CONCURRENCY", c.JobsCriticalConcurrency, 1, 10000)
	checks.between("JOBS_DEFAULT_CONCURRENCY", c.JobsDefaultConcurrency, 1, 10000)
	checks.between("JOBS_LOW_CONCURRENCY", c.JobsLowConcurrency, 1, 10000)
	checks.between("TASKS_CONCURRENCY", c.TasksConcurrency, 1, 10000)
	checks.between("TASKS_SERVERS", c.TasksServers, 1, 64)

	for _, duration := range []struct {
		name      string
		value     time.Duration
		low, high time.Duration
	}{
		{"REQUEST_TIMEOUT", c.RequestTimeout, 100 * time.Millisecond, 10 * time.Minute},
		{"SHUTDOWN_TIMEOUT", c.ShutdownTimeout, 100 * time.Millisecond, 10 * time.Minute},
		{"LIVE_STREAM_LIFETIME", c.LiveStreamLifetime, time.Second, 25 * time.Second},
		{"DATABASE_CONNECT_TIMEOUT", c.DatabaseConnectTimeout, time.Second, time.Minute},
		{"DATABASE_STATEMENT_TIMEOUT", c.DatabaseStatementTimeout, 10 * time.Millisecond, time.Hour},
		{"WORKER_STATEMENT_TIMEOUT", c.WorkerStatementTimeout, 10 * time.Millisecond, 24 * time.Hour},
		{"DATABASE_LOCK_TIMEOUT", c.DatabaseLockTimeout, 10 * time.Millisecond, time.Hour},
		{"DATABASE_PING_TIMEOUT", c.DatabasePingTimeout, 10 * time.Millisecond, time.Minute},
		{"DATABASE_ACQUIRE_TIMEOUT", c.DatabaseAcquireTimeout, 10 * time.Millisecond, time.Minute},
		{"SERVE_STALE_FOR", c.ServeStaleFor, 0, 24 * time.Hour},
		{"QUEUE_LATENCY_ALERT", c.QueueLatencyAlert, time.Second, 24 * time.Hour},
		{"REDIS_TIMEOUT", c.RedisTimeout, time.Millisecond, 10 * time.Second},
		{"REDIS_BUDGET", c.RedisBudget, time.Millisecond, 10 * time.Second},
		{"REDIS_DIAL_TIMEOUT", c.RedisDialTimeout, time.Millisecond, 10 * time.Second},
		{"REDIS_POOL_TIMEOUT", c.RedisPoolTimeout, time.Millisecond, 10 * time.Second},
		{"REDIS_PROBE_INTERVAL", c.RedisProbeInterval, 10 * time.Millisecond, time.Minute},
		{"TASKS_CHECK_INTERVAL", c.TasksCheckInterval, time.Millisecond, time.Minute},
		{"JOBS_SHUTDOWN_TIMEOUT", c.JobsShutdownTimeout, 100 * time.Millisecond, time.Hour},
		{"ORDER_LIMIT_PERIOD", c.OrderLimitPeriod, time.Second, 31 * 24 * time.Hour},
		{"FLASH_SALE_HOLD", c.FlashSaleHold, 10 * time.Second, 24 * time.Hour},
		{"PAYMENT_TIMEOUT", c.PaymentTimeout, 100 * time.Millisecond, time.Minute},
	} {
		checks.that(duration.name, duration.low <= duration.value && duration.value <= duration.high,
			fmt.Sprintf("is %s; it must be between %s and %s", duration.value, duration.low, duration.high))
	}

	checks.that("REQUEST_TIMEOUT", c.RequestTimeout < c.ShutdownTimeout || c.ShutdownTimeout <= 0,
		fmt.Sprintf("is %s; it must be less than SHUTDOWN_TIMEOUT (%s), or a shutdown cuts requests off", c.RequestTimeout, c.ShutdownTimeout))
	checks.that("PAYMENT_TIMEOUT", role != Web || c.PaymentTimeout < c.RequestTimeout || c.RequestTimeout <= 0,
		fmt.Sprintf("is %s; it must be less than REQUEST_TIMEOUT (%s), or a payment outlives its page", c.PaymentTimeout, c.RequestTimeout))

	checks.required("DATABASE_URL", c.DatabaseURL)
	checks.postgresURL("DATABASE_URL", c.DatabaseURL)
	checks.redisURL("REDIS_URL", c.RedisURL)
	if c.QueueRedisURL != c.RedisURL {
		checks.redisURL("QUEUE_REDIS_URL", c.QueueRedisURL)
	}
	if role == WorkerRedis || role == Throttle {
		checks.required("REDIS_URL", c.RedisURL)
	}
	checks.sentryDSN("SENTRY_DSN", c.SentryDSN)
	checks.required("BASE_URL", c.BaseURL)
	checks.url("BASE_URL", c.BaseURL, "http", "https")
	checks.required("SECRET_KEY_BASE", c.SecretKeyBase)
	checks.that("SECRET_KEY_BASE", c.SecretKeyBase == "" || len(c.SecretKeyBase) >= 32,
		fmt.Sprintf("has %d characters; it must have at least 32", len(c.SecretKeyBase)))
	checks.url("SMTP_URL", c.SMTPURL, "smtp", "smtps")
	if role == WorkerPG {
		checks.that("SMTP_URL", c.SMTPURL != "" || c.MailDir != "", "is missing (or set MAIL_DIR to write mails to a directory)")
	}
	_, err := mail.ParseAddress(c.MailFrom)
	checks.that("MAIL_FROM", err == nil, fmt.Sprintf("%q is not a mail address", c.MailFrom))
	return checks.problems
}

// checker collects problems of the variables that a role reads.
type checker struct {
	role     Role
	problems Problems
}

func (c *checker) that(name string, good bool, text string) {
	variable := variableNamed(name)
	if good || !variable.ReadBy(c.role) {
		return
	}
	c.problems = append(c.problems, variable.problem(text))
}

func (c *checker) required(name, value string) {
	c.that(name, value != "", "is missing")
}

func (c *checker) oneOf(name, value string, allowed ...string) {
	for _, one := range allowed {
		if value == one {
			return
		}
	}
	c.that(name, false, fmt.Sprintf("is %q; it must be one of: %s", value, strings.Join(allowed, ", ")))
}

func (c *checker) between(name string, value, low, high int) {
	c.that(name, low <= value && value <= high, fmt.Sprintf("is %d; it must be between %d and %d", value, low, high))
}

// url checks an address without ever repeating it: it may hold a password.
func (c *checker) url(name, value string, schemes ...string) {
	if value == "" {
		return
	}
	address, err := url.Parse(value)
	good := err == nil && address.Hostname() != "" && slices.Contains(schemes, address.Scheme)
	c.that(name, good, fmt.Sprintf("is not an address that begins with %s://", strings.Join(schemes, ":// or ")))
}

// postgresURL takes what the driver takes: postgres://… or "host=… dbname=…".
func (c *checker) postgresURL(name, value string) {
	if value == "" {
		return
	}
	_, err := pgxpool.ParseConfig(value)
	scheme, _, isURL := strings.Cut(value, "://")
	foreign := isURL && !strings.Contains(scheme, "=") && scheme != "postgres" && scheme != "postgresql"
	c.that(name, err == nil && !foreign, "is not a PostgreSQL address")
}

// redisURL takes what failopen takes: see redis.ParseURL.
func (c *checker) redisURL(name, value string) {
	if value == "" {
		return
	}
	address, err := url.Parse(value)
	if err != nil || address.Scheme != "unix" {
		c.url(name, value, "redis", "rediss")
	}
	if err != nil {
		return
	}
	if address.Scheme != "unix" {
		database := strings.Trim(address.Path, "/")
		_, err = strconv.ParseUint(database, 10, 16)
		c.that(name, database == "" || err == nil, "does not end with the number of a database")
	}
	for option, values := range address.Query() {
		_, err := strconv.ParseUint(values[0], 10, 16)
		known := option == "db" && err == nil || option == "skip_verify" && values[0] == "true" && address.Scheme == "rediss"
		c.that(name, known, "has an option after ? that is neither db=NUMBER nor, for rediss://, skip_verify=true")
	}
}

// sentryDSN takes what sentry-go takes: a key, a host and, at the end of the
// path, the number of a project.
func (c *checker) sentryDSN(name, value string) {
	if value == "" {
		return
	}
	address, err := url.Parse(value)
	good := err == nil && (address.Scheme == "https" || address.Scheme == "http") && address.Hostname() != "" && address.User.Username() != ""
	if good {
		_, err = strconv.ParseUint(address.Path[strings.LastIndexByte(address.Path, '/')+1:], 10, 64)
		good = err == nil
	}
	c.that(name, good, "is not an address of a project in Sentry, such as https://KEY@HOST/NUMBER")
}

func notOfType(variable Variable, value string) string {
	shown := strconv.Quote(value)
	if variable.Secret != "" {
		shown = "its value"
	}
	switch variable.zero.(type) {
	case time.Duration:
		return fmt.Sprintf("%s is not a duration such as 250ms, 5s or 2m", shown)
	case bool:
		return fmt.Sprintf("%s is neither true nor false", shown)
	case Networks:
		return fmt.Sprintf("%s is not a list of addresses and networks with commas", shown)
	case Countries:
		return fmt.Sprintf("%s is not a list of two-letter countries with commas", shown)
	case Period:
		return fmt.Sprintf("%s is neither a number of seconds nor a duration such as 5m", shown)
	case uint32:
		return fmt.Sprintf("%s is not a whole number from 0", shown)
	case int, int64:
		return fmt.Sprintf("%s is not a whole number", shown)
	case slog.Level:
		return fmt.Sprintf("%s is not one of: debug, info, warn, error", shown)
	default:
		return fmt.Sprintf("%s cannot be read", shown)
	}
}
