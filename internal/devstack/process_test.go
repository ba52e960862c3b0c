package devstack

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRun_ReportsFailure(t *testing.T) {
	t.Parallel()
	var output bytes.Buffer
	command := exec.Command("/bin/sh", "-c", "echo no; exit 3")
	command.Stdout = &output

	err := Run(t.Context(), command)

	require.EqualError(t, err, "exit status 3")
	require.Equal(t, "no\n", output.String())
}

func TestRun_EndsTheCommandWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	command := exec.Command("sleep", "60")

	err := Run(ctx, command)

	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, "signal: terminated", command.ProcessState.String())
}

func TestForeground_ReturnsTheExitCode(t *testing.T) {
	t.Parallel()

	code, err := Foreground(exec.Command("/bin/sh", "-c", "exit 7"), nil)
	require.NoError(t, err)
	require.Equal(t, 7, code)

	code, err = Foreground(exec.Command("/bin/sh", "-c", "kill -KILL $$"), nil)
	require.NoError(t, err)
	require.Equal(t, 137, code)
}

func TestForeground_ForwardsSignalsAndLeavesNoProcess(t *testing.T) {
	t.Parallel()
	ready := filepath.Join(t.TempDir(), "ready")
	signals := make(chan os.Signal, 1)
	child := make(chan stat, 1)
	go func() {
		child <- waitForPid(ready)
		signals <- syscall.SIGTERM
	}()

	script := `trap 'exit 9' TERM; (trap "" TERM; exec sleep 60) & echo $! > "$0".new; mv "$0".new "$0"; wait`
	code, err := Foreground(exec.Command("/bin/sh", "-c", script, ready), signals)

	require.NoError(t, err)
	require.Equal(t, 9, code)
	require.NoError(t, waitAll([]stat{<-child}, 5*time.Second, gone))
}

func TestSignals_TheSecondEndsKilling(t *testing.T) {
	stopping, killing, release := Signals(t.Context())
	defer release()

	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGPIPE))
	<-stopping.Done()
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	require.NoError(t, killing.Err())
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
	<-killing.Done()
}

func TestFreePort_SkipsTakenPorts(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	inUse := listener.Addr().(*net.TCPAddr).Port

	port, err := FreePort(inUse, inUse+1)

	require.NoError(t, err)
	require.Greater(t, port, inUse+1)
}

// Private

// waitForPid waits for a file with a pid, and returns that process.
func waitForPid(file string) stat {
	for poll := time.NewTicker(5 * time.Millisecond); ; <-poll.C {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		process, _ := readStat(pid)
		return process
	}
}
