package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/config"
)

// TestConnections_FitIntoThePostgreSQLOfOurFiles: during a deploy, two versions of
// each role run at the same time, and a migration and an operator need some too.
func TestConnections_FitIntoThePostgreSQLOfOurFiles(t *testing.T) {
	t.Parallel()
	const migrationAndOperator = 4 + 10
	needed := migrationAndOperator
	for _, role := range config.Roles {
		needed += 2 * (defaultSettings(t, role).DatabasePoolSize + outsidePool[role])
	}
	require.LessOrEqual(t, needed, 300)

	for _, file := range []string{"docker-compose.yml", "docker-compose.production.yml", composeFile} {
		require.Contains(t, repositoryFile(t, file), `"max_connections=300"`, file)
	}
	require.Contains(t, repositoryFile(t, "config/deploy.yml"), "postgres -c max_connections=300")
}
