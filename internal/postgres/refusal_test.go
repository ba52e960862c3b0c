package postgres_test

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
)

func TestRefusal_SaysWhyAndWhatToDo(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	admin := openDatabase(t, server.URL())
	execute(t, admin, `CREATE ROLE hunter LOGIN PASSWORD 'hunter2'`)
	execute(t, admin, `CREATE TABLE traps (id bigint)`)
	login, err := url.Parse(server.URL())
	require.NoError(t, err)
	login.User = url.UserPassword("hunter", "hunter2")
	execute(t, admin, `CREATE DATABASE closed ALLOW_CONNECTIONS false`)
	execute(t, admin, `CREATE DATABASE private`)
	execute(t, admin, `REVOKE CONNECT ON DATABASE private FROM PUBLIC`)
	changed := func(change func(*url.URL)) string {
		address := *login
		change(&address)
		return address.String()
	}

	for _, refusal := range []struct {
		name, begin, end, address, says string
	}{
		{name: "wrong password", address: changed(func(u *url.URL) { u.User = url.UserPassword("hunter", "guess") }),
			says: "correct it or the user (SQLSTATE 28P01)"},
		{name: "changed password", begin: `ALTER ROLE hunter PASSWORD 'changed'`, end: `ALTER ROLE hunter PASSWORD 'hunter2'`,
			says: "does not accept the password"},
		{name: "no login", begin: `ALTER ROLE hunter NOLOGIN`, end: `ALTER ROLE hunter LOGIN`,
			says: "ALTER ROLE … LOGIN (SQLSTATE 28000)"},
		{name: "no such database", address: changed(func(u *url.URL) { u.Path = "/hunters" }),
			says: "correct its name in DATABASE_URL, or create it"},
		{name: "closed database", address: changed(func(u *url.URL) { u.Path = "/closed" }), says: "ALLOW_CONNECTIONS true (SQLSTATE 55000)"},
		{name: "no right to connect", address: changed(func(u *url.URL) { u.Path = "/private" }), says: "lacks a right: GRANT it"},
		{name: "no connection left", begin: `ALTER ROLE hunter CONNECTION LIMIT 0`, end: `ALTER ROLE hunter CONNECTION LIMIT -1`,
			says: "lower DATABASE_POOL_SIZE"},
		{name: "unknown setting", address: with(t, login.String(), "pgbouncer", "true"), says: "remove it from the options in DATABASE_URL"},
		{name: "wrong setting", address: with(t, login.String(), "work_mem", "hunter2"), says: "correct the options in DATABASE_URL"},
		{name: "TLS", address: with(t, login.String(), "sslmode", "require"), says: "correct sslmode and sslrootcert"},
		{name: "no right to read", says: "lacks a right: GRANT it"},
	} {
		t.Run(refusal.name, func(t *testing.T) {
			if refusal.address == "" {
				refusal.address = login.String()
			}
			if refusal.begin != "" {
				execute(t, admin, refusal.begin)
				defer execute(t, admin, refusal.end)
			}

			_, err := openDatabase(t, refusal.address).Exec(t.Context(), `SELECT * FROM traps`)

			requireRefused(t, err, refusal.says)
		})
	}
	require.NoError(t, openDatabase(t, login.String()).Ping(t.Context()))
}

func TestRefusal_NamesThePoolerThatRefuses(t *testing.T) {
	t.Parallel()
	for message, refused := range map[string]bool{
		"unsupported startup parameter: statement_timeout": true,
		"no such database: hunter":                         true,
		"no more connections allowed (max_client_conn)":    false,
		"server login has been failing, try again later":   false,
	} {
		db := openDatabase(t, answerWith(t, &pgproto3.ErrorResponse{Severity: "FATAL", Code: "08P01", Message: message}))

		err := db.Ping(bounded(t, patience))

		probed := postgres.NewProbe(db, schemaOf(t, one)).Check(bounded(t, patience))
		require.Equal(t, refused, telemetry.Class(probed) == "pooler")
		require.Equal(t, refused, postgres.OutcomeOf(probed) == postgres.Refused)
		if refused {
			requireRefused(t, err, "a connection pooler such as PgBouncer")
		} else {
			requireUnavailable(t, err)
		}
	}
}

