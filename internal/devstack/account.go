package devstack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the user that PostgreSQL runs as when this program runs as root,
// because PostgreSQL refuses to run as root. A nil account is this program's user.
type account struct {
	name string
	uid  int
	gid  int
}

// postgresAccount returns the user postgres, else the user nobody. It returns nil
// unless this program runs as root.
func postgresAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	found, err := user.Lookup("postgres")
	if err != nil {
		found, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("find a user to run PostgreSQL as: %w", err)
	}

	uid, err := strconv.Atoi(found.Uid)
	if err != nil {
		return nil, fmt.Errorf("read the id of user %s: %w", found.Username, err)
	}
	gid, err := strconv.Atoi(found.Gid)
	if err != nil {
		return nil, fmt.Errorf("read the group of user %s: %w", found.Username, err)
	}
	return &account{name: found.Username, uid: uid, gid: gid}, nil
}

// command returns a command that runs as this account in dir.
func (a *account) command(dir, program string, args ...string) *exec.Cmd {
	command := exec.Command(program, args...)
	command.Dir = dir
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if a != nil {
		command.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return command
}

// makeHome creates the account's directory for the database and returns it. That
// is dir, or one below the system's temporary directory when the account has no
// access to dir, such as below root's home. To find out, makeHome runs the program
// there, which must end by itself.
func (a *account) makeHome(ctx context.Context, dir string, log io.Writer, program string, args ...string) (string, error) {
	if err := a.makeDir(dir); err != nil {
		return "", err
	}
	err := Run(ctx, a.command(dir, program, args...))
	if err == nil {
		return dir, nil
	}
	if a == nil || !errors.Is(err, fs.ErrPermission) {
		return "", fmt.Errorf("run %s: %w", program, err)
	}

	elsewhere := filepath.Join(os.TempDir(), fmt.Sprintf("slipway-%.6x", sha256.Sum256([]byte(dir))))
	if err := errors.Join(os.Remove(dir), a.makeDir(elsewhere)); err != nil {
		return "", err
	}
	if err := Run(ctx, a.command(elsewhere, program, args...)); err != nil {
		return "", fmt.Errorf("run %s as user %s in %s: %w", program, a.name, elsewhere, err)
	}
	logf(log, "PostgreSQL runs as user %s without access to %s: its data is in %s", a.name, filepath.Dir(dir), elsewhere)
	return elsewhere, nil
}

// Private

// makeDir creates a directory that only the account can access. An existing
// directory must belong to the account, because in the system's temporary
// directory any user could have created it.
func (a *account) makeDir(dir string) error {
	uid, gid := os.Geteuid(), os.Getegid()
	if a != nil {
		uid, gid = a.uid, a.gid
	}
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		return os.Lchown(dir, uid, gid)
	}
	if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create the directory of the database: %w", err)
	}

	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("check the directory of the database: %w", err)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(owner.Uid) != uid {
		return fmt.Errorf("use %s: another user owns it: start as that user, or delete it", dir)
	}
	return nil
}
