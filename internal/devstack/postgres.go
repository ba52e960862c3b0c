package devstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"
)

const (
	postgresRole    = "slipway"
	defaultDatabase = "slipway_development"
)

// PostgresOptions are the settings of StartPostgres. See Options for the fields
// without a comment.
type PostgresOptions struct {
	Dir      string
	Durable  bool
	Fresh    bool
	Database string
	Log      io.Writer

	// Binaries is the directory of postgres and initdb. Default: the one in PATH,
	// else the newest of Debian's packages.
	Binaries string
}

// Postgres is a private PostgreSQL on a port of 127.0.0.1, with one superuser
// and one database.
type Postgres struct {
	server
	options  PostgresOptions
	account  *account
	binaries string
	home     string // the account's directory: data, password, socket
}

// StartPostgres creates a database cluster when there is none, starts a server and
// returns when it accepts connections.
func StartPostgres(ctx context.Context, options PostgresOptions) (*Postgres, error) {
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return nil, fmt.Errorf("find the directory of PostgreSQL: %w", err)
	}
	binaries, err := postgresBinaries(options.Binaries)
	if err != nil {
		return nil, err
	}
	account, err := postgresAccount()
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	if options.Database == "" {
		options.Database = defaultDatabase
	}

	p := &Postgres{options: options, account: account, binaries: binaries}
	p.server = server{name: "PostgreSQL", dir: dir, lock: lock, stopSignal: syscall.SIGINT, command: p.command, ready: p.ping}
	if !options.Durable {
		p.clean = p.deleteHome
	}
	if err := p.open(ctx); err != nil {
		return nil, errors.Join(err, p.Stop(context.WithoutCancel(ctx)))
	}
	return p, nil
}

// URL returns the URL of the database, with the password.
func (p *Postgres) URL() string { return p.url(p.options.Database) }

// Private

func (p *Postgres) open(ctx context.Context) (err error) {
	program := filepath.Join(p.binaries, "postgres")
	p.home, err = p.account.makeHome(ctx, filepath.Join(p.dir, "cluster"), p.options.Log, program, "--version")
	if err != nil {
		return err
	}
	if err := p.clearLeftovers(); err != nil {
		return err
	}
	if p.options.Fresh || !p.options.Durable {
		if err := p.deleteData(); err != nil {
			return err
		}
	}
	if err := p.makeCluster(ctx); err != nil {
		return err
	}
	if err := p.startOnFreePort(ctx); err != nil {
		return err
	}
	return p.createDatabase(ctx)
}

// command returns the command that runs the server in the foreground.
func (p *Postgres) command() (*exec.Cmd, error) {
	socket := p.home
	if len(socket) >= 100 {
		socket = "" // a socket's path has at most 107 bytes, see unix(7)
	}
	settings := []string{
		"listen_addresses=127.0.0.1",
		"port=" + strconv.Itoa(p.port),
		"unix_socket_directories=" + socket,
		"max_connections=300",
		"timezone=UTC",
		"logging_collector=off",
	}
	if !p.options.Durable {
		// Kill loses no commit even so, because the kernel has received the data.
		settings = append(settings, "fsync=off", "full_page_writes=off")
	}
	args := []string{"-D", p.dataDir()}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	return p.account.command(p.home, filepath.Join(p.binaries, "postgres"), args...), nil
}

func (p *Postgres) ping(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.url("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

func (p *Postgres) createDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.url("postgres"))
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer conn.Close(ctx)

	exists := false
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, p.options.Database).Scan(&exists)
	if err == nil && !exists {
		_, err = conn.Exec(ctx, `CREATE DATABASE `+pgx.Identifier{p.options.Database}.Sanitize())
	}
	if err != nil {
		return fmt.Errorf("create database %s: %w", p.options.Database, err)
	}
	return nil
}

func (p *Postgres) url(database string) string {
	address := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(postgresRole, p.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return address.String()
}
