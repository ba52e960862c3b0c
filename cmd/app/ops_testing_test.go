package main

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/joho/godotenv"
	"github.com/stretchr/testify/require"

	"slipway/internal/config"
)

// productionSettings are the variables of the production example with its
// placeholders filled in, and those of changes instead of its own.
func productionSettings(t *testing.T, changes map[string]string) map[string]string {
	t.Helper()
	variables, err := godotenv.Unmarshal(fillIn(repositoryFile(t, ".env.production.example")))
	require.NoError(t, err)
	maps.Copy(variables, changes)
	return variables
}

// longestStop is the time that a role takes at most from SIGTERM to its end.
func longestStop(t *testing.T, role config.Role, variables map[string]string) time.Duration {
	t.Helper()
	settings, _, err := newApplication().schema().Load(role, variables)
	require.NoError(t, err, role)
	return stopBudget(role, settings)
}

// requireCommand requires that words, such as "web", are a command line of the program.
func requireCommand(t *testing.T, words ...string) {
	t.Helper()
	line := strings.Join(words, " ")
	command, rest, err := newRootCommand(newApplication()).Find(words)
	require.NoError(t, err, line)
	require.True(t, command.HasParent(), "there is no app %s", line)
	require.NoError(t, command.ParseFlags(rest), line)
	require.NoError(t, command.ValidateArgs(command.Flags().Args()), line)
}
