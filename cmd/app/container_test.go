package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// image is the production image that bin/test has built from this checkout.
const image = "slipway"

// docker runs a command of the container engine and returns what it prints.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	output, err := dockerTry(args...)
	require.NoError(t, err, output)
	return output
}

func dockerTry(args ...string) (string, error) {
	output, err := exec.Command("docker", args...).CombinedOutput()
	return strings.TrimSpace(string(output)), err
}

// needImage skips a test on a machine without a container engine. Continuous
// integration must have one.
func needImage(t *testing.T) {
	t.Helper()
	_, err := dockerTry("image", "inspect", image)
	if err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		require.NoError(t, err, "there is no image: bin/test builds it where a container engine runs")
	}
	t.Skip("there is no image slipway: bin/test builds it where a container engine runs")
}

// harbour is a network of containers: a database, a Redis, and what the test
// starts beside them.
type harbour struct {
	t       *testing.T
	network string
}

func newHarbour(t *testing.T) *harbour {
	t.Helper()
	needImage(t)
	h := &harbour{t: t, network: "slipway-test-" + strings.ToLower(rand.Text()[:8])}
	docker(t, "network", "create", h.network)
	t.Cleanup(func() { docker(t, "network", "rm", h.network) })
	h.run("postgres", "-e", "POSTGRES_PASSWORD=secret", "-e", "POSTGRES_USER=shop", "-e", "POSTGRES_DB=shop", "-p", "127.0.0.1::5432", "postgres:17")
	h.run("redis", "redis:8", "redis-server", "--appendonly", "yes")
	h.eventually("postgres answers", func() bool {
		_, err := dockerTry("exec", h.name("postgres"), "pg_isready", "--host=127.0.0.1", "--username=shop", "--dbname=shop")
		return err == nil
	})
	return h
}

// newStore is a harbour with a migrated and seeded store.
func newContainerStore(t *testing.T) *harbour {
	t.Helper()
	h := newHarbour(t)
	h.once("migrate")
	h.once("seed")
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
	for _, variable := range []string{
		"DATABASE_URL=postgres://shop:secret@postgres:5432/shop", "REDIS_URL=redis://redis:6379/0", "BASE_URL=http://leeward.example",
		"SECRET_KEY_BASE=0123456789abcdef0123456789abcdef", "MAIL_DIR=/mail", "PAYMENT_TIMEOUT=3s", "RACK_ATTACK_ENABLED=false", "ORDER_LIMIT=0",
	} {
		args = append(args, "--env", variable)
	}
	return args
}

// role starts a role as production runs it.
func (h *harbour) role(service, role string) {
	h.t.Helper()
	h.run(service, append(append(hardened("-p", "127.0.0.1::3000", "-p", "127.0.0.1::9090"), h.environment()...), image, "app", role)...)
}

func (h *harbour) once(command string) {
	h.t.Helper()
	docker(h.t, append(append(append([]string{"run", "--rm", "--network", h.network}, hardened()...), h.environment()...), image, "app", command)...)
}

