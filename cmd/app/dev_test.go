package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestDevExec_RunsACommandBesideItsServers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seen := filepath.Join(dir, "seen")

	const script = `
		echo "$TEST_DATABASE_URL $TEST_REDIS_URL" > "$0"
		[ "$DATABASE_URL $REDIS_URL" = "$TEST_DATABASE_URL $TEST_REDIS_URL" ] && exit 7`
	code := run(t.Context(), testApplication(), []string{"dev", "exec", "--dir", dir, "--", "sh", "-c", script, seen}, io.Discard, io.Discard)

	require.Equal(t, 7, code)
	text, err := os.ReadFile(seen)
	require.NoError(t, err)
	const postgres, redis = `postgres://slipway:\w+@127\.0\.0\.1:\d+/slipway_development\S*`, `redis://default:\w+@127\.0\.0\.1:\d+/0`
	require.Regexp(t, `^`+postgres+` `+redis+`\n$`, string(text))
}

func TestDevExec_NeedsACommand(t *testing.T) {
	t.Parallel()

	require.Equal(t, exitUsage, run(t.Context(), testApplication(), []string{"dev", "exec"}, io.Discard, io.Discard))
}

// A small program stands in for the application, because this test builds it
// several times.
func TestDev_ServesRebuildsAndStops(t *testing.T) { // not parallel: it compiles, and others would miss their time limits
	if testing.Short() {
		t.Skip("builds the program")
	}
	project := newProject(t)
	writeProject(t, project, "one")
	writeAssets(t, project, "body {}")
	dev := startDev(t, project)

	dev.expect("assets       | bundled body {} -source-maps")
	address, _, _ := strings.Cut(dev.expect("The board is open at ")[len("The board is open at "):], " ")
	require.Equal(t, "one", download(t, address))

	writeProject(t, project, "two")
	dev.expect("web          | started two")
	writeAssets(t, project, "main {}")
	dev.expect("assets       | bundled main {} -source-maps")
	dev.expect("web          | started two")
	writeProject(t, project, `three" "`)
	dev.expect("Cannot build")
	require.Equal(t, "two", download(t, address))

	env, err := os.ReadFile(filepath.Join(project, "tmp/dev/env"))
	require.NoError(t, err)
	database := strings.Split(string(env), "'")[1]
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))

	require.NoError(t, dev.command.Process.Signal(syscall.SIGINT))
	dev.expect("web          | stopped two")
	require.NoError(t, dev.command.Wait())
	_, err = pgx.Connect(t.Context(), database)
	require.ErrorContains(t, err, "connection refused")
	response, err := http.Get(address)
	if err == nil {
		_ = response.Body.Close()
	}
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

// Containers divide the work of `app dev`: one builds, the others run a role each.
func TestDev_RolesRestartWithWhatTheBuilderHasBuilt(t *testing.T) { // not parallel: it compiles, and others would miss their time limits
	if testing.Short() {
		t.Skip("builds the program")
	}
	project, built := newProject(t), newProject(t)
	writeProject(t, project, "one")
	port := fmt.Sprint(stacktest.Port(t))
	builder := startDev(t, project, "--builder", "--dir", built)
	web := startDev(t, project, "--only", "web", "--dir", built, "PORT="+port)
	worker := startDev(t, project, "--only", "worker-pg", "--dir", built)
	builder.expect("Built in")
	web.expect("web          | started one")
	worker.expect("worker-pg    | started one")

	writeProject(t, project, "two")

	web.expect("web          | started two")
	worker.expect("worker-pg    | started two")
	require.Equal(t, "two", download(t, "http://127.0.0.1:"+port))
	entries, err := os.ReadDir(project)
	require.NoError(t, err)
	require.Len(t, entries, 2, "cmd and go.mod: nothing else was written to the checkout")
	for _, run := range []devRun{web, worker, builder} {
		require.NoError(t, run.command.Process.Signal(syscall.SIGTERM))
		stopped := run.lines.Scan()
		for stopped {
			stopped = run.lines.Scan() // until the process has ended
		}
		require.NoError(t, run.command.Wait())
	}
}

// Private

// devRun is a running `app dev`.
type devRun struct {
	t       *testing.T
	command *exec.Cmd
	lines   *bufio.Scanner
}

// startDev runs `app dev` in a project. An option of the form NAME=value is a
// variable.
func startDev(t *testing.T, project string, options ...string) devRun {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	isVariable := func(option string) bool { return strings.Contains(option, "=") }
	arguments := append([]string{"dev"}, slices.DeleteFunc(slices.Clone(options), isVariable)...)
	command := exec.CommandContext(ctx, os.Args[0], arguments...)
	command.Dir = project
	command.Env = append(os.Environ(), "TEST_BINARY_IS_APP="+isTestApplication,
		"GOFLAGS=", "DATABASE_URL=", "REDIS_URL=", "BASE_URL=", "PORT=")
	command.Env = append(command.Env, slices.DeleteFunc(slices.Clone(options), func(option string) bool { return !isVariable(option) })...)
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	command.Stderr = os.Stderr
	require.NoError(t, command.Start())
	return devRun{t: t, command: command, lines: bufio.NewScanner(stdout)}
}

// expect reads on to the next line that holds a text, and returns it.
func (d devRun) expect(text string) string {
	d.t.Helper()
	var before []string
	for d.lines.Scan() {
		if strings.Contains(d.lines.Text(), text) {
			return d.lines.Text()
		}
		before = append(before, d.lines.Text())
	}
	require.Fail(d.t, fmt.Sprintf("never printed %q", text), strings.Join(before, "\n"))
	return ""
}

func download(t *testing.T, address string) string {
	t.Helper()
	response, err := http.Get(address)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(text)
}

// newProject is a directory that the user postgres may enter too, unlike that
// of t.TempDir.
func newProject(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "project-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

func writeProject(t *testing.T, dir, version string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "cmd/app"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module project\n\ngo 1.26.0\n"), 0o644))
	source := strings.ReplaceAll(projectSource, "VERSION", version)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cmd/app/main.go"), []byte(source), 0o644))
}

// writeAssets writes a style sheet, and a small program that stands in for the build of
// assets.
func writeAssets(t *testing.T, dir, style string) {
	t.Helper()
	for name, text := range map[string]string{"internal/site/assets/site.css": style, "internal/assets/build/main.go": assetBuildSource} {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
}

const assetBuildSource = `package main

import (
	"fmt"
	"os"
)

func main() {
	style, err := os.ReadFile("internal/site/assets/site.css")
	fmt.Println("bundled", string(style), os.Args[1], err)
}
`

const projectSource = `package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

const version = "VERSION"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if os.Args[1] == "seed" {
		panic("app dev seeds an application that has no sample data")
	}
	if os.Args[1] == "migrate" {
		return
	}
	if os.Args[1] == "web" {
		http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, version) })
		listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
		if err != nil {
			panic(err)
		}
		go http.Serve(listener, nil)
	}
	fmt.Println("started", version)
	<-ctx.Done()
	fmt.Println("stopped", version)
}
`
