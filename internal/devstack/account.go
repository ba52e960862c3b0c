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

// account is the user that PostgreSQL runs as, because it refuses to run as
// root. For everyone but root it is nil: PostgreSQL runs as they do.
type account struct {
	name string
	uid  int
	gid  int
}

// postgresAccount is the user postgres, or nobody where there is none.
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

// run makes a command of this account's, to be started in dir.
func (a *account) run(dir, program string, args ...string) *exec.Cmd {
	command := exec.Command(program, args...)
	command.Dir = dir
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if a != nil {
		command.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return command
}

// home makes the directory where this account keeps the database: dir, or one
// below the system's temporary directory when the account may not enter dir,
// as with a checkout in root's home. The program is tried there; it must end
// at once.
func (a *account) home(ctx context.Context, dir string, log io.Writer, program string, args ...string) (string, error) {
	if err := a.own(dir); err != nil {
		return "", err
	}
	err := Run(ctx, a.run(dir, program, args...))
	if err == nil {
		return dir, nil
	}
	if a == nil || !errors.Is(err, fs.ErrPermission) {
		return "", fmt.Errorf("try %s: %w", program, err)
	}

	elsewhere := filepath.Join(os.TempDir(), fmt.Sprintf("slipway-%.6x", sha256.Sum256([]byte(dir))))
	if err := errors.Join(os.Remove(dir), a.own(elsewhere)); err != nil {
		return "", err
	}
	if err := Run(ctx, a.run(elsewhere, program, args...)); err != nil {
		return "", fmt.Errorf("try %s as user %s in %s: %w", program, a.name, elsewhere, err)
	}
	note(log, "PostgreSQL runs as user %s, who may not enter %s: its data is in %s", a.name, filepath.Dir(dir), elsewhere)
	return elsewhere, nil
}

// Private

// own makes a directory for the account alone, or checks that it is one: in
// the temporary directory anybody could have made it.
func (a *account) own(dir string) error {
	uid, gid := os.Geteuid(), os.Getegid()
	if a != nil {
		uid, gid = a.uid, a.gid
	}
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		return os.Lchown(dir, uid, gid)
	}
	if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the directory of the database: %w", err)
	}

	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at the directory of the database: %w", err)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(owner.Uid) != uid {
		return fmt.Errorf("use %s: it belongs to another user: start as that user, or delete it", dir)
	}
	return nil
}