func (h *harbour) address(service, port string) string {
	h.t.Helper()
	published, _, _ := strings.Cut(docker(h.t, "port", h.name(service), port), "\n")
	return published
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

func (h *harbour) query(sql string) int64 {
	h.t.Helper()
	connection, err := pgx.Connect(h.t.Context(), "postgres://shop:secret@"+h.address("postgres", "5432")+"/shop")
	require.NoError(h.t, err)
	defer connection.Close(context.Background())
	var number int64
	require.NoError(h.t, connection.QueryRow(h.t.Context(), sql).Scan(&number))
	return number
}

const someVariant = `SELECT v.id FROM variants v JOIN products p ON p.id = v.product_id WHERE p.slug = 'harbour-enamel-mug' ORDER BY v.position LIMIT 1`

func TestImage_IsSmallAndSaysWhatItIs(t *testing.T) {
	t.Parallel()
	needImage(t)

	inspect := func(field string) string { return docker(t, "image", "inspect", "--format", "{{"+field+"}}", image) }

	var size int64
	_, err := fmt.Sscan(inspect(".Size"), &size)
	require.NoError(t, err)
	require.Less(t, size, int64(40_000_000))
	require.Equal(t, "65532:65532", inspect(".Config.User"))
	require.Equal(t, "[app web]", inspect(".Config.Cmd"))
	require.Equal(t, "[]", inspect(".Config.Entrypoint"))
	require.Equal(t, "[CMD app health]", inspect(".Config.Healthcheck.Test"))
	require.Equal(t, "ecommerce_app", inspect(`index .Config.Labels "service"`))
	for _, label := range []string{"title", "revision", "created", "licenses"} {
		require.NotEmpty(t, inspect(fmt.Sprintf(`index .Config.Labels "org.opencontainers.image.%s"`, label)), label)
	}
	require.Contains(t, docker(t, "run", "--rm", image, "app", "version"), "version")
}

func TestImage_HoldsNothingButTheProgramAndItsAssets(t *testing.T) {
	t.Parallel()
	needImage(t)
	container := docker(t, "create", image)
	t.Cleanup(func() { docker(t, "rm", container) })
	export := exec.Command("docker", "export", container)
	content, err := export.Output()
	require.NoError(t, err)

	// What the engine itself puts into every container.
	engine := []string{".dockerenv", "dev", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf", "proc", "sys"}
	ours := []string{"assets/", "etc/ssl/certs/ca-certificates.crt", "usr/local/bin/app", "usr/share/zoneinfo.zip"}
	assets := 0
	for reader := tar.NewReader(bytes.NewReader(content)); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if header.Typeflag == tar.TypeDir || hasPrefixOf(header.Name, engine) {
			continue
		}
		require.True(t, hasPrefixOf(header.Name, ours), header.Name)
		if strings.HasPrefix(header.Name, "assets/") {
			assets++
			require.NotZero(t, header.Mode&0o004, "%s is not for all to read", header.Name)
		}
	}
	require.GreaterOrEqual(t, assets, 3)
}

func hasPrefixOf(name string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func TestImage_EveryRoleNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	needImage(t)

	for role, missing := range map[string]string{"web": "SECRET_KEY_BASE", "worker-pg": "SMTP_URL", "worker-redis": "REDIS_URL"} {
		started := time.Now()
		output, err := dockerTry("run", "--rm", image, "app", role)

		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, role)
		require.Equal(t, exitUsage, exit.ExitCode(), role)
		require.Contains(t, output, "DATABASE_URL is missing", role)
		require.Contains(t, output, missing+" is missing", role)
		require.Less(t, time.Since(started), 20*time.Second)
	}
}

func TestImage_EveryRoleIsHealthyAndStopsInOrder(t *testing.T) {
	t.Parallel()
	h := newContainerStore(t)

	for _, role := range []string{"web", "worker-pg", "worker-redis"} {
		h.role(role, role)
	}
	for _, role := range []string{"web", "worker-pg", "worker-redis"} {
		h.eventually(role+" is healthy", func() bool { return h.healthy(role) })
	}

	// Busy: an order is on its way, and the gateway is silent.
	ada := newShopper(t, "http://"+h.address("web", "3000"))
	require.Equal(t, http.StatusOK, ada.add(h.query(someVariant)))
	form := ada.fillIn("4000000000000341")
	answered := make(chan int, 1)
	go func() {
		response, err := ada.http.PostForm(ada.url+"/orders", form)
		if err != nil {
			answered <- 0
			return
		}
		_ = response.Body.Close()
		answered <- response.StatusCode
	}()
	ops := "http://" + h.address("web", "9090")
	h.eventually("the order is on its way", func() bool { return strings.Contains(metricsAt(t, ops), "app_http_requests_in_flight 1\n") })

	code, took := h.stop("web")
	require.Equal(t, "0", code)
	require.Less(t, took, 15*time.Second)
	require.Equal(t, http.StatusGatewayTimeout, <-answered, "the request in hand is finished first")
	for _, role := range []string{"worker-pg", "worker-redis"} {
		code, took := h.stop(role)
		require.Equal(t, "0", code, role)
		require.Less(t, took, 15*time.Second, role)
	}
}

