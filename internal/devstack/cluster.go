package devstack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// clearLeftovers ends the server of an earlier run that was killed, and removes the
// lock file that its server left. PostgreSQL refuses to start when the pid in that
// file is by now the pid of another program.
func (p *Postgres) clearLeftovers() error {
	pid, err := p.pidFile().endLeftover(syscall.SIGINT)
	if err != nil {
		return fmt.Errorf("end the PostgreSQL of an earlier run: %w", err)
	}
	file := filepath.Join(p.dataDir(), "postmaster.pid")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the lock file of PostgreSQL: %w", err)
	}
	if first, _, _ := strings.Cut(string(text), "\n"); pid == 0 || first != strconv.Itoa(pid) {
		return nil
	}
	return os.Remove(file)
}

// makeCluster runs initdb unless the cluster exists. It renames the new cluster at
// the end, so that an incomplete one is not used.
func (p *Postgres) makeCluster(ctx context.Context) (err error) {
	password := filepath.Join(p.home, "password")
	if _, err := os.Stat(filepath.Join(p.dataDir(), "PG_VERSION")); err == nil {
		p.password, err = readSecret(password)
		return err
	}

	incomplete := p.dataDir() + ".new"
	if err := os.RemoveAll(incomplete); err != nil {
		return fmt.Errorf("remove an incomplete database cluster: %w", err)
	}
	if p.password, err = newSecret(password); err != nil {
		return err
	}
	if p.account != nil {
		if err := os.Lchown(password, p.account.uid, p.account.gid); err != nil {
			return fmt.Errorf("change the owner of the password file: %w", err)
		}
	}
	args := []string{
		"-D", incomplete, "-U", postgresRole, "--pwfile", password, "-A", "scram-sha-256", "-E", "UTF8", "--locale", "C.UTF-8",
	}
	if !p.options.Durable {
		args = append(args, "--no-sync")
	}
	var output bytes.Buffer
	initdb := p.account.command(p.home, filepath.Join(p.binaries, "initdb"), args...)
	initdb.Stdout, initdb.Stderr = &output, &output
	if err := Run(ctx, initdb); err != nil {
		return fmt.Errorf("create a database cluster: %w\n%s", err, bytes.TrimSpace(output.Bytes()))
	}
	return os.Rename(incomplete, p.dataDir())
}

func (p *Postgres) deleteData() error {
	for _, name := range []string{p.dataDir(), p.dataDir() + ".new"} {
		if err := os.RemoveAll(name); err != nil {
			return fmt.Errorf("delete the data of PostgreSQL: %w", err)
		}
	}
	return nil
}

func (p *Postgres) deleteHome() error {
	if p.home == "" {
		return nil
	}
	if err := os.RemoveAll(p.home); err != nil {
		return fmt.Errorf("delete the data of PostgreSQL: %w", err)
	}
	return nil
}

func (p *Postgres) dataDir() string { return filepath.Join(p.home, "data") }
