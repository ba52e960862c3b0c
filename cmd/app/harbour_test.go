package main

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// harbour is a network of containers: a database, a Redis, and what the test
// starts beside them.
type harbour struct {
	t         *testing.T
	network   string
	variables []string // of every role and command, besides those that all applications read
}

func newHarbour(t *testing.T) *harbour {
	t.Helper()
	needImage(t)
	h := &harbour{t: t, network: "slipway-test-" + strings.ToLower(rand.Text()[:8])}
	docker(t, "network", "create", h.network)
	t.Cleanup(func() { docker(t, "network", "rm", h.network) })
	h.run("postgres", "-e", "POSTGRES_PASSWORD=secret", "-e", "POSTGRES_USER=app", "-e", "POSTGRES_DB=app",
		"-p", "127.0.0.1::5432", "postgres:17")
	h.run("redis", "redis:8", "redis-server", "--appendonly", "yes")
	h.eventually("postgres answers", func() bool {
		_, err := dockerTry("exec", h.name("postgres"), "pg_isready", "--host=127.0.0.1", "--username=app", "--dbname=app")
		return err == nil
	})
	return h
}

func (h *harbour) name(service string) string { return h.network + "-" + service }

// run starts a container that others reach under the name of its service.
func (h *harbour) run(service string, args ...string) {
	h.t.Helper()
	docker(h.t, append([]string{"run", "--detach", "--name", h.name(service), "--network", h.network, "--network-alias", service}, args...)...)
	h.t.Cleanup(func() {
		if h.t.Failed() {
			logs, _ := dockerTry("logs", "--tail", "30", h.name(service))
			h.t.Logf("%s:\n%s", service, logs)
		}
		docker(h.t, "rm", "--force", "--volumes", h.name(service))
	})
}

// hardened is how production runs the image.
func hardened(more ...string) []string {
	return append([]string{"--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/mail:mode=1777"}, more...)
}

func (h *harbour) environment() []string {
	var args []string
	for _, variable := range append([]string{
		"DATABASE_URL=postgres://app:secret@postgres:5432/app", "REDIS_URL=redis://redis:6379/0", "BASE_URL=http://app.example",
		"SECRET_KEY_BASE=" + testSecret, "MAIL_DIR=/mail", "RACK_ATTACK_ENABLED=false",
	}, h.variables...) {
		args = append(args, "--env", variable)
	}
	return args
}

// startRoles starts all roles and waits until they are healthy.
func (h *harbour) startRoles() {
	h.t.Helper()
	for _, role := range roleNames() {
		h.role(role, role)
	}
	for _, role := range roleNames() {
		h.eventually(role+" is healthy", func() bool { return h.healthy(role) })
	}
}

// stopInOrder stops a role, which exits with 0 before it is killed.
func (h *harbour) stopInOrder(role string) {
	h.t.Helper()
	code, took := h.stop(role)
	require.Equal(h.t, "0", code, role)
	require.Less(h.t, took, 15*time.Second, role)
}

// role starts a role as production runs it.
func (h *harbour) role(service, role string) {
	h.t.Helper()
	h.run(service, append(append(hardened("-p", "127.0.0.1::3000", "-p", "127.0.0.1::9090"), h.environment()...), image, "app", role)...)
}

func (h *harbour) once(command string) {
	h.t.Helper()
	options := slices.Concat(hardened(), h.environment())
	docker(h.t, slices.Concat([]string{"run", "--rm", "--network", h.network}, options, []string{image, "app", command})...)
}

func (h *harbour) healthy(service string) bool {
	status, err := dockerTry("inspect", "--format", "{{.State.Health.Status}}", h.name(service))
	return err == nil && status == "healthy"
}

func (h *harbour) eventually(what string, condition func() bool) {
	h.t.Helper()
	require.Eventually(h.t, condition, time.Minute, 100*time.Millisecond, what)
}

// stop sends SIGTERM, and SIGKILL after 40 seconds, and returns the exit code.
func (h *harbour) stop(service string) (code string, took time.Duration) {
	h.t.Helper()
	started := time.Now()
	docker(h.t, "stop", "--time", "40", h.name(service))
	return docker(h.t, "inspect", "--format", "{{.State.ExitCode}}", h.name(service)), time.Since(started)
}
