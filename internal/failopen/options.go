package failopen

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Options configure the use of one Redis. A zero field means the default that
// its comment names.
type Options struct {
	URL  string // empty: no Redis is configured, and every call is refused at once
	Name string // label in logs and metrics; default "shared"

	// Namespace begins every key and channel, so that two installations can use one
	// Redis; default none.
	Namespace string

	Timeout     time.Duration // of one call; default 250 ms
	DialTimeout time.Duration // of a new connection; default 300 ms
	PoolTimeout time.Duration // of the wait for a connection when all are busy; default 100 ms
	PoolSize    int           // largest number of connections; default 20
	MinIdle     int           // idle connections that stay open for the next call; default none

	MaxInFlight   int           // largest number of calls in progress at one time; default 256
	Failures      int           // consecutive failures that open the breaker; default 3
	ProbeInterval time.Duration // shortest pause between two probes, the longest is twice that; default 100 ms

	Metrics *Metrics // nil: nothing is exported

	connections *connections // that the guard purges; set by NewGuard
}

// QuickOptions are go-redis options for a process that must not wait. Every wait
// is bounded, and no command is retried: a retry of a command whose reply was
// lost would run it twice. The error says that the address cannot be read.
func QuickOptions(o Options) (*redis.Options, error) {
	o = o.withDefaults()
	options, err := baseOptions(o.URL, o.PoolSize)
	if err != nil {
		return nil, err
	}
	options.DialTimeout = o.DialTimeout
	options.Dialer = dialer(o.DialTimeout, options.TLSConfig, o.connections)
	options.ReadTimeout = o.Timeout
	options.WriteTimeout = o.Timeout
	options.PoolTimeout = o.PoolTimeout
	options.MaxRetries = -1
	options.MinIdleConns = min(o.MinIdle, o.PoolSize)
	return options, nil
}

// PatientOptions are go-redis options for a worker, which waits for Redis to
// recover rather than drop the work in progress. The error says that the
// address cannot be read.
func PatientOptions(url string, poolSize int) (*redis.Options, error) {
	options, err := baseOptions(url, poolSize)
	if err != nil {
		return nil, err
	}
	options.DialTimeout = time.Second
	options.Dialer = dialer(options.DialTimeout, options.TLSConfig, nil)
	options.ReadTimeout = 2 * time.Second
	options.WriteTimeout = 2 * time.Second
	options.PoolTimeout = 3 * time.Second
	options.ReadBufferSize = 8 << 10 // of every connection; tasks are small
	options.WriteBufferSize = 8 << 10
	options.MaxRetries = 10
	options.MinRetryBackoff = 100 * time.Millisecond
	options.MaxRetryBackoff = 2 * time.Second
	return options, nil
}

// LogThrough passes the log messages of go-redis, which it would otherwise print
// on stderr, to report. It is global: call it once per process.
func LogThrough(report func(source string, err error)) {
	redis.SetLogger(libraryLog{report})
}

// Private

func (o Options) withDefaults() Options {
	o.Name = cmp.Or(o.Name, "shared")
	o.Timeout = cmp.Or(o.Timeout, 250*time.Millisecond)
	o.DialTimeout = cmp.Or(o.DialTimeout, 300*time.Millisecond)
	o.PoolTimeout = cmp.Or(o.PoolTimeout, 100*time.Millisecond)
	o.PoolSize = cmp.Or(o.PoolSize, 20)
	o.MaxInFlight = cmp.Or(o.MaxInFlight, 256)
	o.Failures = cmp.Or(o.Failures, 3)
	o.ProbeInterval = cmp.Or(o.ProbeInterval, 100*time.Millisecond)
	if o.Metrics == nil {
		o.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	return o
}

func baseOptions(url string, poolSize int) (*redis.Options, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		// The library's error may quote the address, which holds the password.
		return nil, errors.New("read the address of Redis: it must look like redis://:password@host:6379/0")
	}
	options.PoolSize = poolSize
	options.DialerRetries = 1
	options.PipelinePoolSize = -1
	options.ContextTimeoutEnabled = true
	options.ConnMaxIdleTime = 5 * time.Minute
	options.ConnMaxLifetime = 30 * time.Minute
	options.ConnMaxLifetimeJitter = 3 * time.Minute
	options.DisableIdentity = true
	options.Protocol = 2
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return options, nil
}

// dialer makes connections, as part of group, that each resolve the host name
// again. The standard resolver shares a lookup in progress among all callers: one
// lookup that hangs, because the name is missing for a moment, would delay every
// later connection by seconds, even when the name has returned.
func dialer(timeout time.Duration, encryption *tls.Config, group *connections) dialFunc {
	return checked(func(ctx context.Context, network, address string) (net.Conn, error) {
		plain := &net.Dialer{Timeout: timeout, KeepAlive: 5 * time.Minute, Resolver: &net.Resolver{}}
		if encryption == nil {
			socket, err := plain.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return group.wrap(socket, socket), nil
		}
		encrypted, err := (&tls.Dialer{NetDialer: plain, Config: encryption}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return group.wrap(encrypted, encrypted.(*tls.Conn).NetConn()), nil
	})
}

type libraryLog struct {
	report func(source string, err error)
}

func (l libraryLog) Printf(_ context.Context, format string, values ...any) {
	l.report("redis.Client", fmt.Errorf(format, values...))
}
