package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/config"
)

func TestSystemd_UnitsRunTheRolesAndWaitUntilTheyStop(t *testing.T) {
	t.Parallel()
	var opsPorts []string

	for _, role := range config.Roles {
		unit := readUnit(t, "app-"+string(role))

		requireCommand(t, unit.command(t)...)
		require.Equal(t, string(role), unit.command(t)[0])
		require.Greater(t, unit.seconds(t, "TimeoutStopSec"), longestStop(t, role, productionSettings(t, nil)), role)
		require.Equal(t, strconv.Itoa(exitUsage), unit.value(t, "RestartPreventExitStatus"), "wrong settings need an operator")
		require.Equal(t, "always", unit.value(t, "Restart"))
		name, port, _ := strings.Cut(unit.value(t, "Environment"), "=")
		require.Equal(t, "OPS_PORT", name)
		require.NotContains(t, opsPorts, port, "two roles of one server need two ports")
		opsPorts = append(opsPorts, port)
		require.Contains(t, unit.value(t, "After"), "app-migrate.service")
		require.NotContains(t, unit["Requires"], "app-migrate.service", "a role starts and waits while the migration fails")
	}

	migrate := readUnit(t, "app-migrate")
	requireCommand(t, migrate.command(t)...)
	require.Equal(t, "oneshot", migrate.value(t, "Type"))
	require.Greater(t, migrate.seconds(t, "TimeoutStartSec"), migrateTimeout)
}

func TestSystemd_UnitsGiveTheProgramNothingButTheNetwork(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"app-web", "app-worker-pg", "app-worker-redis", "app-migrate"} {
		unit := readUnit(t, name)

		for key, value := range map[string]string{
			"DynamicUser": "yes", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateDevices": "yes",
			"CapabilityBoundingSet": "", "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX", "SystemCallFilter": "@system-service",
		} {
			require.Equal(t, value, unit.value(t, key), "%s of %s", key, name)
		}
		require.Equal(t, "/etc/slipway/app.env", unit.value(t, "EnvironmentFile"))
	}
}

func TestSystemd_VerifyFindsNothing(t *testing.T) {
	t.Parallel()
	needProgram(t, "systemd-analyze")
	program, err := os.Executable()
	require.NoError(t, err)
	directory := t.TempDir()
	arguments := []string{"verify", "--man=no"}
	for _, path := range unitFiles(t) {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		installed := strings.ReplaceAll(string(content), "/opt/slipway/current/app ", program+" ")
		copied := filepath.Join(directory, filepath.Base(path))
		require.NoError(t, os.WriteFile(copied, []byte(installed), 0o600))
		arguments = append(arguments, copied)
	}

	output, err := exec.Command("systemd-analyze", arguments...).CombinedOutput()

	require.NoError(t, err, string(output))
	require.NotContains(t, string(output), directory, "a warning about one of the units")
}

// Private

// systemdUnit is a unit file: the values of each key, in order.
type systemdUnit map[string][]string

func readUnit(t *testing.T, name string) systemdUnit {
	t.Helper()
	unit := systemdUnit{}
	for line := range strings.Lines(repositoryFile(t, "ops/systemd/"+name+".service")) {
		key, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if found && !strings.HasPrefix(key, "#") {
			unit[key] = append(unit[key], value)
		}
	}
	return unit
}

func (u systemdUnit) value(t *testing.T, key string) string {
	t.Helper()
	require.Len(t, u[key], 1, key)
	return u[key][0]
}

func (u systemdUnit) seconds(t *testing.T, key string) time.Duration {
	t.Helper()
	number, err := strconv.Atoi(u.value(t, key))
	require.NoError(t, err, key)
	return inSeconds(number)
}

// command is the command line of the unit after the program.
func (u systemdUnit) command(t *testing.T) []string {
	t.Helper()
	return strings.Fields(regexp.MustCompile(`^/opt/slipway/current/app `).ReplaceAllString(u.value(t, "ExecStart"), ""))
}

func unitFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(inRepository("ops/systemd/*.service"))
	require.NoError(t, err)
	require.Len(t, slices.Compact(files), len(config.Roles)+1)
	return files
}
