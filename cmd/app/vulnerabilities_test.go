package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVulnerabilities_AFindingFailsTheRun(t *testing.T) {
	t.Parallel()
	database := vulnerabilityDatabase(t)

	code, said := findVulnerabilities(t, "GOVULNDB=file://"+database)

	require.Equal(t, 3, code, said)
	require.Contains(t, said, "GO-2026-0001")
}

func TestVulnerabilities_NoFindingPassesTheRun(t *testing.T) {
	t.Parallel()
	database := vulnerabilityDatabase(t)
	require.NoError(t, os.WriteFile(filepath.Join(database, "index", "modules.json"), []byte("[]"), 0o644))

	code, said := findVulnerabilities(t, "GOVULNDB=file://"+database)

	require.Zero(t, code, said)
	require.Contains(t, said, "No vulnerabilities found")
}

func TestVulnerabilities_SayThatTheyWereNotChecked(t *testing.T) {
	t.Parallel()

	code, said := findVulnerabilities(t, "HTTPS_PROXY=http://127.0.0.1:1")
	require.Zero(t, code, said)
	require.Contains(t, said, "Vulnerabilities were not checked")

	code, said = findVulnerabilities(t, "GOVULNDB=file:///no/such/database")
	require.NotZero(t, code, said)
}

// Private

// findVulnerabilities runs bin/vulnerabilities on one package.
func findVulnerabilities(t *testing.T, variable string) (code int, said string) {
	t.Helper()
	downloadVulnerabilityTool(t)
	command := exec.Command(inRepository("bin/vulnerabilities"), "./internal/payment")
	command.Env = append(os.Environ(), "GOVULNDB=", variable)
	output, err := command.CombinedOutput()
	if err != nil {
		var failed *exec.ExitError
		require.ErrorAs(t, err, &failed, string(output))
	}
	return command.ProcessState.ExitCode(), string(output)
}

// downloadVulnerabilityTool fills the module cache, because a test without a network
// is about the database, and not about the tool.
func downloadVulnerabilityTool(t *testing.T) {
	t.Helper()
	download := exec.Command("go", "mod", "download", "-modfile=build/govulncheck.mod")
	download.Dir = inRepository(".")
	output, err := download.CombinedOutput()
	require.NoError(t, err, string(output))
}

// vulnerabilityDatabase is a database in which sha256.Sum256 is vulnerable.
func vulnerabilityDatabase(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	for name, content := range map[string]string{
		"index/db.json":      `{"modified": "2026-01-01T00:00:00Z"}`,
		"index/modules.json": `[{"path": "stdlib", "vulns": [{"id": "GO-2026-0001", "modified": "2026-01-01T00:00:00Z"}]}]`,
		"ID/GO-2026-0001.json": `{
			"schema_version": "1.3.1", "id": "GO-2026-0001", "modified": "2026-01-01T00:00:00Z", "published": "2026-01-01T00:00:00Z",
			"summary": "A vulnerability of a test", "details": "It is not one.",
			"database_specific": {"url": "https://pkg.go.dev/vuln/GO-2026-0001"},
			"affected": [{
				"package": {"name": "stdlib", "ecosystem": "Go"},
				"ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
				"ecosystem_specific": {"imports": [{"path": "crypto/sha256", "symbols": ["Sum256"]}]}
			}]
		}`,
	} {
		path := filepath.Join(directory, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return directory
}
