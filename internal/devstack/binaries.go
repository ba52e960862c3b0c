package devstack

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

const (
	debianPostgres  = "/usr/lib/postgresql"
	installPostgres = "install the Debian package postgresql (bin/setup does)"
)

// postgresBinaries returns the directory of postgres and initdb: the given one,
// else the one in PATH, else the newest below debianPostgres.
func postgresBinaries(given string) (string, error) {
	if given != "" {
		if !isPostgres(given) {
			return "", fmt.Errorf("find PostgreSQL: no postgres and initdb in %s: %s", given, installPostgres)
		}
		return given, nil
	}
	if path, err := exec.LookPath("postgres"); err == nil && isPostgres(filepath.Dir(path)) {
		return filepath.Dir(path), nil
	}

	newest, dir := 0, ""
	entries, _ := os.ReadDir(debianPostgres)
	for _, entry := range entries {
		bin := filepath.Join(debianPostgres, entry.Name(), "bin")
		if version, err := strconv.Atoi(entry.Name()); err == nil && version > newest && isPostgres(bin) {
			newest, dir = version, bin
		}
	}
	if dir == "" {
		return "", fmt.Errorf("find PostgreSQL: neither in PATH nor in %s: %s", debianPostgres, installPostgres)
	}
	return dir, nil
}

// redisBinary returns the path of the given program, else of redis-server in PATH.
func redisBinary(given string) (string, error) {
	if given == "" {
		given = "redis-server"
	}
	path, err := exec.LookPath(given)
	if err != nil {
		return "", fmt.Errorf("find Redis: %w: install the Debian package redis-server (bin/setup does)", err)
	}
	return path, nil
}

// Private

func isPostgres(dir string) bool {
	for _, name := range []string{"postgres", "initdb"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}
