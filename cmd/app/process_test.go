package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/internal/devstack/stacktest"

	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for something that must happen.
const patience = stacktest.Patience

// appProcess is a running command of an application.
type appProcess struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	url    string // of the pages; empty for workers
	ops    string
	output *stacktest.Journal
	done   chan struct{}
}

// launch starts a command in an empty directory. It is killed when the test ends.
func (d *deployment) launch(more []string, args ...string) *appProcess {
	d.t.Helper()
	p := &appProcess{
		t: d.t, name: strings.Join(args, " "), cmd: exec.Command(d.program, args...),
		output: &stacktest.Journal{}, done: make(chan struct{}),
	}
	p.cmd.Dir = d.t.TempDir()
	p.cmd.Env = append(os.Environ(), "TEST_BINARY_IS_APP="+d.app)
	for name, value := range d.environment {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	p.cmd.Env = append(p.cmd.Env, more...)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(d.t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait() // a test that needs the exit code reads it
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

// eventually waits until condition is true. What is a sentence about the process,
// such as "is healthy".
func (p *appProcess) eventually(condition func() bool, what string) {
	p.t.Helper()
	stacktest.Eventually(p.t, condition, "%s never %s:\n%s", p.name, what, p.output)
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

// status is the HTTP status of an address, 0 when nothing answers.
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

// contains reports whether the process has written text to its log.
func contains(p *appProcess, text string) bool {
	return strings.Contains(p.output.String(), text)
}

// requireNoFlood checks that failed calls of one kind have few lines in the log: one for
// the first, one for the others when the backend is back, and one when the process stops.
// How many kinds there are is a matter of the fault.
func requireNoFlood(t *testing.T, logged string) {
	t.Helper()
	lines := map[string]int{}
	for _, found := range failedCall.FindAllStringSubmatch(logged, -1) {
		lines[found[1]+" "+found[2]]++
	}
	for kind, count := range lines {
		require.LessOrEqual(t, count, 3, "%s must not flood the log", kind)
	}
}

var failedCall = regexp.MustCompile(`Backend call failed.*?source"?[=:]"?([\w.]+)"?,? ?"?class"?[=:]"?(\w+)`)
