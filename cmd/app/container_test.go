package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"slipway/internal/config"
)

func TestImage_IsSmallAndLabelled(t *testing.T) {
	t.Parallel()
	needImage(t)

	inspect := func(field string) string { return docker(t, "image", "inspect", "--format", "{{"+field+"}}", image) }

	var size int64
	_, err := fmt.Sscan(inspect(".Size"), &size)
	require.NoError(t, err)
	require.Less(t, size, int64(44_000_000))
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
	h := newHarbour(t)
	h.once("migrate")

	h.startRoles()

	for _, role := range roleNames() {
		h.stopInOrder(role)
	}
}

func TestCompose_UpFromNothingIsHealthy(t *testing.T) {

	web := composeUp(t)

	require.Eventually(t, func() bool { return status(web+"/health") == http.StatusOK }, time.Minute, 100*time.Millisecond)
}

func TestComposeFiles_NestNoDefaults(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"docker-compose.yml", "docker-compose.production.yml"} {
		require.NotRegexp(t, `\$\{[^}]*\$\{`, repositoryFile(t, file), "docker-compose 1.29 takes a default in a default for text")
	}
}

// Private

func hasPrefixOf(name string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Without a container engine, this test still notices a default that is refused.
func TestComposeFiles_DefaultsAreAccepted(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"docker-compose.yml", "docker-compose.production.yml"} {
		var compose struct {
			Role struct {
				Environment map[string]string `yaml:"environment"`
			} `yaml:"x-role"`
		}
		require.NoError(t, yaml.Unmarshal([]byte(repositoryFile(t, file)), &compose))
		defaults := regexp.MustCompile(`\$\{\w+:-([^}]*)\}`)
		variables := map[string]string{}
		for name, value := range compose.Role.Environment {
			variables[name] = defaults.ReplaceAllString(value, "$1")
		}
		require.NotEmpty(t, variables["DATABASE_URL"])

		for _, role := range config.Roles {
			_, _, err := newApplication().schema().Load(role, variables)
			require.NoError(t, err, file)
		}
	}
}
