package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/config"
)

// The values of TEST_BINARY_IS_APP name the application that this binary is.
const (
	isTestApplication = "testApplication"
	isNewApplication  = "newApplication"
)

// TestMain lets this binary be the program itself: tests start roles as real
// processes, with the race detector in them.
func TestMain(m *testing.M) {
	switch os.Getenv("TEST_BINARY_IS_APP") {
	case isTestApplication:
		os.Exit(run(context.Background(), testApplication(), os.Args[1:], os.Stdout, os.Stderr))
	case isNewApplication:
		os.Exit(run(context.Background(), newApplication(), os.Args[1:], os.Stdout, os.Stderr))
	}
	runFourAtATime()
	os.Exit(m.Run())
}

func TestCommands_HelpDescribesWhatTheyDoAndRead(t *testing.T) {
	t.Parallel()

	for command, mentions := range map[string]string{
		"web": "SECRET_KEY_BASE", "worker-pg": "JOBS_SHUTDOWN_TIMEOUT", "worker-redis": "TASKS_CHECK_INTERVAL",
		"migrate": "DATABASE_URL", "migrate status": "DATABASE_URL", "migrate down": "DATABASE_URL", "seed": "DATABASE_URL", "health": "OPS_PORT",
		"throttle list": "REDIS_URL", "throttle reset": "RACK_ATTACK_IPV6_PREFIX",
		"config": "environment", "config check": "secrets masked", "version": "KAMAL_VERSION",
		"dev": "DATABASE_URL", "dev exec": "DATABASE_URL",
	} {
		for _, app := range []application{testApplication(), newApplication()} {
			requireHelp(t, app, command, mentions)
		}
	}
}

func TestCommands_HelpNamesEveryVariableOfARole(t *testing.T) {
	t.Parallel()

	for _, app := range []application{testApplication(), newApplication()} {
		for _, role := range config.Roles {
			var stdout bytes.Buffer
			run(t.Context(), app, []string{string(role), "--help"}, &stdout, io.Discard)
			for _, variable := range app.schema().Variables() {
				named := strings.Contains(stdout.String(), "\n  "+variable.Name+" ")
				require.Equal(t, variable.ReadBy(role), named, "%s %s", role, variable.Name)
			}
		}
	}
}

func TestCommands_RefuseWhatTheyDoNotKnow(t *testing.T) {
	t.Parallel()

	for _, line := range []string{
		"", "nonsense", "--nonsense", "web --nonsense", "web surplus", "worker-pg -x", "migrate nonsense", "config", "config nonsense",
		"config check nonsense", "health --deep=maybe",
	} {
		for _, app := range []application{testApplication(), newApplication()} {
			requireRefused(t, app, line)
		}
	}
}

// Compose files and deploys run app seed for every application.
func TestSeed_SucceedsWithoutSampleData(t *testing.T) {
	setNoVariables(t)
	app := testApplication()
	require.Nil(t, app.seed)
	var stdout, stderr bytes.Buffer

	require.Equal(t, exitOK, run(t.Context(), app, []string{"seed"}, &stdout, &stderr))

	require.Equal(t, "This application has no sample data.\n", stdout.String())
	require.Empty(t, stderr.String())
}

func TestVersion_PrintsWhatRuns(t *testing.T) {
	t.Setenv("KAMAL_VERSION", "9f8e7d6c")
	var stdout bytes.Buffer

	require.Equal(t, exitOK, run(t.Context(), testApplication(), []string{"version"}, &stdout, io.Discard))

	for _, word := range []string{"version", "commit", "built", "go1.", "9f8e7d6c"} {
		require.Contains(t, stdout.String(), word)
	}
}

func TestConfigCheck_MasksSecretsAndConnectsToNothing(t *testing.T) {
	for name, value := range map[string]string{
		"APP_ENV": "production", "BASE_URL": "https://app.example", "SECRET_KEY_BASE": "hunter5" + testSecret,
		"DATABASE_URL": "postgres://ada:hunter2@192.0.2.1/app?sslpassword=hunter3",
		"REDIS_URL":    "redis://:hunter4@192.0.2.1", "SMTP_URL": "smtp://u:hunter6@192.0.2.1:25",
	} {
		t.Setenv(name, value)
	}

	for _, app := range []application{testApplication(), newApplication()} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), app, []string{"config", "check"}, &stdout, &stderr)

		require.Equal(t, exitOK, code, stderr.String())
		require.NotContains(t, stdout.String()+stderr.String(), "hunter")
		for _, role := range config.Roles {
			require.Contains(t, stdout.String(), string(role)+"\n")
		}
		require.Contains(t, stdout.String(), "postgres://ada:xxxxx@192.0.2.1/app")
	}
}

