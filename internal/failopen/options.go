package failopen

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Options say how a Redis is used. A zero value is the default that its field
// names.
type Options struct {
	URL  string // empty: there is no Redis, and every call is refused at once
	Name string // in logs and metrics, to tell one Redis from another; "shared"

	Timeout     time.Duration // of one call; 250 ms
	DialTimeout time.Duration // of a new connection; 300 ms
	PoolTimeout time.Duration // of the wait for a connection when all are busy; 100 ms
	PoolSize    int           // most connections; 20
	MinIdle     int           // connections kept open for the next call; none

	MaxInFlight   int           // most calls under way at one time; 256
	Failures      int           // in a row that stop further calls; 3
	ProbeInterval time.Duration // between two tries whether Redis is back, and up to twice that; 100 ms

	Metrics *Metrics // nil: what is counted nobody sees
}

// QuickOptions are go-redis options for a process that must not wait: every
// wait is bounded, and nothing is ever tried twice, because a second try of a
// command whose answer was lost would run it twice.
func QuickOptions(o Options) (*redis.Options, error) {
	o = o.withDefaults()
	options, err := baseOptions(o.URL, o.PoolSize)
	if err != nil {
		return nil, err
	}
	options.DialTimeout = o.DialTimeout
	options.Dialer = dialer(o.DialTimeout, options.TLSConfig)
	options.ReadTimeout = o.Timeout
	options.WriteTimeout = o.Timeout
	options.PoolTimeout = o.PoolTimeout
	options.MaxRetries = -1
	options.MinIdleConns = min(o.MinIdle, o.PoolSize)
	return options, nil
}

// PatientOptions are go-redis options for a worker that would rather wait for
// Redis to come back than drop what it has in hand.
func PatientOptions(url string, poolSize int) (*redis.Options, error) {
	options, err := baseOptions(url, poolSize)
	if err != nil {
		return nil, err
	}
	options.DialTimeout = time.Second
	options.Dialer = dialer(options.DialTimeout, options.TLSConfig)
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

// LogThrough sends what go-redis would print on stderr to report.
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
		// The library's error may quote the address with its password.
		return nil, fmt.Errorf("read the address of Redis: it must look like redis://:password@host:6379/0")
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

// dialer connects with a look-up of its own each time. The standard resolver
// shares look-ups of a name that are under way: one that hangs, because the
// name is gone for a moment, would hold up every later one until it gives up
// after seconds, when the name has long been back.
func dialer(timeout time.Duration, encryption *tls.Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		plain := &net.Dialer{Timeout: timeout, KeepAlive: 5 * time.Minute, Resolver: &net.Resolver{}}
		if encryption == nil {
			return plain.DialContext(ctx, network, address)
		}
		return (&tls.Dialer{NetDialer: plain, Config: encryption}).DialContext(ctx, network, address)
	}
}

type libraryLog struct {
	report func(source string, err error)
}

func (l libraryLog) Printf(_ context.Context, format string, values ...any) {
	l.report("redis.Client", fmt.Errorf(format, values...))
}
