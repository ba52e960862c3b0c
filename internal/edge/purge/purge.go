// Package purge tells the HTTP caches of all web processes that what they have was
// changed. It sends tags through NOTIFY of PostgreSQL, in the transaction of the change:
// a change that is rolled back tells nothing, and one that commits is told to every
// process that listens.
package purge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/postgres"
)

// Channel is the channel of NOTIFY, to which triggers of an application may send too.
// A message is a JSON object: {"expire":["product:12"]} makes responses with the tag
// stale, {"purge":["product:12"]} removes them, and {"all":true} removes everything.
const Channel = "app_edge_purge"

// Sender is a pool, a connection or a transaction.
type Sender interface {
	Exec(ctx context.Context, statement string, arguments ...any) (pgconn.CommandTag, error)
}

// Expire makes the responses with one of the tags stale: pages are made anew, and the
// old ones are only served while the application fails. In a transaction, it takes
// effect when that commits.
func Expire(ctx context.Context, sender Sender, tags ...string) error {
	return sendTags(ctx, sender, tags, func(some []string) message { return message{Expire: some} })
}

// Purge removes the responses with one of the tags, as Expire does.
func Purge(ctx context.Context, sender Sender, tags ...string) error {
	return sendTags(ctx, sender, tags, func(some []string) message { return message{Purge: some} })
}

// All removes all responses.
func All(ctx context.Context, sender Sender) error { return send(ctx, sender, message{All: true}) }

// Cache is an HTTP cache.
type Cache interface {
	Expire(tags ...string) int
	Purge(tags ...string) int
	PurgeAll()
	// Distrust is told whether messages may be missing.
	Distrust(missing bool)
}

// Listener obeys messages for the cache of this process.
type Listener struct {
	connection *postgres.Listener
	cache      Cache
	log        *slog.Logger
}

// NewListener returns a listener, which uses one connection outside of the pool.
func NewListener(pool *pgxpool.Pool, cache Cache, log *slog.Logger) *Listener {
	return &Listener{connection: postgres.NewListener(pool, Channel), cache: cache, log: log}
}

// Run listens until ctx ends. While it cannot, the cache is told to distrust what it
// has.
func (l *Listener) Run(ctx context.Context) error {
	warned := false
	for ctx.Err() == nil {
		l.cache.Distrust(true)
		err := l.connection.Listen(ctx, func() { l.cache.Distrust(false) }, l.obey)
		if errors.Is(err, postgres.ErrNoMessages) && !warned {
			warned = true
			l.log.WarnContext(ctx, "The HTTP cache hears of no changes, so every page is asked of the application",
				"error", err, "advice", "let DATABASE_URL of web name PostgreSQL itself, or a pooler in session mode")
		}
		if ctx.Err() == nil {
			pause(ctx)
		}
	}
	return nil
}

// Private

const (
	maxTags    = 7900 // bytes of the tags of one message; PostgreSQL refuses 8000 in all
	retryAfter = time.Second
)

type message struct {
	Expire []string `json:"expire,omitempty"`
	Purge  []string `json:"purge,omitempty"`
	All    bool     `json:"all,omitempty"`
}

// sendTags sends as many messages as the tags need.
func sendTags(ctx context.Context, sender Sender, tags []string, about func([]string) message) error {
	var some []string
	size := 0
	for _, tag := range tags {
		text, err := json.Marshal(tag)
		if err != nil || tag == "" || len(text) > maxTags {
			return fmt.Errorf("purge: %.40q is no tag: a tag is a text of 1 to %d bytes", tag, maxTags)
		}
		if size += len(text) + 1; size > maxTags {
			if err := send(ctx, sender, about(some)); err != nil {
				return err
			}
			some, size = nil, len(text)+1
		}
		some = append(some, tag)
	}
	if len(some) == 0 {
		return nil
	}
	return send(ctx, sender, about(some))
}

func send(ctx context.Context, sender Sender, m message) error {
	payload, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	if _, err := sender.Exec(ctx, `SELECT pg_notify($1, $2)`, Channel, string(payload)); err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	return nil
}

// obey does what a message says. One that cannot be read removes everything, because
// something has changed.
func (l *Listener) obey(received *pgconn.Notification) {
	var m message
	if err := json.Unmarshal([]byte(received.Payload), &m); err != nil {
		l.log.Warn("A message to the HTTP cache cannot be read, so everything is removed from it", "channel", Channel, "error", err)
		m.All = true
	}
	if m.All {
		l.cache.PurgeAll()
	}
	if len(m.Expire) > 0 {
		l.cache.Expire(m.Expire...)
	}
	if len(m.Purge) > 0 {
		l.cache.Purge(m.Purge...)
	}
}

func pause(ctx context.Context) {
	select {
	case <-time.After(retryAfter):
	case <-ctx.Done():
	}
}
