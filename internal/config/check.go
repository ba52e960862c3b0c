package config

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Checker collects the problems of the variables that a role reads.
type Checker struct {
	schema   *Schema
	role     Role
	problems Problems
}

// Role returns the role whose variables are checked.
func (c *Checker) Role() Role { return c.role }

// That records problem, such as "is missing", for the variable called name unless
// good is true or the role does not read the variable. It panics for an unknown
// name.
func (c *Checker) That(name string, good bool, problem string) {
	variable := c.schema.named(name)
	if good || !variable.ReadBy(c.role) {
		return
	}
	c.problems = append(c.problems, variable.problem(problem))
}

// Private

// check reports values that contradict each other, and URLs that the drivers of
// the backends would refuse.
func (c *Config) check(checks *Checker) {
	checks.That("OPS_PORT", checks.role != Web || c.OpsPort != c.Port, "is the same as PORT; /metrics must not be public")
	checks.That("REQUEST_TIMEOUT", c.RequestTimeout < c.ShutdownTimeout || c.ShutdownTimeout <= 0,
		fmt.Sprintf("is %s; it must be less than SHUTDOWN_TIMEOUT (%s), or a shutdown cancels requests",
			c.RequestTimeout, c.ShutdownTimeout))
	checks.That("SECRET_KEY_BASE", c.SecretKeyBase == "" || len(c.SecretKeyBase) >= 32,
		fmt.Sprintf("has %d characters; it must have at least 32", len(c.SecretKeyBase)))
	checks.sentryDSN("SENTRY_DSN", c.SentryDSN)
	checks.That("SMTP_URL", checks.role != WorkerPG || c.SMTPURL != "" || c.MailDir != "",
		"is missing (or set MAIL_DIR to write mails to a directory)")
	checks.That("RACK_ATTACK_GEOIP_DATABASE", c.GeoIPDatabase != "" || len(c.BlockedCountries)+len(c.AllowedCountries) == 0,
		"is missing, and is needed to refuse countries")

	checks.postgresURL("DATABASE_URL", c.DatabaseURL)
	checks.That("DATABASE_POOL_SIZE", checks.role != WorkerPG || c.DatabasePoolSize >= 8,
		fmt.Sprintf("is %d; worker-pg needs 8: one for each of three queues, one to listen, one to write results, and three for jobs",
			c.DatabasePoolSize))
	checks.redisURL("REDIS_URL", c.RedisURL)
	if c.QueueRedisURL != c.RedisURL {
		checks.redisURL("QUEUE_REDIS_URL", c.QueueRedisURL)
	}
	checks.That("REDIS_MIN_IDLE", c.RedisMinIdle <= c.RedisPoolSize,
		fmt.Sprintf("is %d; it must not be more than REDIS_POOL_SIZE (%d)", c.RedisMinIdle, c.RedisPoolSize))
}

// url checks a URL. The problem does not quote it, because it may contain a
// password.
func (c *Checker) url(name, value string, schemes ...string) {
	if value == "" {
		return
	}
	address, err := url.Parse(value)
	good := err == nil && address.Hostname() != "" && slices.Contains(schemes, address.Scheme)
	c.That(name, good, fmt.Sprintf("is not an address that begins with %s://", strings.Join(schemes, ":// or ")))
}

// postgresURL accepts what pgx accepts: postgres://… or "host=… dbname=…".
func (c *Checker) postgresURL(name, value string) {
	if value == "" {
		return
	}
	_, err := pgxpool.ParseConfig(value)
	scheme, _, isURL := strings.Cut(value, "://")
	otherScheme := isURL && !strings.Contains(scheme, "=") && scheme != "postgres" && scheme != "postgresql"
	c.That(name, err == nil && !otherScheme, "is not a PostgreSQL address")
}

// redisURL accepts the URLs that package failopen accepts, see redis.ParseURL.
func (c *Checker) redisURL(name, value string) {
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
		c.That(name, database == "" || err == nil, "does not end with the number of a database")
	}
	for option, values := range address.Query() {
		_, err := strconv.ParseUint(values[0], 10, 16)
		known := option == "db" && err == nil || option == "skip_verify" && values[0] == "true" && address.Scheme == "rediss"
		c.That(name, known, "has an option after ? that is neither db=NUMBER nor, for rediss://, skip_verify=true")
	}
}

// sentryDSN accepts what sentry-go accepts: a key, a host and, at the end of the
// path, the number of a project.
func (c *Checker) sentryDSN(name, value string) {
	if value == "" {
		return
	}
	address, err := url.Parse(value)
	good := err == nil && (address.Scheme == "https" || address.Scheme == "http") &&
		address.Hostname() != "" && address.User.Username() != ""
	if good {
		_, err = strconv.ParseUint(address.Path[strings.LastIndexByte(address.Path, '/')+1:], 10, 64)
		good = err == nil
	}
	c.That(name, good, "is not an address of a project in Sentry, such as https://KEY@HOST/NUMBER")
}
