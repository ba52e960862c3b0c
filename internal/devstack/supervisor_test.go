package devstack

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSupervisor_RestartsARoleThatEnds(t *testing.T) {
	t.Parallel()
	output, lines := newOutput(t)

	supervise(t, output, `echo up; exit 1`)

	lines.expect("role         | up")
	lines.expect("role         | ended with code 1 and starts again in 500ms")
	lines.expect("role         | up")
	lines.expect("role         | ended with code 1 and starts again in 1s")
}

func TestSupervisor_StartsAWronglyConfiguredRoleOnlyAfterRestart(t *testing.T) {
	t.Parallel()
	output, lines := newOutput(t)

	supervisor := supervise(t, output, `echo up; exit 2`)
	lines.expect("role         | up")
	lines.expect("its configuration is wrong")
	supervisor.Restart()

	lines.expect("role         | up")
}

func TestSupervisor_RestartSendsSIGTERMFirst(t *testing.T) {
	t.Parallel()
	output, lines := newOutput(t)

	supervisor := supervise(t, output, `trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.02; done`)
	lines.expect("up")
	supervisor.Restart()

	lines.expect("bye")
	lines.expect("up")
}

func TestSupervisor_StopKillsTheWholeGroupWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	output, lines := newOutput(t)
	supervisor := supervise(t, output, `trap '' TERM; sleep 60 & echo child $!; wait`)
	_, number, _ := strings.Cut(lines.expect("child"), "child ")
	pid, err := strconv.Atoi(number)
	require.NoError(t, err)
	child, err := readStat(pid)
	require.NoError(t, err)
	over, cancel := context.WithCancel(t.Context())
	cancel()

	supervisor.Stop(over)

	require.NoError(t, waitAll([]stat{child}, 5*time.Second, gone))
	lines.expect("did not stop and was killed")
}

func TestRoleRunner_PausesLongerAfterEveryFailure(t *testing.T) {
	t.Parallel()
	r := &roleRunner{supervisor: &Supervisor{output: NewOutput(io.Discard, false)}}

	var pauses []string
	for range 7 {
		r.setPause(1, time.Second)
		pauses = append(pauses, r.pause.String())
	}
	require.Equal(t, []string{"500ms", "1s", "2s", "4s", "8s", "10s", "10s"}, pauses)

	r.setPause(1, time.Minute)
	require.Equal(t, 500*time.Millisecond, r.pause)
}

// Private

func supervise(t *testing.T, output *Output, script string) *Supervisor {
	t.Helper()
	supervisor := Supervise(output, []Role{{Name: "role", Program: "/bin/sh", Args: []string{"-c", script}, Env: os.Environ()}})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		supervisor.Stop(ctx)
	})
	return supervisor
}

// printed receives the lines of an Output.
type printed struct {
	t     *testing.T
	lines chan string
}

func newOutput(t *testing.T) (*Output, printed) {
	t.Helper()
	reader, writer := io.Pipe()
	p := printed{t: t, lines: make(chan string, 1000)}
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewScanner(reader); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		_ = writer.Close()
		for range p.lines {
		}
	})
	return NewOutput(writer, false), p
}

// expect returns the next line that contains a text, and skips those before it.
func (p printed) expect(text string) string {
	p.t.Helper()
	var before []string
	late := time.After(20 * time.Second)
	for {
		select {
		case line := <-p.lines:
			if strings.Contains(line, text) {
				return line
			}
			before = append(before, line)
		case <-late:
			require.Fail(p.t, fmt.Sprintf("never printed %q", text), strings.Join(before, "\n"))
		}
	}
}
