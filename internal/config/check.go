package config

import (
	"fmt"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
)

// Checker collects the problems of the variables that a role reads.
type Checker struct {
	schema   *Schema
	role     Role
	problems Problems
	warnings Problems
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

// Warn records a warning, such as "is unusual", unless good is true. The name is that
// of a variable, or says what else the warning is about.
func (c *Checker) Warn(name string, good bool, warning string) {
	if !good {
		c.warnings = append(c.warnings, Problem{Name: name, Text: warning})
	}
}

// Private

// check reports values that contradict each other, and URLs that the drivers of
// the backends would refuse.
func (c *Config) check(checks *Checker) {
	checks.That("OPS_PORT", checks.role != Web || c.OpsPort != c.Port, "is the same as PORT; /metrics must not be public")
	checks.That("REQUEST_TIMEOUT", c.RequestTimeout < c.ShutdownTimeout || c.ShutdownTimeout <= 0,
		fmt.Sprintf("is %s; it must be less than SHUTDOWN_TIMEOUT (%s), or a shutdown cancels requests",
			c.RequestTimeout, c.ShutdownTimeout))
	c.checkConnections(checks)
	c.checkCertificates(checks)
	checks.url("EDGE_TEST_ORIGIN", c.EdgeTestOrigin, "http")
	checks.That("EDGE_TEST_ORIGIN", c.EdgeTestOrigin == "" || c.Environment == Test, "replaces all pages, and is for APP_ENV=test alone")
	c.checkBaseURL(checks)
	c.checkSecret(checks)
	c.checkJobsLogin(checks)
	checks.sentryDSN("SENTRY_DSN", c.SentryDSN)
	c.checkOps(checks)
	checks.That("SMTP_URL", checks.role != WorkerPG || c.SMTPURL != "" || c.MailDir != "",
		"is missing (or set MAIL_DIR to write mails to a directory)")
	checks.That("RACK_ATTACK_GEOIP_DATABASE", c.GeoIPDatabase != "" || len(c.BlockedCountries)+len(c.AllowedCountries) == 0,
		"is missing, and is needed to refuse countries")

	checks.postgresURL("DATABASE_URL", c.DatabaseURL)
	c.checkQueues(checks)
	c.checkPool(checks)
	checks.smtpURL("SMTP_URL", c.SMTPURL)
	checks.That("INSTALLATION", isInstallation(c.Installation), "has other characters than letters, digits and "+installationMarks)
	checks.redisURL("REDIS_URL", c.RedisURL)
	if c.QueueRedisURL != c.RedisURL {
		checks.redisURL("QUEUE_REDIS_URL", c.QueueRedisURL)
	}
	checks.That("REDIS_MIN_IDLE", c.RedisMinIdle <= c.RedisPoolSize,
		fmt.Sprintf("is %d; it must not be more than REDIS_POOL_SIZE (%d)", c.RedisMinIdle, c.RedisPoolSize))
}

// checkOps reports addresses that get no mail, headers that cannot be read, and mail
// that has no server.
func (c *Config) checkOps(checks *Checker) {
	for name, address := range map[string]string{"OPS_MAIL": c.OpsMail, "OPS_MAIL_FROM": c.OpsMailFrom} {
		_, err := mail.ParseAddress(address)
		checks.That(name, address == "" || err == nil, fmt.Sprintf("%q is not a mail address", address))
	}
	checks.That("SMTP_URL", c.OpsMail == "" || c.SMTPURL != "" || c.MailDir != "",
		"is missing, and OPS_MAIL is set (or set MAIL_DIR to write mails to a directory)")
	_, err := c.OTLPHeader()
	checks.That("OTEL_EXPORTER_OTLP_HEADERS", err == nil, "is not a list such as name=value,name=value")
}

// checkBaseURL reports a BASE_URL whose links would be wrong, and one without
// encryption. That is refused in production, except in a network of one's own.
func (c *Config) checkBaseURL(checks *Checker) {
	if c.BaseURL == "" || addressProblem(c.BaseURL, "http", "https") != "" {
		return // reported by the tag schemes
	}
	address, _ := url.Parse(c.BaseURL) // addressProblem has parsed it
	more := address.User != nil || strings.Trim(address.Path, "/") != "" || address.RawQuery != "" || address.ForceQuery
	checks.That("BASE_URL", !more, "has a login, a path or a query; write only the scheme, the host and a port")
	if c.Environment != Production || address.Scheme == "https" {
		return
	}
	const open = "begins with http://, so browsers send cookies without encryption; "
	checks.That("BASE_URL", private(address.Hostname()), open+"write https:// in production")
	if checks.schema.named("BASE_URL").ReadBy(checks.role) {
		checks.Warn("BASE_URL", !private(address.Hostname()), open+"it is accepted for a private network only")
	}
}

// checkSecret reports a key that can be guessed. On one machine, to try the program,
// that is a warning.
func (c *Config) checkSecret(checks *Checker) {
	const least = 32
	checks.That("SECRET_KEY_BASE", c.SecretKeyBase == "" || len(c.SecretKeyBase) >= least,
		fmt.Sprintf("has %d characters; it must have at least %d", len(c.SecretKeyBase), least))
	if c.Environment != Production || len(c.SecretKeyBase) < least {
		return
	}
	problem := secretProblem(c.SecretKeyBase)
	if address, err := url.Parse(c.BaseURL); err == nil && loopback(address.Hostname()) {
		checks.Warn("SECRET_KEY_BASE", problem == "", problem)
		return
	}
	checks.That("SECRET_KEY_BASE", problem == "", problem)
}

// checkJobsLogin reports half a login, and a password that can be guessed.
func (c *Config) checkJobsLogin(checks *Checker) {
	const least = 12
	checks.That("JOBS_DASHBOARD_USER", c.JobsUser != "" || c.JobsPassword == "",
		"is missing, and JOBS_DASHBOARD_PASSWORD is set: set both, or none to close the dashboard")
	checks.That("JOBS_DASHBOARD_USER", !strings.Contains(c.JobsUser, ":"),
		"has a colon, which HTTP basic authentication does not allow in a user")
	checks.That("JOBS_DASHBOARD_PASSWORD", c.JobsPassword != "" || c.JobsUser == "",
		"is missing, and JOBS_DASHBOARD_USER is set: set both, or none to close the dashboard")
	checks.That("JOBS_DASHBOARD_PASSWORD", c.Environment != Production || c.JobsPassword == "" || len(c.JobsPassword) >= least,
		fmt.Sprintf("has %d characters; it must have at least %d in production", len(c.JobsPassword), least))
}

// url checks a URL.
func (c *Checker) url(name, value string, schemes ...string) {
	if value == "" {
		return
	}
	problem := addressProblem(value, schemes...)
	c.That(name, problem == "", problem)
}

// postgresURL accepts what pgx accepts, except options that nobody understands.
func (c *Checker) postgresURL(name, value string) {
	if value == "" {
		return
	}
	problem := postgresProblem(value)
	c.That(name, problem == "", problem)
}

// redisURL accepts the URLs that package failopen accepts, see redis.ParseURL.
func (c *Checker) redisURL(name, value string) {
	if value == "" {
		return
	}
	isSocket := strings.HasPrefix(value, "unix://")
	if !isSocket {
		c.url(name, value, "redis", "rediss")
	}
	address, err := url.Parse(value)
	if err != nil {
		c.That(name, !isSocket, "cannot be read as an address")
		return
	}
	if !isSocket {
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

// smtpURL refuses what the sender of mail would ignore.
func (c *Checker) smtpURL(name, value string) {
	if address, err := url.Parse(value); err == nil {
		more := strings.Trim(address.Path, "/") != "" || address.RawQuery != "" || address.ForceQuery
		c.That(name, !more, "has a path or options after the host; write only the login, the host and a port")
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