func TestProbe_IsRefusedWhenThePoolIs(t *testing.T) {
	t.Parallel()
	db := openDatabase(t, with(t, pgtest.URL(t, one), "pgbouncer", "true"))

	err := postgres.NewProbe(db, schemaOf(t, one)).Check(bounded(t, patience))

	requireRefused(t, err, "remove it from the options in DATABASE_URL")
	requireRefused(t, db.Ping(t.Context()), "remove it from the options in DATABASE_URL")
}

func TestProbe_FindsThatAPoolerDropsALimit(t *testing.T) {
	t.Parallel()
	address := pgtest.URL(t, one)
	for _, limit := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		db := openDatabase(t, throughPooler(t, address, limit))
		require.NoError(t, db.Ping(t.Context()))

		err := postgres.NewProbe(db, schemaOf(t, one)).Check(bounded(t, patience))

		requireRefused(t, err, "a connection pooler such as PgBouncer")
	}
	db := openDatabase(t, throughPooler(t, address))
	require.NoError(t, postgres.NewProbe(db, schemaOf(t, one)).Check(bounded(t, patience)), "this one drops nothing")
}

func TestMigrate_RefusesAPoolerThatDropsTheLimit(t *testing.T) {
	t.Parallel()
	address := pgtest.Empty(t)

	_, err := newMigrator(t, throughPooler(t, address, "lock_timeout"), one).Migrate(bounded(t, patience))

	requireRefused(t, err, "a connection pooler such as PgBouncer")
	require.Positive(t, migrate(t, address, one))
}

func TestMonitor_ReportsARefusalInWords(t *testing.T) {
	t.Parallel()
	monitor, log := newMonitor(t, with(t, pgtest.URL(t, one), "pgbouncer", "true"), nil)

	requireRefused(t, monitor.Check(bounded(t, patience)), "remove it from the options")

	require.Contains(t, log.String(), "level=ERROR")
	require.Contains(t, log.String(), "class=sqlstate_42704")
	require.Contains(t, log.String(), "remove it from the options in DATABASE_URL")
}

// Private

func requireRefused(t *testing.T, err error, says string) {
	t.Helper()
	require.Error(t, err)
	err = fmt.Errorf("find trap: %w", err)
	require.Equal(t, postgres.Refused, postgres.OutcomeOf(err), "%v", err)
	require.True(t, postgres.Unusable(err))
	require.False(t, postgres.Lost(err))
	require.Contains(t, postgres.Refusal(err), says)
	require.NotContains(t, postgres.Refusal(err), "hunter")
}

// answerWith returns the URL of a server that answers every connection with one
// message and closes it.
func answerWith(t *testing.T, message pgproto3.BackendMessage) string {
	t.Helper()
	address := listen(t, func(connection net.Conn, _ *pgproto3.StartupMessage) {
		backend := pgproto3.NewBackend(connection, connection)
		backend.Send(message)
		_ = backend.Flush() // the client finds out
	})
	return "postgres://hunter:hunter2@" + address + "/hunter?sslmode=disable"
}

// throughPooler returns the URL of a server that passes everything on to the one at
// address, except these settings of a new connection.
func throughPooler(t *testing.T, address string, dropped ...string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	server := parsed.Host
	parsed.Host = listen(t, func(connection net.Conn, startup *pgproto3.StartupMessage) {
		for _, setting := range dropped {
			delete(startup.Parameters, setting)
		}
		message, err := startup.Encode(nil)
		if err != nil {
			return
		}
		upstream, err := net.Dial("tcp", server)
		if err != nil {
			return
		}
		defer upstream.Close()
		if _, err := upstream.Write(message); err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(upstream, connection)
			_ = upstream.Close()
		}()
		_, _ = io.Copy(connection, upstream)
	})
	return parsed.String()
}

// listen answers every connection after its startup message, and returns its
// address.
func listen(t *testing.T, answer func(net.Conn, *pgproto3.StartupMessage)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				message, err := pgproto3.NewBackend(connection, io.Discard).ReceiveStartupMessage()
				if startup, is := message.(*pgproto3.StartupMessage); err == nil && is {
					answer(connection, startup)
				}
			}()
		}
	}()
	return listener.Addr().String()
}