func TestConfigCheck_PrintsAllProblemsFirst(t *testing.T) {
	setNoVariables(t)
	for name, value := range map[string]string{
		"APP_ENV": "production", "BASE_URL": "https://app.example/path", "SECRET_KEY_BASE": testSecret, "PORT": "abc",
		"DATABASE_URL": "postgres://app:secret@db/app?pool=5", "REDIS_ULR": "redis://redis", "MAIL_DIR": "/mail",
	} {
		t.Setenv(name, value)
	}

	for _, app := range []application{testApplication(), newApplication()} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), app, []string{"config", "check"}, &stdout, &stderr)

		require.Equal(t, exitUsage, code)
		require.Equal(t, "app: these roles could not start: web, worker-pg, worker-redis\n", stderr.String())
		findings, settings, _ := strings.Cut(stdout.String(), "\nweb\n")
		require.Contains(t, settings, "  DATABASE_POOL_SIZE")
		lines := strings.Split(findings, "\n")
		require.Equal(t, "4 problems:", lines[0])
		for i, line := range []string{
			`  BASE_URL has a login, a path or a query; write only the scheme, the host and a port  (web, worker-pg)`,
			`  DATABASE_URL has the option pool, which PostgreSQL does not get from an address: write DATABASE_POOL_SIZE` +
				`  (web, worker-pg, worker-redis)`,
			`  PORT "abc" is not a whole number  (web, worker-pg)`,
			`  REDIS_URL is missing  (worker-redis)`,
		} {
			require.Equal(t, line, lines[1+2*i])
			require.Contains(t, lines[2+2*i], "    example: ")
		}
		require.Contains(t, findings, "\n  REDIS_ULR is not read; is REDIS_URL meant?  (web, worker-pg, worker-redis)\n")
		require.NotContains(t, settings, "is not a whole number")
	}
}

func TestDev_NamesAllProblemsBeforeItStartsAnything(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, only := range [][]string{nil, {"--only", "web"}, {"--builder"}} {
		t.Chdir(t.TempDir())
		require.NoError(t, os.WriteFile(".env", []byte("\ufeffPORT=abc\nREQUEST_TIMEOUT=10\nREDIS_ULR=x\n"), 0o600))
		for _, name := range []string{"APP_ENV", "PORT", "REQUEST_TIMEOUT", "DATABASE_URL", "REDIS_URL", "OPS_PORT"} {
			t.Setenv(name, "")
			require.NoError(t, os.Unsetenv(name))
		}
		var stdout, stderr bytes.Buffer

		code := run(ctx, testApplication(), append([]string{"dev"}, only...), &stdout, &stderr)

		require.Equal(t, exitUsage, code)
		require.Contains(t, stdout.String(), `PORT "abc" is not a whole number`)
		require.Contains(t, stdout.String(), `REQUEST_TIMEOUT "10" is not a duration`)
		require.Contains(t, stdout.String(), "REDIS_ULR is not read; is REDIS_URL meant?")
		require.Contains(t, stderr.String(), "these roles could not start: web")
		require.NoDirExists(t, "tmp")

		require.NoError(t, os.WriteFile(".env", []byte("A=1\nPORT\n"), 0o600))
		code = run(ctx, testApplication(), append([]string{"dev"}, only...), &stdout, &stderr)
		require.Equal(t, exitUsage, code)
		require.Contains(t, stderr.String(), ".env line 2 is neither NAME=value nor a comment")
		require.NoDirExists(t, "tmp")
	}
}

func TestRoles_NameEveryMissingVariableBeforeTheyConnect(t *testing.T) {
	setNoVariables(t)

	for role, missing := range map[string][]string{
		"web":          {"DATABASE_URL", "SECRET_KEY_BASE", "BASE_URL"},
		"worker-pg":    {"DATABASE_URL", "BASE_URL", "SMTP_URL"},
		"worker-redis": {"DATABASE_URL", "REDIS_URL"},
		"migrate":      {"DATABASE_URL"},
	} {
		for _, app := range []application{testApplication(), newApplication()} {
			requireMissing(t, app, role, missing)
		}
	}
}

// Private

// runFourAtATime runs at least four tests at a time: they wait for processes and
// for timeouts more than they compute. The flag -parallel overrides it. The tests
// that start containers, compile the program or send a crowd of visitors load the
// machine alone: they do not call t.Parallel, so they run before the others.
func runFourAtATime() {
	flag.Parse()
	given := false
	flag.Visit(func(one *flag.Flag) { given = given || one.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", strconv.Itoa(max(4, runtime.GOMAXPROCS(0)))) // a number is always accepted
	}
}

func requireHelp(t *testing.T, app application, command, mentions string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), app, append(strings.Fields(command), "--help"), &stdout, &stderr)

	require.Equal(t, exitOK, code, command)
	require.Empty(t, stderr.String(), command)
	require.Contains(t, stdout.String(), mentions, command)
	require.Contains(t, stdout.String(), "Examples:\n  ", command)
	require.Contains(t, stdout.String(), "app "+command, command)
}

func requireRefused(t *testing.T, app application, line string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), app, strings.Fields(line), &stdout, &stderr)

	require.Equal(t, exitUsage, code, line)
	require.Contains(t, stderr.String(), "Usage:", line)
	require.Empty(t, stdout.String(), line)
}

// setNoVariables leaves nothing set that a role in production requires.
func setNoVariables(t *testing.T) {
	t.Helper()
	t.Setenv("APP_ENV", "production")
	for _, name := range []string{"DATABASE_URL", "REDIS_URL", "QUEUE_REDIS_URL", "SECRET_KEY_BASE", "BASE_URL", "SMTP_URL", "MAIL_DIR"} {
		t.Setenv(name, "")
	}
}

func requireMissing(t *testing.T, app application, role string, missing []string) {
	t.Helper()
	var stderr bytes.Buffer
	code := run(t.Context(), app, []string{role}, io.Discard, &stderr)

	require.Equal(t, exitUsage, code, role)
	for _, name := range missing {
		require.Contains(t, stderr.String(), name+" is missing", role)
		require.Contains(t, stderr.String(), "example: "+name+"=", role)
	}
}
