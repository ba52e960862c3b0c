package main

import (
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// levels are the packages of the runtime. Each imports only packages of a
// lower level.
var levels = [][]string{
	{"config", "telemetry", "devstack", "keyset", "edge/coding", "edge/connection", "edge/hosts"},
	{"devstack/stacktest", "postgres", "failopen", "assets", "mail", "payment", "health", "edge/httpcache", "edge/certificate"},
	{
		"postgres/pgtest", "failopen/failopentest", "assets/build", "throttle", "live", "cache", "jobs/taskqueue", "jobs/history", "ops",
		"edge", "edge/purge", "edge/testorigin",
	},
	{"jobs"},
	{"web", "jobs/batch", "jobs/inspect", "jobs/jobstest", "jobs/recurring"},
	{"operators"},
	{"jobs/dashboard/screens"},
	{"jobs/dashboard", "ops/dashboard"},
}

// store are the packages that an adopter replaces.
var store = []string{"shop", "storefront"}

// doors are packages that hide a library from the rest of the program.
var doors = map[string][]string{
	"github.com/redis/go-redis/v9": {"devstack/stacktest", "failopen", "jobs/taskqueue", "live"},
	"github.com/labstack/echo/v4":  {"web", "operators", "jobs/dashboard", "ops/dashboard", "storefront"},
	"github.com/a-h/templ":         {"web", "operators", "jobs/dashboard/screens", "ops/dashboard", "storefront", "storefront/templates"},
	"github.com/jackc/pgx/v5": {
		"config", "telemetry", "devstack", "edge/purge", "postgres", "postgres/pgtest",
		"jobs", "jobs/batch", "jobs/history", "jobs/inspect", "jobs/jobstest", "jobs/recurring", "jobs/taskqueue", "ops", "shop",
	},
	"github.com/jackc/pgx/v5/pgxpool": {
		"config", "edge/purge", "postgres", "postgres/pgtest",
		"jobs", "jobs/batch", "jobs/history", "jobs/inspect", "jobs/jobstest", "jobs/recurring", "jobs/taskqueue", "ops", "shop",
	},
	"github.com/caarlos0/env/v11":              {"config"},
	"github.com/sony/gobreaker/v2":             {"failopen"},
	"github.com/maypok86/otter/v2":             {"cache", "edge/httpcache"},
	"github.com/klauspost/compress/gzip":       {"edge/coding"},
	"github.com/klauspost/compress/zstd":       {"edge/coding"},
	"github.com/andybalholm/brotli":            {"edge/coding"},
	"github.com/evanw/esbuild/pkg/api":         {"assets/build"},
	"github.com/getsentry/sentry-go":           {"telemetry"},
	"github.com/wneessen/go-mail":              {"mail"},
	"github.com/pressly/goose/v3":              {"postgres"},
	"github.com/joho/godotenv":                 {"config"},
	"github.com/oschwald/maxminddb-golang/v2":  {"throttle"},
	"github.com/google/uuid":                   {"jobs", "jobs/taskqueue", "shop", "storefront"},
	"github.com/riverqueue/river":              {"jobs", "jobs/inspect"},
	"github.com/tidwall/gjson":                 {"jobs"},
	"github.com/hibiken/asynq":                 {"jobs/taskqueue"},
	"github.com/robfig/cron/v3":                {"jobs/recurring"},
	"go.yaml.in/yaml/v3":                       {"jobs/recurring"},
	"github.com/stretchr/testify":              {"devstack/stacktest", "failopen/failopentest", "jobs/jobstest", "postgres/pgtest"},
	"github.com/Shopify/toxiproxy/v2":          {}, // tests alone
	"github.com/riverqueue/river/rivermigrate": {"postgres"},
	"golang.org/x/crypto/acme":                 {"edge/certificate"},
	"golang.org/x/crypto/acme/autocert":        {"edge/certificate"},
}

func TestLayers_TheRuntimeDoesNotKnowTheStore(t *testing.T) {
	t.Parallel()

	for name, imports := range imports(t) {
		if isStore(name) {
			continue
		}
		for _, imported := range imports {
			require.False(t, isStore(imported), "%s imports %s", name, imported)
		}
	}
}

func TestLayers_ArrowsWithinTheRuntimePointDown(t *testing.T) {
	t.Parallel()

	for name, imports := range imports(t) {
		if isStore(name) {
			continue
		}
		require.GreaterOrEqual(t, level(name), 0, "give package %s a level", name)
		for _, imported := range imports {
			if level(imported) >= 0 {
				require.Less(t, level(imported), level(name), "%s imports %s", name, imported)
			}
		}
	}
}

func TestLayers_TheShopKnowsNoPagesAndThePagesNoSQL(t *testing.T) {
	t.Parallel()

	for name, imports := range imports(t) {
		switch {
		case name == "shop" || strings.HasPrefix(name, "shop/"):
			require.NotContains(t, imports, "net/http", name)
			require.False(t, slices.ContainsFunc(imports, func(i string) bool { return strings.HasPrefix(i, "storefront") || i == "web" }), name)
		case name == "storefront" || strings.HasPrefix(name, "storefront/"):
			require.NotContains(t, imports, "postgres", name)
			require.NotContains(t, imports, "database/sql", name)
		}
	}
}

func TestLayers_LibrariesStayBehindTheirDoors(t *testing.T) {
	t.Parallel()

	for name, imports := range imports(t) {
		for _, imported := range imports {
			if allowed, guarded := doors[imported]; guarded {
				require.Contains(t, allowed, name, "%s imports %s", name, imported)
			}
		}
	}
}

func TestLayers_TheProgramContainsNoToolOfTheBuild(t *testing.T) {
	t.Parallel()
	packages, err := exec.Command("go", "list", "-deps", "slipway/cmd/app").Output()
	require.NoError(t, err)

	require.Contains(t, string(packages), "slipway/internal/web\n")
	require.NotContains(t, string(packages), "esbuild")
}

func TestLayers_OneFileOfTheProgramKnowsTheStore(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)

	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, one := range parsed.Imports {
			name, _ := strings.CutPrefix(strings.Trim(one.Path.Value, `"`), "slipway/internal/")
			allowed := file == "store.go" || strings.HasPrefix(file, "store_") && strings.HasSuffix(file, "_test.go")
			require.True(t, allowed || !isStore(name), "%s imports %s", file, name)
		}
	}
}

// Private

// imports are the direct imports of every package below internal, without
// tests. Names of our own are relative to internal.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	output, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "slipway/internal/...").Output()
	require.NoError(t, err)

	packages := map[string][]string{}
	for line := range strings.Lines(string(output)) {
		fields := strings.Fields(strings.ReplaceAll(line, "slipway/internal/", ""))
		packages[fields[0]] = fields[1:]
	}
	require.NotEmpty(t, packages["web"])
	return packages
}

func level(name string) int {
	return slices.IndexFunc(levels, func(level []string) bool { return slices.Contains(level, name) })
}

func isStore(name string) bool {
	return slices.ContainsFunc(store, func(one string) bool { return name == one || strings.HasPrefix(name, one+"/") })
}
