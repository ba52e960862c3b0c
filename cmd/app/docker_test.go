package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

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
