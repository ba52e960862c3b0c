// Package config reads every setting from the environment and checks all of them
// at once. Its errors tell an operator which variable is wrong, why, and a value
// that works.
package config

import (
	"log/slog"
	"time"
)

// Config holds every environment variable of the runtime. An application has
// variables of its own: see Settings. An empty variable counts as unset.
//
// The tags of a field declare its variable:
//   - env: the name; envDefault: the value when unset.
//   - roles: the roles and commands that read it, or "all".
//   - min, max: the bounds of a number or duration; oneof: the allowed words.
//   - required: "true", or the roles that cannot start without it.
//   - schemes: the allowed schemes of a URL.
//   - secret: "true" masks the whole value, "url" the password in it.
//   - lenient: a value that cannot be parsed becomes a warning, and the default is used.
//   - example: a value that works; help: one line for --help.
type Config struct {
	Environment Environment `env:"APP_ENV" envDefault:"development" roles:"all" oneof:"development,test,production" example:"production" help:"development, test or production"`
	LogLevel    slog.Level  `env:"LOG_LEVEL" envDefault:"info" roles:"all" example:"warn" help:"debug, info, warn or error"`
	LogFormat   LogFormat   `env:"LOG_FORMAT" roles:"all" oneof:"text,json" example:"json" help:"text or json; unset: json in production, else text"`

	// KamalVersion is set by Kamal in every container that it starts.
	KamalVersion string `env:"KAMAL_VERSION" roles:"all" example:"9f8e7d6c" help:"shown as the version; Kamal sets it"`

	// SentryDSN is the Sentry project that receives errors, in production only.
	SentryDSN string `env:"SENTRY_DSN" roles:"web,worker-pg,worker-redis" secret:"url" example:"https://public-key@sentry.example.com/1" help:"Sentry project that errors are reported to, in production only; unset: errors are only logged"`

	// The pulse of the application, which pages at /ops show.
	PulseEnabled bool          `env:"OPS_PULSE_ENABLED" envDefault:"true" roles:"web,worker-pg,worker-redis" example:"false" help:"whether figures, errors and traces are recorded in PostgreSQL, for the pages at /ops"`
	TraceOneIn   int           `env:"OPS_TRACE_ONE_IN" roles:"web,worker-pg,worker-redis" min:"1" max:"1000000000" example:"100" help:"one of how many traces is kept, beside those that failed or were slow; unset: 100 in production, else 1"`
	SlowRequest  time.Duration `env:"OPS_SLOW_REQUEST" envDefault:"500ms" roles:"web" min:"1ms" max:"10m" example:"500ms" help:"duration from which a request counts as slow and its trace is kept"`
	SlowWork     time.Duration `env:"OPS_SLOW_WORK" envDefault:"30s" roles:"worker-pg,worker-redis" min:"1ms" max:"24h" example:"30s" help:"duration from which a job or task counts as slow and its trace is kept"`
	OpsMail      string        `env:"OPS_MAIL" roles:"web,worker-pg" example:"operator@example.com" help:"address that gets mail about new errors, waiting queues and backends that are away; unset: nobody does"`
	OpsMailFrom  string        `env:"OPS_MAIL_FROM" roles:"web,worker-pg" example:"App <app@example.com>" help:"sender of mail to OPS_MAIL; unset: OPS_MAIL"`

	// Traces are exported too, under the names that OpenTelemetry has for this.
	OTLPEndpoint string `env:"OTEL_EXPORTER_OTLP_ENDPOINT" roles:"web,worker-pg,worker-redis" schemes:"http,https" secret:"url" example:"http://collector:4318" help:"OpenTelemetry collector that traces are sent to, as JSON over HTTP; unset: none"`
	OTLPHeaders  string `env:"OTEL_EXPORTER_OTLP_HEADERS" roles:"web,worker-pg,worker-redis" secret:"true" example:"api-key=secret" help:"headers of each request to that collector: name=value, separated by commas and percent-encoded"`

	// BindAddress is the address of every listener. The default in production is
	// all addresses, because a container must be reachable from outside, and else
	// the loopback address, because a laptop must not be.
	BindAddress string `env:"BIND_ADDRESS" roles:"web,worker-pg,worker-redis" example:"0.0.0.0" help:"address to listen on; unset: 0.0.0.0 in production, else 127.0.0.1"`
	Port        int    `env:"PORT" envDefault:"3000" roles:"web,worker-pg" min:"1" max:"65535" example:"3000" help:"public port of web"`
	OpsPort     int    `env:"OPS_PORT" envDefault:"9090" roles:"web,worker-pg,worker-redis,health" min:"1" max:"65535" example:"9090" help:"port of /up, /health and /metrics"`

	// With TLSDomains, web serves HTTPS by itself and needs no proxy: HTTPSPort has the
	// pages, and HTTPPort redirects there. Port is then not used.
	TLSDomains    Domains `env:"TLS_DOMAIN" roles:"web" example:"app.example.com,www.example.com" help:"host names for which web gets certificates and serves HTTPS by itself; unset: web serves HTTP on PORT"`
	HTTPPort      int     `env:"HTTP_PORT" envDefault:"80" roles:"web" min:"1" max:"65535" example:"80" help:"with TLS_DOMAIN, the port that redirects to HTTPS"`
	HTTPSPort     int     `env:"HTTPS_PORT" envDefault:"443" roles:"web" min:"1" max:"65535" example:"443" help:"with TLS_DOMAIN, the port of the pages"`
	ACMEDirectory string  `env:"ACME_DIRECTORY" envDefault:"https://acme-v02.api.letsencrypt.org/directory" roles:"web" schemes:"https" example:"https://acme-staging-v02.api.letsencrypt.org/directory" help:"certificate authority, for TLS_DOMAIN"`
	EABKeyID      string  `env:"EAB_KID" roles:"web" example:"kid-1" help:"account at a certificate authority that creates accounts elsewhere; unset: it needs none"`
	EABKey        Key     `env:"EAB_HMAC_KEY" roles:"web" secret:"true" example:"the key that the certificate authority gives with EAB_KID" help:"key of EAB_KID, in base64url"`
	StoragePath   string  `env:"STORAGE_PATH" envDefault:"storage/slipway" roles:"web" example:"/var/lib/slipway" help:"directory that keeps certificates and keys across restarts, for TLS_DOMAIN"`

	// BaseURL is the public address of the application: for links in mails, and the
	// origin of its own forms. With https, browsers are told to use no other scheme.
	BaseURL string `env:"BASE_URL" roles:"web,worker-pg" required:"true" schemes:"http,https" example:"https://app.example.com" help:"public address, for links in mails; required in production"`

	// SecretKeyBase signs cookies. A new value makes every cookie invalid.
	SecretKeyBase string `env:"SECRET_KEY_BASE" roles:"web" required:"true" secret:"true" example:"the output of: openssl rand -hex 64" help:"signs cookies; at least 32 characters, required in production"`

	// JobsUser and JobsPassword open the pages of operators at /jobs and /ops. Without both, it is
	// closed.
	JobsUser     string `env:"JOBS_DASHBOARD_USER" roles:"web" example:"operator" help:"user of the pages of operators at /jobs and /ops; unset: they are closed, in development it is dev"`
	JobsPassword string `env:"JOBS_DASHBOARD_PASSWORD" roles:"web" secret:"true" example:"the output of: openssl rand -hex 16" help:"password of the pages of operators at /jobs and /ops; at least 12 characters in production"`

	// RequestTimeout bounds the work for one page; event streams are exempt. It is
	// less than ShutdownTimeout, so that a shutdown cancels no request.
	RequestTimeout  time.Duration `env:"REQUEST_TIMEOUT" envDefault:"7s" roles:"web" min:"100ms" max:"10m" example:"7s" help:"the longest that one page may take"`
	MaxRequestBody  int64         `env:"MAX_REQUEST_BODY" envDefault:"1048576" roles:"web" min:"1024" max:"1073741824" example:"1048576" help:"largest request body in bytes"`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"8s" roles:"web" min:"100ms" max:"10m" example:"8s" help:"how long web drains after SIGTERM"`

	// The limits of connections, of which slow clients keep many. Some names are those of
	// Thruster.
	MaxConnections          int     `env:"MAX_CONNECTIONS" roles:"web" min:"16" max:"1000000" example:"4000" help:"most connections open at once in one process; unset: 2000 more than LIVE_STREAM_LIMIT"`
	MaxConnectionsPerClient int     `env:"MAX_CONNECTIONS_PER_CLIENT" envDefault:"256" roles:"web" min:"0" max:"1000000" example:"256" help:"most connections of one client address, proxies excepted; 0: any number"`
	HTTPReadTimeout         Period  `env:"HTTP_READ_TIMEOUT" envDefault:"30" roles:"web" min:"1s" max:"10m" example:"30" help:"longest pause of a client that sends a request body, in seconds or as 1m"`
	HTTPWriteTimeout        Period  `env:"HTTP_WRITE_TIMEOUT" envDefault:"30" roles:"web" min:"1s" max:"10m" example:"30" help:"longest pause of a client that reads a response, in seconds or as 1m"`
	HTTPIdleTimeout         Period  `env:"HTTP_IDLE_TIMEOUT" envDefault:"360" roles:"web" min:"1s" max:"1h" example:"360" help:"longest pause between two requests of a connection; longer than the proxy keeps its connections"`
	H2CEnabled              bool    `env:"H2C_ENABLED" envDefault:"false" roles:"web" example:"true" help:"whether web speaks HTTP/2 without TLS on PORT, for a proxy that does so"`
	AllowedHosts            Domains `env:"ALLOWED_HOSTS" roles:"web" example:"app.example.com,*.app.example.com" help:"hosts that pages are served for, beside those of BASE_URL and TLS_DOMAIN; unset, without TLS_DOMAIN: any host"`

	// LiveStreamLifetime ends event streams early, so that a deploy never waits for them.
	LiveStreamLifetime time.Duration `env:"LIVE_STREAM_LIFETIME" envDefault:"20s" roles:"web" min:"1s" max:"25s" example:"20s" help:"how long one event stream stays open; browsers reconnect by themselves"`
	LiveStreamLimit    int           `env:"LIVE_STREAM_LIMIT" envDefault:"2000" roles:"web" min:"1" max:"1000000" example:"2000" help:"most event streams open at once in one process"`

	DatabaseURL              string        `env:"DATABASE_URL" roles:"web,worker-pg,worker-redis,migrate,seed,jobs,throttle,cache" required:"true" secret:"url" example:"postgres://app:secret@127.0.0.1:5432/app_production" help:"PostgreSQL; required"`
	DatabasePoolSize         int           `env:"DATABASE_POOL_SIZE" roles:"web,worker-pg,worker-redis" min:"4" max:"40000" example:"10" help:"most connections to PostgreSQL in the pool of one process; unset: 10 for web, one for each job or task at the same time and 4 more for a worker"`
	DatabaseConnectTimeout   time.Duration `env:"DATABASE_CONNECT_TIMEOUT" envDefault:"2s" roles:"web,worker-pg,worker-redis,migrate,seed,jobs,cache" min:"1s" max:"1m" example:"2s" help:"longest wait for a new connection"`
	DatabaseStatementTimeout time.Duration `env:"DATABASE_STATEMENT_TIMEOUT" envDefault:"5s" roles:"web" min:"10ms" max:"1h" example:"5s" help:"longest statement that a page may run"`
	WorkerStatementTimeout   time.Duration `env:"WORKER_STATEMENT_TIMEOUT" envDefault:"60s" roles:"worker-pg,worker-redis" min:"10ms" max:"24h" example:"60s" help:"longest statement that a worker may run"`
	DatabaseLockTimeout      time.Duration `env:"DATABASE_LOCK_TIMEOUT" envDefault:"2s" roles:"web,worker-pg,worker-redis,jobs" min:"10ms" max:"1h" example:"2s" help:"longest wait for a lock"`
	DatabaseIdleTimeout      time.Duration `env:"DATABASE_IDLE_IN_TRANSACTION_TIMEOUT" envDefault:"10s" roles:"web,worker-pg,worker-redis" min:"100ms" max:"24h" example:"10s" help:"longest pause between two statements of a transaction; then PostgreSQL rolls it back and ends the connection"`
	DatabasePingTimeout      time.Duration `env:"DATABASE_PING_TIMEOUT" envDefault:"1s" roles:"web,worker-pg,worker-redis" min:"10ms" max:"1m" example:"1s" help:"longest check of an idle connection before it is used"`
	DatabaseAcquireTimeout   time.Duration `env:"DATABASE_ACQUIRE_TIMEOUT" envDefault:"1s" roles:"web" min:"10ms" max:"1m" example:"1s" help:"longest that a page waits for a connection to PostgreSQL"`
	DatabaseQueueLimit       int           `env:"DATABASE_QUEUE_LIMIT" envDefault:"500" roles:"web" min:"1" max:"1000000" example:"500" help:"most pages that wait for a connection to PostgreSQL at a time"`

	// ServeStaleFor is the greatest age of a cached public page that is served
	// while PostgreSQL is unavailable.
	ServeStaleFor time.Duration `env:"SERVE_STALE_FOR" envDefault:"10m" roles:"web" min:"0s" max:"24h" example:"10m" help:"greatest age of a cached public page that is served while PostgreSQL is unavailable; 0s: none is served"`
	// The HTTP cache, with the names of Thruster.
	EdgeTestOrigin   string `env:"EDGE_TEST_ORIGIN" roles:"web" example:"http://127.0.0.1:8000" help:"with APP_ENV=test alone: a server that the edge has behind it in place of the pages, stored by the rules of RFC 9111; for test suites of HTTP caches"`
	CacheSize        int64  `env:"CACHE_SIZE" envDefault:"67108864" roles:"web" min:"0" max:"1099511627776" example:"67108864" help:"memory of the HTTP cache, in bytes; 0: nothing is cached, also not for SERVE_STALE_FOR"`
	MaxCacheItemSize int64  `env:"MAX_CACHE_ITEM_SIZE" envDefault:"1048576" roles:"web" min:"1024" max:"1073741824" example:"1048576" help:"largest response that the HTTP cache stores, in bytes"`

	RedisURL           string        `env:"REDIS_URL" roles:"web,worker-pg,worker-redis,jobs,throttle" required:"worker-redis,throttle" secret:"url" example:"redis://:secret@127.0.0.1:6379/0" help:"Redis; unset: live updates are off and everything else works"`
	Installation       string        `env:"INSTALLATION" roles:"web,worker-pg,worker-redis,jobs,throttle" example:"app-staging" help:"name of this installation in Redis; unset: APP_ENV and the name of the PostgreSQL database, as production/app"`
	QueueRedisURL      string        `env:"QUEUE_REDIS_URL" roles:"web,worker-pg,worker-redis,jobs" secret:"url" example:"redis://:secret@127.0.0.1:6379/1" help:"Redis of the task queue; unset: REDIS_URL"`
	RedisPoolSize      int           `env:"REDIS_POOL_SIZE" envDefault:"20" roles:"web,worker-pg,worker-redis" min:"1" max:"10000" example:"20" help:"most connections to Redis of one process"`
	RedisTimeout       time.Duration `env:"REDIS_TIMEOUT" envDefault:"250ms" roles:"web,worker-pg,worker-redis,throttle" min:"1ms" max:"10s" example:"250ms" help:"longest wait for one reply of Redis"`
	RedisBudget        time.Duration `env:"REDIS_BUDGET" envDefault:"300ms" roles:"web" min:"1ms" max:"10s" example:"300ms" help:"longest total wait of one request for Redis"`
	RedisDialTimeout   time.Duration `env:"REDIS_DIAL_TIMEOUT" envDefault:"300ms" roles:"web,worker-pg,worker-redis" min:"1ms" max:"10s" example:"300ms" help:"longest wait for a new connection to Redis"`
	RedisPoolTimeout   time.Duration `env:"REDIS_POOL_TIMEOUT" envDefault:"100ms" roles:"web,worker-pg,worker-redis" min:"1ms" max:"10s" example:"100ms" help:"longest wait for a connection when all are busy"`
	RedisMinIdle       int           `env:"REDIS_MIN_IDLE" envDefault:"2" roles:"web,worker-pg,worker-redis" min:"0" max:"10000" example:"2" help:"connections to Redis that are kept open for the next call"`
	RedisMaxInFlight   int           `env:"REDIS_MAX_IN_FLIGHT" envDefault:"256" roles:"web,worker-pg,worker-redis" min:"1" max:"100000" example:"256" help:"most concurrent calls of Redis in one process"`
	RedisFailures      int           `env:"REDIS_FAILURES" envDefault:"3" roles:"web,worker-pg,worker-redis" min:"1" max:"1000" example:"3" help:"consecutive failures that open the circuit breaker"`
	RedisProbeInterval time.Duration `env:"REDIS_PROBE_INTERVAL" envDefault:"100ms" roles:"web,worker-pg,worker-redis" min:"10ms" max:"1m" example:"100ms" help:"least pause between two probes of an unavailable Redis; the longest is twice that"`

	// The limits of internal/throttle, under the names that Rack::Attack's users
	// know. A limit or period that cannot be parsed becomes a warning and its
	// default is used, so that it never stops a deploy; 0 switches a rule off.
	ThrottleEnabled           bool      `env:"RACK_ATTACK_ENABLED" envDefault:"true" roles:"web" example:"true" help:"whether requests are limited at all"`
	ThrottleRequestLimit      uint32    `env:"RACK_ATTACK_REQ_IP_LIMIT" envDefault:"300" roles:"web" lenient:"true" example:"300" help:"requests of one client in a period; 0: any number"`
	ThrottleRequestPeriod     Period    `env:"RACK_ATTACK_REQ_IP_PERIOD" envDefault:"300" roles:"web" lenient:"true" example:"300" help:"period of RACK_ATTACK_REQ_IP_LIMIT, in seconds or as 5m"`
	ThrottleLoginLimit        uint32    `env:"RACK_ATTACK_LOGIN_LIMIT" envDefault:"10" roles:"web" lenient:"true" example:"10" help:"logins of one client, and into one account, in a period; 0: any number"`
	ThrottleLoginPeriod       Period    `env:"RACK_ATTACK_LOGIN_PERIOD" envDefault:"60" roles:"web" lenient:"true" example:"60" help:"period of RACK_ATTACK_LOGIN_LIMIT"`
	ThrottleFailedLoginLimit  uint32    `env:"RACK_ATTACK_FAILED_LOGIN_LIMIT" envDefault:"5" roles:"web" lenient:"true" example:"5" help:"failed logins in a period that ban a client or an account; 0: never"`
	ThrottleFailedLoginPeriod Period    `env:"RACK_ATTACK_FAILED_LOGIN_PERIOD" envDefault:"20" roles:"web" lenient:"true" example:"20" help:"period of RACK_ATTACK_FAILED_LOGIN_LIMIT"`
	ThrottleFailedLoginTTL    Period    `env:"RACK_ATTACK_FAILED_LOGIN_TTL" envDefault:"300" roles:"web" lenient:"true" example:"300" help:"how long a ban for failed logins lasts"`
	ThrottleSafelist          Networks  `env:"RACK_ATTACK_SAFELIST_IPS" roles:"web" example:"192.0.2.7,2001:db8::/32" help:"clients that are never limited; unset: loopback in development, else none"`
	ThrottleBlocklist         Networks  `env:"RACK_ATTACK_BLOCKLIST_IPS" roles:"web" example:"198.51.100.0/24" help:"clients that are refused"`
	ThrottleTrustedProxies    Networks  `env:"RACK_ATTACK_TRUSTED_PROXIES" roles:"web" example:"172.16.0.0/12" help:"proxies whose X-Forwarded-For is trusted; unset: none, and all clients behind a proxy share one limit"`
	ThrottleIPv6Prefix        int       `env:"RACK_ATTACK_IPV6_PREFIX" envDefault:"64" roles:"web,throttle" min:"32" max:"128" example:"64" help:"bits of an IPv6 address that make one client"`
	ThrottleFallbackDivisor   int       `env:"RACK_ATTACK_FALLBACK_DIVISOR" envDefault:"1" roles:"web" min:"1" max:"1000" example:"2" help:"number of web processes that share a limit while Redis is unavailable"`
	ThrottleWindow            Window    `env:"RACK_ATTACK_WINDOW" envDefault:"fixed" roles:"web" oneof:"fixed,sliding" example:"sliding" help:"fixed: counts restart with each period; sliding: no burst around its end"`
	GeoIPDatabase             string    `env:"RACK_ATTACK_GEOIP_DATABASE" roles:"web" example:"/geoip/country.mmdb" help:"country database in MaxMind's format; unset: no country is refused"`
	BlockedCountries          Countries `env:"RACK_ATTACK_BLOCKED_COUNTRIES" roles:"web" example:"XX,YY" help:"countries that are refused; needs RACK_ATTACK_GEOIP_DATABASE"`
	AllowedCountries          Countries `env:"RACK_ATTACK_ALLOWED_COUNTRIES" roles:"web" example:"DE,FR" help:"if set, all other known countries are refused; needs RACK_ATTACK_GEOIP_DATABASE"`

	WorkerQueues            WorkedQueues  `env:"WORKER_QUEUES" roles:"worker-pg,worker-redis" example:"critical,low:2" help:"queues that this worker works, for worker-pg with the number of jobs at the same time; unset: all"`
	JobsCriticalConcurrency int           `env:"JOBS_CRITICAL_CONCURRENCY" envDefault:"20" roles:"worker-pg" min:"1" max:"10000" example:"20" help:"jobs of the queue critical that run at the same time"`
	JobsDefaultConcurrency  int           `env:"JOBS_DEFAULT_CONCURRENCY" envDefault:"50" roles:"worker-pg" min:"1" max:"10000" example:"50" help:"jobs of the queue default that run at the same time"`
	JobsLowConcurrency      int           `env:"JOBS_LOW_CONCURRENCY" envDefault:"3" roles:"worker-pg" min:"1" max:"10000" example:"3" help:"jobs of the queue low that run at the same time"`
	TasksConcurrency        int           `env:"TASKS_CONCURRENCY" envDefault:"20" roles:"worker-redis" min:"1" max:"10000" example:"20" help:"tasks of all queues that run at the same time"`
	TasksServers            int           `env:"TASKS_SERVERS" envDefault:"10" roles:"worker-redis" min:"1" max:"64" example:"10" help:"asynq servers that fetch tasks in parallel, at most TASKS_CONCURRENCY; more is faster until the cores are busy"`
	TasksCheckInterval      time.Duration `env:"TASKS_CHECK_INTERVAL" envDefault:"5ms" roles:"worker-redis" min:"1ms" max:"1m" example:"5ms" help:"how often an idle worker asks for tasks"`
	JobsShutdownTimeout     time.Duration `env:"JOBS_SHUTDOWN_TIMEOUT" envDefault:"25s" roles:"worker-pg,worker-redis" min:"100ms" max:"1h" example:"25s" help:"how long a worker finishes its work after SIGTERM before it returns the rest to the queue"`

	// Failed work that matters is never deleted unseen: by default, only operators
	// delete it. JobsKeepFailedMost bounds it, and is reported long before it counts.
	JobsKeepFailed     time.Duration `env:"JOBS_KEEP_FAILED" envDefault:"0s" roles:"worker-pg,worker-redis" min:"0s" max:"4380h" example:"720h" help:"how long jobs and tasks that failed for good are kept; 0s: until an operator acts"`
	JobsKeepFailedMost int           `env:"JOBS_KEEP_FAILED_MOST" envDefault:"1000000" roles:"worker-pg,worker-redis" min:"1000" max:"100000000" example:"1000000" help:"most failed jobs, and most failed tasks, that are kept; the oldest go first, after an hour of warnings"`
	JobsKeepCancelled  time.Duration `env:"JOBS_KEEP_CANCELLED" envDefault:"168h" roles:"worker-pg,worker-redis" min:"1m" max:"4380h" example:"168h" help:"how long cancelled jobs and tasks are kept"`
	JobsKeepDone       time.Duration `env:"JOBS_KEEP_DONE" envDefault:"24h" roles:"worker-pg" min:"1m" max:"4380h" example:"24h" help:"how long finished jobs are kept"`

	QueueLatencyAlert time.Duration `env:"QUEUE_LATENCY_ALERT" envDefault:"5m" roles:"web,worker-pg,worker-redis" min:"1s" max:"24h" example:"5m" help:"how long a job or task may wait for a worker before /health reports degraded"`

	AssetsDir string `env:"ASSETS_DIR" roles:"web" example:"/assets" help:"directory with the assets of other builds, served during a deploy; unset: only this build's are served"`

	SMTPURL string `env:"SMTP_URL" roles:"web,worker-pg" schemes:"smtp,smtps" secret:"url" example:"smtp://user:secret@mail.example.com:587" help:"mail server (smtp:// with STARTTLS, smtps:// with TLS); production needs it or MAIL_DIR"`
	MailDir string `env:"MAIL_DIR" roles:"web,worker-pg" example:"tmp/mail" help:"directory that mails are written to instead of being sent; unset: tmp/mail in development"`

	// ownQueues are the queues of Schema.Queues.
	ownQueues map[string]int
}

// Environment is the environment that the program runs in, from APP_ENV.
type Environment string

// Development reads a .env file and has defaults for all secrets, Test has the
// defaults only. Production requires secrets and logs JSON.
const (
	Development Environment = "development"
	Test        Environment = "test"
	Production  Environment = "production"
)

// LogFormat is the format of log lines.
type LogFormat string

// LogText is for a terminal, LogJSON for log processing.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Window is the method by which a limit counts the requests of a period.
type Window string

// Fixed restarts the count at the end of a period. Sliding estimates it from the
// counts of the current and the previous period.
const (
	Fixed   Window = "fixed"
	Sliding Window = "sliding"
)
