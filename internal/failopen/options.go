package failopen

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// QuickOptions are go-redis options for a process that must not wait: every
// wait is bounded by timeout, and nothing is ever tried twice, because a
// second try of a command whose answer was lost would run it twice.
func QuickOptions(url string, poolSize int, timeout time.Duration) (*redis.Options, error) {
	options, err := baseOptions(url, poolSize)
	if err != nil {
		return nil, err
	}
	options.DialTimeout = timeout + 50*time.Millisecond
	options.ReadTimeout = timeout
	options.WriteTimeout = timeout
	options.PoolTimeout = 100 * time.Millisecond
	options.MaxRetries = -1
	options.MinIdleConns = min(2, poolSize)
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
	options.ReadTimeout = 2 * time.Second
	options.WriteTimeout = 2 * time.Second
	options.PoolTimeout = 3 * time.Second
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
	options.DisableIdentity = true
	options.Protocol = 2
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return options, nil
}

type libraryLog struct {
	report func(source string, err error)
}

func (l libraryLog) Printf(_ context.Context, format string, values ...any) {
	l.report("redis.Client", fmt.Errorf(format, values...))
}
