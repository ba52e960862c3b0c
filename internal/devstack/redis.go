package devstack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// RedisOptions are the settings of StartRedis. See Options for the fields without
// a comment.
type RedisOptions struct {
	Dir     string
	Durable bool
	Fresh   bool

	// Binary is the server program. Default: redis-server in PATH.
	Binary string
}

// Redis is a private Redis on a port of 127.0.0.1, with a password and with the
// eviction policy noeviction.
type Redis struct {
	server
	options RedisOptions
	binary  string
}

// StartRedis starts a server and returns when it accepts commands.
func StartRedis(ctx context.Context, options RedisOptions) (*Redis, error) {
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return nil, fmt.Errorf("find the directory of Redis: %w", err)
	}
	binary, err := redisBinary(options.Binary)
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}

	r := &Redis{options: options, binary: binary}
	r.server = server{name: "Redis", dir: dir, lock: lock, stopSignal: syscall.SIGTERM, command: r.command, ready: r.ping}
	if !options.Durable {
		r.clean = r.deleteData
	}
	if err := r.open(ctx); err != nil {
		return nil, errors.Join(err, r.Stop(context.WithoutCancel(ctx)))
	}
	return r, nil
}

// URL returns the URL of database 0, with the password.
func (r *Redis) URL() string {
	address := url.URL{
		Scheme: "redis",
		User:   url.UserPassword("default", r.password),
		Host:   r.address(),
		Path:   "/0",
	}
	return address.String()
}

// Private

func (r *Redis) open(ctx context.Context) error {
	if _, err := r.pidFile().endLeftover(syscall.SIGTERM); err != nil {
		return fmt.Errorf("end the Redis of an earlier run: %w", err)
	}
	if r.options.Fresh || !r.options.Durable {
		if err := r.deleteData(); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(r.dataDir(), 0o700); err != nil {
		return fmt.Errorf("create the directory of Redis: %w", err)
	}

	password := filepath.Join(r.dir, "password")
	secret, err := readSecret(password)
	if errors.Is(err, os.ErrNotExist) {
		secret, err = newSecret(password)
	}
	if err != nil {
		return err
	}
	r.password = secret
	return r.startOnFreePort(ctx)
}

// command returns the command that runs the server in the foreground. Its settings
// are in a file, because every user can read a command line.
func (r *Redis) command() (*exec.Cmd, error) {
	settings := []string{
		"bind 127.0.0.1",
		"port " + strconv.Itoa(r.port),
		"requirepass " + r.password,
		"dir " + strconv.Quote(r.dataDir()),
		"maxmemory-policy noeviction",
		`save ""`,
	}
	if r.options.Durable {
		settings = append(settings, "appendonly yes", "appendfsync everysec")
	}
	file := filepath.Join(r.dir, "redis.conf")
	if err := os.WriteFile(file, []byte(strings.Join(settings, "\n")+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("write the settings of Redis: %w", err)
	}
	command := exec.Command(r.binary, file)
	command.Dir = r.dir
	return command, nil
}

func (r *Redis) ping(ctx context.Context) error {
	return r.call(ctx, "PING", "+PONG")
}

// call sends a command and returns an error unless the reply has these lines. It
// uses the protocol (RESP) directly, because only packages that work without Redis
// may import a client library.
func (r *Redis) call(ctx context.Context, command string, want ...string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", r.address())
	if err != nil {
		return err
	}
	defer conn.Close()

	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "AUTH %s\r\n%s\r\n", r.password, command); err != nil {
		return err
	}
	reply := bufio.NewReader(conn)
	for _, line := range append([]string{"+OK"}, want...) {
		got, err := reply.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.TrimSpace(got) != line {
			return fmt.Errorf("unexpected reply %q", strings.TrimSpace(got))
		}
	}
	return nil
}

func (r *Redis) deleteData() error {
	if err := os.RemoveAll(r.dataDir()); err != nil {
		return fmt.Errorf("delete the data of Redis: %w", err)
	}
	return nil
}

func (r *Redis) dataDir() string { return filepath.Join(r.dir, "data") }
func (r *Redis) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)) }
