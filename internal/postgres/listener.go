package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Listener receives the messages of one channel of NOTIFY over a connection outside
// of a pool.
type Listener struct {
	config  *pgx.ConnConfig
	channel string
}

// NewListener returns a listener on the server of pool. It does not connect.
func NewListener(pool *pgxpool.Pool, channel string) *Listener {
	return &Listener{config: pool.Config().ConnConfig, channel: channel}
}

// Listen calls begun once every later message will be received, and then received for
// each that is not empty. It returns when ctx ends, and with an error when it cannot connect or the
// connection breaks: it is tested whenever no message came for some seconds.
func (l *Listener) Listen(ctx context.Context, begun func(), received func(*pgconn.Notification)) error {
	connection, err := pgx.ConnectConfig(ctx, l.config)
	if err != nil {
		return fmt.Errorf("listen on channel %s: %w", l.channel, err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = connection.Close(closing) // it may be broken
	}()
	if _, err := connection.Exec(ctx, "LISTEN "+pgx.Identifier{l.channel}.Sanitize()); err != nil {
		return fmt.Errorf("listen on channel %s: %w", l.channel, err)
	}
	if err := l.test(ctx, connection); err != nil {
		return fmt.Errorf("listen on channel %s: %w", l.channel, err)
	}
	begun()
	for {
		message, err := await(ctx, connection)
		switch {
		case err != nil:
			return fmt.Errorf("listen on channel %s: %w", l.channel, err)
		case message != nil && message.Payload != testPayload:
			received(message)
		}
	}
}

// ErrNoMessages means that the server, or a pooler before it, takes LISTEN and delivers
// nothing.
var ErrNoMessages = errors.New("messages of NOTIFY do not arrive: a pooler in transaction mode cannot deliver them")

// Private

// testPayload is a message that only tells that messages arrive.
const testPayload = ""

const (
	quietFor    = 5 * time.Second // until a connection is tested
	testTimeout = 2 * time.Second
)

// test sends a message and waits for it.
func (l *Listener) test(ctx context.Context, connection *pgx.Conn) error {
	if _, err := connection.Exec(ctx, `SELECT pg_notify($1, $2)`, l.channel, testPayload); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	if _, err := connection.WaitForNotification(waiting); err != nil {
		if ctx.Err() == nil && errors.Is(waiting.Err(), context.DeadlineExceeded) {
			return ErrNoMessages
		}
		return err
	}
	return nil
}

// await returns the next message, or nil when none came for a while and the
// connection still works.
func await(ctx context.Context, connection *pgx.Conn) (*pgconn.Notification, error) {
	waiting, cancel := context.WithTimeout(ctx, quietFor)
	defer cancel()
	message, err := connection.WaitForNotification(waiting)
	if err == nil || ctx.Err() != nil || !errors.Is(waiting.Err(), context.DeadlineExceeded) {
		return message, err
	}
	testing, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	return nil, connection.Ping(testing)
}
