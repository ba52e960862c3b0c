package main

import (
	"crypto/rand"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

// needProgram skips a test on a machine without a program. Continuous integration
// must have it: bin/setup and bin/engine install what the tests need.
func needProgram(t *testing.T, program string) {
	t.Helper()
	_, err := exec.LookPath(program)
	if err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		require.NoError(t, err)
	}
	t.Skip(program + " is not installed")
}

// composeUp starts the file of production from nothing, with two workers of jobs,
// and returns the address of web once that is up.
func composeUp(t *testing.T) (web string) {
	t.Helper()
	needImage(t)
	compose := composeCommand(t)
	checkout, err := filepath.Abs("../..")
	require.NoError(t, err)
	project := "slipwaytest" + strings.ToLower(rand.Text()[:6])
	run := func(args ...string) string {
		options := []string{"-p", project, "-f", "docker-compose.production.yml"}
		command := exec.Command(compose[0], slices.Concat(compose[1:], options, args)...)
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
	web = "http://" + lines[len(lines)-1]
	require.Eventually(t, func() bool { return status(web+"/up") == http.StatusOK }, time.Minute, 100*time.Millisecond)
	return web
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
