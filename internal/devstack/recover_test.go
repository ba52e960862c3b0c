package devstack

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// victimDir names the environment variable that makes the test binary run a stack.
const victimDir = "DEVSTACK_VICTIM_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		if err := runVictim(dir, len(os.Args) > 1); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestStart_RecoversAfterItsProgramWasKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	servers := killVictim(t, dir)

	require.NoError(t, waitAll(servers, 10*time.Second, gone), "the kernel ends the servers when their program ends")
	stack := startStack(t, Options{Dir: dir, Durable: true})

	require.Equal(t, "blue", query(t, stack.DatabaseURL(), `SELECT colour FROM mugs`))
}

func TestStart_EndsFrozenLeftoversOfAKilledProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	servers := killVictim(t, dir, "frozen")

	stack := startStack(t, Options{Dir: dir, Durable: true})

	require.NoError(t, waitAll(servers, time.Second, gone))
	require.Equal(t, "blue", query(t, stack.DatabaseURL(), `SELECT colour FROM mugs`))
}

func TestStart_DoesNotEndAnotherProcessWithTheSamePid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := startStack(t, Options{Dir: dir, Durable: true})
	require.NoError(t, first.Postgres.Kill())
	require.NoError(t, first.Stop(t.Context()))
	bystander := first.Postgres.account.command("/", "sleep", "60") // PostgreSQL checks processes of its own user only
	require.NoError(t, bystander.Start())
	defer func() { _, _ = bystander.Process.Kill(), bystander.Wait() }()
	pid := strconv.Itoa(bystander.Process.Pid)
	replaceFirstLine(t, filepath.Join(first.Postgres.home, "data", "postmaster.pid"), pid)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "postgres", "pid"), []byte(pid+" 1 an-earlier-boot\n"), 0o600))

	second := startStack(t, Options{Dir: dir, Durable: true})

	require.NoError(t, second.Postgres.ping(t.Context()))
	stat, err := readStat(bystander.Process.Pid)
	require.NoError(t, err)
	require.False(t, stat.ended())
}

// Private

// runVictim starts a stack, prints the pids of its servers, and waits until it is
// killed.
func runVictim(dir string, freeze bool) error {
	ctx := context.Background()
	stack, err := Start(ctx, Options{Dir: dir, Durable: true})
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, stack.DatabaseURL())
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `CREATE TABLE mugs AS SELECT 'blue' AS colour`); err != nil {
		return err
	}
	if freeze {
		if err := stack.Postgres.Freeze(); err != nil {
			return err
		}
		if err := stack.Redis.Freeze(); err != nil {
			return err
		}
	}
	fmt.Println("running", stack.Postgres.process.pid(), stack.Redis.process.pid())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// killVictim starts the test binary with runVictim, kills it, and returns the
// processes of its servers.
func killVictim(t *testing.T, dir string, args ...string) (servers []stat) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	victim := exec.Command(self, args...)
	victim.Env = append(os.Environ(), victimDir+"="+dir)
	_, err = victim.StdinPipe()
	require.NoError(t, err)
	stdout, err := victim.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, victim.Start())
	defer func() { _ = victim.Wait() }()
	defer func() { _ = victim.Process.Kill() }()

	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	var postgres, redis int
	_, err = fmt.Sscanf(line, "running %d %d", &postgres, &redis)
	require.NoError(t, err, line)
	return append(processTree(postgres), processTree(redis)...)
}

func replaceFirstLine(t *testing.T, file, line string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(text), "\n")
	require.NoError(t, os.WriteFile(file, []byte(line+"\n"+rest), 0o600))
}
