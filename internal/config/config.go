// Package config reads every setting from the environment, checks all of them
// at once, and says what is wrong in words that an operator can act on.
package config

import (
	"log/slog"
	"time"
)

// Config is every environment variable that this program reads. Each field's
// tags are its documentation for the program itself: env is the name,
// envDefault the value when unset, roles who reads it, example a value that
// works, help one line for --help, secret whether its value is masked.
// An empty variable counts as unset.
type Config struct {
	Environment Environment `env:"APP_ENV" envDefault:"development" roles:"all" example:"production" help:"development, test or production"`
	LogLevel    slog.Level  `env:"LOG_LEVEL" envDefault:"info" roles:"all" example:"warn" help:"debug, info, warn or error"`
	LogFormat   LogFormat   `env:"LOG_FORMAT" roles:"all" example:"json" help:"text or json; unset: json in production, else text"`

	// KamalVersion is set by Kamal in every container that it starts.
	KamalVersion string `env:"KAMAL_VERSION" roles:"all" example:"9f8e7d6c" help:"shown as the version; Kamal sets it"`

	// BindAddress is where every listener listens. Unset, it is the loopback
	// address in development and every address elsewhere: a container must be
	// reached from outside, a laptop must not.
	BindAddress string `env:"BIND_ADDRESS" roles:"web,worker-pg,worker-redis" example:"0.0.0.0" help:"address to listen on; unset: 127.0.0.1 in development, else 0.0.0.0"`
	Port        int    `env:"PORT" envDefault:"3000" roles:"web,worker-pg" example:"3000" help:"port of the store"`
	OpsPort     int    `env:"OPS_PORT" envDefault:"9090" roles:"web,worker-pg,worker-redis,health" example:"9090" help:"port of /up, /health and /metrics"`

	// BaseURL is the store's public address, for links in mails.
	BaseURL string `env:"BASE_URL" roles:"web,worker-pg" example:"https://shop.example.com" help:"public address of the store, for links in mails; required in production"`

	// SecretKeyBase signs cookies. Changing it empties every open cart.
	SecretKeyBase string `env:"SECRET_KEY_BASE" roles:"web" secret:"true" example:"the output of: openssl rand -hex 64" help:"signs cookies; at least 32 characters, required in production"`

	// RequestTimeout ends the work for one page. Event streams are exempt. It
	// is less than ShutdownTimeout, so that a shutdown cuts nobody off, and more
	// than PaymentTimeout, so that a shopper learns how a payment went.
	RequestTimeout  time.Duration `env:"REQUEST_TIMEOUT" envDefault:"7s" roles:"web" example:"7s" help:"the longest that one page may take"`
	MaxRequestBody  int64         `env:"MAX_REQUEST_BODY" envDefault:"1048576" roles:"web" example:"1048576" help:"largest request body in bytes"`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"8s" roles:"web" example:"8s" help:"how long web drains after SIGTERM"`

	// LiveStreamLifetime ends event streams before a deploy has to wait for them.
	LiveStreamLifetime time.Duration `env:"LIVE_STREAM_LIFETIME" envDefault:"20s" roles:"web" example:"20s" help:"how long one event stream stays open; browsers reconnect by themselves"`
	LiveStreamLimit    int           `env:"LIVE_STREAM_LIMIT" envDefault:"2000" roles:"web" example:"2000" help:"most event streams open at once in one process"`

	DatabaseURL              string        `env:"DATABASE_URL" roles:"web,worker-pg,worker-redis,migrate,seed" secret:"url" example:"postgres://shop:secret@127.0.0.1:5432/shop_production" help:"PostgreSQL; required"`
	DatabasePoolSize         int           `env:"DATABASE_POOL_SIZE" envDefault:"10" roles:"web,worker-pg,worker-redis" example:"10" help:"most connections to PostgreSQL of one process"`
	DatabaseConnectTimeout   time.Duration `env:"DATABASE_CONNECT_TIMEOUT" envDefault:"2s" roles:"web,worker-pg,worker-redis,migrate,seed" example:"2s" help:"longest wait for a new connection"`
	DatabaseStatementTimeout time.Duration `env:"DATABASE_STATEMENT_TIMEOUT" envDefault:"5s" roles:"web" example:"5s" help:"longest statement that a page may run"`
	WorkerStatementTimeout   time.Duration `env:"WORKER_STATEMENT_TIMEOUT" envDefault:"60s" roles:"worker-pg,worker-redis" example:"60s" help:"longest statement that a worker may run"`
	DatabaseLockTimeout      time.Duration `env:"DATABASE_LOCK_TIMEOUT" envDefault:"2s" roles:"web,worker-pg,worker-redis,migrate,seed" example:"2s" help:"longest wait for a lock"`
	DatabasePingTimeout      time.Duration `env:"DATABASE_PING_TIMEOUT" envDefault:"1s" roles:"web,worker-pg,worker-redis" example:"1s" help:"longest check of an idle connection before it is used"`

	RedisURL      string        `env:"REDIS_URL" roles:"web,worker-pg,worker-redis" secret:"url" example:"redis://:secret@127.0.0.1:6379/0" help:"Redis; unset: live updates are off and everything else works"`
	QueueRedisURL string        `env:"QUEUE_REDIS_URL" roles:"web,worker-pg,worker-redis" secret:"url" example:"redis://:secret@127.0.0.1:6379/1" help:"Redis of the task queue; unset: REDIS_URL"`
	RedisPoolSize int           `env:"REDIS_POOL_SIZE" envDefault:"20" roles:"web,worker-pg,worker-redis" example:"20" help:"most connections to Redis of one process"`
	RedisTimeout  time.Duration `env:"REDIS_TIMEOUT" envDefault:"250ms" roles:"web,worker-pg,worker-redis" example:"250ms" help:"longest wait for one answer of Redis"`
	RedisBudget   time.Duration `env:"REDIS_BUDGET" envDefault:"300ms" roles:"web" example:"300ms" help:"longest that Redis may hold up one request in all"`

	JobsConcurrency     int           `env:"JOBS_CONCURRENCY" envDefault:"10" roles:"worker-pg" example:"10" help:"jobs worked at the same time"`
	TasksConcurrency    int           `env:"TASKS_CONCURRENCY" envDefault:"20" roles:"worker-redis" example:"20" help:"tasks worked at the same time"`
	TasksCheckInterval  time.Duration `env:"TASKS_CHECK_INTERVAL" envDefault:"5ms" roles:"worker-redis" example:"5ms" help:"how often an idle worker asks for tasks"`
	JobsShutdownTimeout time.Duration `env:"JOBS_SHUTDOWN_TIMEOUT" envDefault:"25s" roles:"worker-pg,worker-redis" example:"25s" help:"how long a worker finishes its work after SIGTERM before it hands the rest back"`

	AssetsDir string `env:"ASSETS_DIR" roles:"web" example:"/assets" help:"directory with the assets of other builds, for the time of a deploy; unset: only this build's are served"`

	MailFrom string `env:"MAIL_FROM" envDefault:"Leeward <orders@leeward.example>" roles:"worker-pg" example:"Shop <orders@shop.example.com>" help:"sender of every mail"`
	SMTPURL  string `env:"SMTP_URL" roles:"worker-pg" secret:"url" example:"smtp://user:secret@mail.example.com:587" help:"mail server (smtp:// with STARTTLS, smtps:// with TLS); production needs it or MAIL_DIR"`
	MailDir  string `env:"MAIL_DIR" roles:"web,worker-pg" example:"tmp/mail" help:"directory that mails are written to instead of being sent; unset: tmp/mail in development"`

	PaymentTimeout time.Duration `env:"PAYMENT_TIMEOUT" envDefault:"5s" roles:"web,worker-pg" example:"5s" help:"longest wait for an answer of the payment gateway"`
}

// Environment is the kind of place that the program runs in.
type Environment string

// Development reads a .env file and shows sent mail; Production requires its
// secrets and logs JSON.
const (
	Development Environment = "development"
	Test        Environment = "test"
	Production  Environment = "production"
)

// LogFormat is how log lines look.
type LogFormat string

// LogText is for people, LogJSON for machines.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Role is a command that reads settings.
type Role string

// The roles and commands that read settings.
const (
	Web         Role = "web"
	WorkerPG    Role = "worker-pg"
	WorkerRedis Role = "worker-redis"
	Migrate     Role = "migrate"
	Seed        Role = "seed"
	Health      Role = "health"
)

// Roles are the long-running ones.
var Roles = []Role{Web, WorkerPG, WorkerRedis}
