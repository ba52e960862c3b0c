package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for something that must happen.
const patience = 30 * time.Second

// process is one running command.
type appProcess struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	url    string // of the store; empty for workers
	ops    string
	output *lockedBuffer
	done   chan struct{}
}

func (d *deployment) launch(more []string, args ...string) *appProcess {
	d.t.Helper()
	p := &appProcess{t: d.t, name: strings.Join(args, " "), cmd: exec.Command(os.Args[0], args...), output: &lockedBuffer{}, done: make(chan struct{})}
	p.cmd.Dir = d.t.TempDir()
	p.cmd.Env = append(os.Environ(), "TEST_BINARY_IS_APP=1")
	for name, value := range d.environment {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	p.cmd.Env = append(p.cmd.Env, more...)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(d.t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait() // its exit code is looked at where it matters
		close(p.done)
	}()
	d.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if d.t.Failed() {
			d.t.Logf("%s:\n%s", p.name, p.output.String())
		}
	})
	return p
}

// stop sends SIGTERM and returns how long the process took to exit with 0.
func (p *appProcess) stop() time.Duration {
	p.t.Helper()
	started := time.Now()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.done:
	case <-time.After(patience):
		require.Fail(p.t, p.name+" did not stop")
	}
	require.Zero(p.t, p.cmd.ProcessState.ExitCode(), p.output.String())
	return time.Since(started)
}

func (p *appProcess) eventually(condition func() bool, what string) {
	p.t.Helper()
	require.Eventually(p.t, condition, patience, 20*time.Millisecond, "%s never %s:\n%s", p.name, what, p.output.String())
}

// report is the body of /health.
type report struct {
	Status string
	Checks map[string]struct{ Status, Reason string }
}

func (p *appProcess) health() report {
	p.t.Helper()
	response, err := http.Get(p.ops + "/health")
	require.NoError(p.t, err)
	defer response.Body.Close()
	var r report
	require.NoError(p.t, json.NewDecoder(response.Body).Decode(&r))
	require.Equal(p.t, r.Status == "error", response.StatusCode == http.StatusServiceUnavailable)
	return r
}

// status is 0 when nothing answers.
func status(address string) int {
	response, err := http.Get(address)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

func metricsOf(t *testing.T, p *appProcess) string {
	t.Helper()
	return metricsAt(t, p.ops)
}

func metricsAt(t *testing.T, ops string) string {
	t.Helper()
	response, err := http.Get(ops + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(text)
}

func contains(p *appProcess, text string) bool {
	return strings.Contains(p.output.String(), text)
}