func TestImage_SellsWhileItsRedisRestarts(t *testing.T) {
	t.Parallel()
	h := newContainerStore(t)
	h.role("web", "web")
	h.role("worker-pg", "worker-pg")
	h.eventually("web is healthy", func() bool { return h.healthy("web") })
	web := "http://" + h.address("web", "3000")
	h.query(`UPDATE variants SET stock = 1000 WHERE id = (` + someVariant + `) RETURNING id`)
	variant := h.query(someVariant)

	restarted := make(chan error, 1)
	go func() {
		_, err := dockerTry("restart", "--time", "1", h.name("redis"))
		restarted <- err
	}()
	orders, requests := 0, 0
	for done := false; !done; {
		select {
		case err := <-restarted:
			require.NoError(t, err)
			done = true
		default:
		}
		ada := newShopper(t, web)
		for _, path := range []string{"/", "/products/kelp-soap", "/search?q=mug"} {
			code, _ := ada.get(path)
			require.Equal(t, http.StatusOK, code, path)
			requests++
		}
		require.Equal(t, http.StatusOK, ada.add(variant))
		code, at, _ := ada.post("/orders", ada.fillIn(workingCard))
		require.Equal(t, http.StatusOK, code)
		require.Contains(t, at, "/orders/")
		orders++
	}
	t.Logf("%d pages and %d orders while Redis restarted", requests, orders)

	require.EqualValues(t, orders, h.query(`SELECT count(*) FROM orders`))
	h.eventually("every order is confirmed", func() bool {
		return h.query(`SELECT count(*) FROM orders WHERE confirmed_at IS NULL`) == 0
	})

	docker(t, "restart", "--time", "5", h.name("postgres"))
	h.eventually("the store serves again", func() bool { return status(web+"/") == http.StatusOK })
}

func TestComposeFiles_NestNoDefaults(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"docker-compose.yml", "docker-compose.production.yml"} {
		require.NotRegexp(t, `\$\{[^}]*\$\{`, repositoryFile(t, file), "docker-compose 1.29 takes a default in a default for text")
	}
}

func TestCompose_UpFromNothingSells(t *testing.T) {
	t.Parallel()
	needImage(t)
	compose := composeCommand(t)
	checkout, err := filepath.Abs("../..")
	require.NoError(t, err)
	project := "slipwaytest" + strings.ToLower(rand.Text()[:6])
	run := func(args ...string) string {
		command := exec.Command(compose[0], append(append(compose[1:len(compose):len(compose)], "-p", project, "-f", "docker-compose.production.yml"), args...)...)
		command.Dir = checkout
		command.Env = append(os.Environ(), "WEB_PORTS=0", "POSTGRES_PASSWORD=secret")
		output, err := command.CombinedOutput()
		require.NoError(t, err, string(output))
		return strings.TrimSpace(string(output))
	}
	t.Cleanup(func() {
		run("down", "--volumes", "--timeout", "20")
		require.Empty(t, docker(t, "volume", "ls", "--quiet", "--filter", "name="+project))
	})

	run("up", "--detach", "--no-build", "--scale", "worker-pg=2")

	lines := strings.Split(run("port", "web", "3000"), "\n")
	web := "http://" + lines[len(lines)-1]
	require.Eventually(t, func() bool { return status(web+"/up") == http.StatusOK }, time.Minute, 100*time.Millisecond)
	_, page := newShopper(t, web).get("/products/kelp-soap")
	ada := newShopper(t, web)
	code, at, _ := ada.post("/cart/lines", url.Values{"variant_id": {field(t, page, "variant_id")}, "quantity": {"1"}})
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "/cart", at)
	code, at, _ = ada.post("/orders", ada.fillIn(workingCard))
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, at, "/orders/")
	require.Eventually(t, func() bool {
		_, body := ada.get(at)
		return strings.Contains(body, "Paid")
	}, time.Minute, 200*time.Millisecond, "the workers never took the money")
}

// composeCommand is the Compose that this machine has.
func composeCommand(t *testing.T) []string {
	t.Helper()
	if _, err := dockerTry("compose", "version"); err == nil {
		return []string{"docker", "compose"}
	}
	_, err := exec.LookPath("docker-compose")
	require.NoError(t, err, "there is no Compose: install the package docker-compose")
	return []string{"docker-compose"}
}
