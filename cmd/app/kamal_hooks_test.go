package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKamalPreConnect_NamesEveryEmptySecretBeforeAChange(t *testing.T) {
	t.Parallel()
	all := []string{"KAMAL_REGISTRY_PASSWORD", "DATABASE_URL", "SECRET_KEY_BASE", "SMTP_URL"}
	registry := all[:1]

	for command, needed := range map[string][]string{
		"setup": all, "deploy": all, "redeploy": all, "rollback": all, "upgrade": all, "app boot": all, "app exec": all,
		"accessory reboot": registry, "accessory boot": registry, "accessory upgrade": registry,
		"accessory logs": nil, "accessory details": nil, "accessory exec": nil,
		"app logs": nil, "app start": nil, "app details": nil, "app maintenance": nil, "app live": nil, "app stop": nil, "app containers": nil,
		"details": nil, "audit": nil, "proxy logs": nil, "lock release": nil, "server exec": nil, "prune all": nil, "": nil,
	} {
		main, sub, _ := strings.Cut(command, " ")
		environment := []string{"KAMAL_COMMAND=" + main}
		if sub != "" {
			environment = append(environment, "KAMAL_SUBCOMMAND="+sub)
		}
		for _, empty := range [][]string{nil, {"SMTP_URL"}, {"KAMAL_REGISTRY_PASSWORD", "DATABASE_URL"}, all} {
			secrets, missing := []string{}, []string{}
			for i, name := range all {
				if !slices.Contains(empty, name) {
					secrets = append(secrets, name+"=a $b \"c' `d` \\e")
					continue
				}
				if slices.Contains(needed, name) {
					missing = append(missing, name)
				}
				if i%2 == 0 {
					secrets = append(secrets, name+"= ") // blank is empty
				}
			}

			output, err := runHook(t, inRepository(""), "pre-connect", append(environment, secrets...)...)

			if len(missing) == 0 {
				require.NoError(t, err, "%s without %v: %s", command, empty, output)
				require.Empty(t, output)
				continue
			}
			require.Error(t, err, "%s without %v", command, empty)
			require.Contains(t, output, "these secrets are empty: "+strings.Join(missing, " ")+"\n", "%s without %v", command, empty)
			require.NotContains(t, output, "`d`")
		}
	}
}

func TestKamalPreConnect_FindsOutWhichCommandItIs(t *testing.T) {
	t.Parallel()
	for line, held := range map[string]bool{
		"accessory reboot redis": true, "accessory boot all": true, "accessory upgrade redis": true,
		"accessory logs redis": false, "accessory exec redis --reuse redis-cli": false, "accessory restart redis": false, "logs-redis": false,
		"app boot": true, "app boot --roles web": true, "app exec --primary env": true,
		"migrate": true, "migrate-status": true, "seed -d staging": true,
		"app exec --reuse env": false, "app logs --grep boot": false, "app details": false, "health": false, "jobs": false, "versions": false,
		"logs-web --since 1h": false,
	} {
		main := "app"
		if strings.Contains(line, "accessory") || line == "logs-redis" {
			main = "accessory"
		}

		output, code := runHookOf(t, inRepository(""), line, "KAMAL_COMMAND="+main)

		require.Equal(t, held, code == 1, "%s: %s", line, output)
	}
}

func TestKamalPreConnect_GuardsTheSecretsOfAnAccessory(t *testing.T) {
	t.Parallel()
	database := strings.NewReplacer("  # postgres:", "  postgres:", "  #   ", "    ").Replace(repositoryFile(t, "config/deploy.yml"))
	require.Contains(t, database, "\n      secret: [POSTGRES_PASSWORD]\n")
	others := "accessories:\n" +
		"    search: # ours\n        image: search\n        registry:\n            password:\n                - SEARCH_TOKEN\n" +
		"        env:\n            secret:\n                - \"SEARCH_KEY\" # of its index\n                - ADMIN:SEARCH_ADMIN\n" +
		"            clear:\n                POSTGRES_PASSWORD: none\n" +
		"    mail: { image: mail, env: { clear: { A: b }, secret: ['MAIL_KEY', MAIL_LOGIN] } }\n"
	dir := t.TempDir()
	secrets := "KAMAL_REGISTRY_PASSWORD=$KAMAL_REGISTRY_PASSWORD\nPOSTGRES_PASSWORD=$POSTGRES_PASSWORD\nDATABASE_URL=$DATABASE_URL\n"
	ofOthers := ""
	for _, name := range []string{"SEARCH_TOKEN", "SEARCH_KEY", "ADMIN", "SEARCH_ADMIN", "MAIL_KEY", "MAIL_LOGIN"} {
		ofOthers += name + "=$" + name + "\n"
	}
	for name, content := range map[string]string{
		"config/deploy.yml": repositoryFile(t, "config/deploy.yml"), "config/deploy.production.yml": database, "config/deploy.other.yml": others,
		".kamal/secrets": secrets, ".kamal/secrets.production": secrets, ".kamal/secrets.other": secrets + ofOthers,
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}

	for _, row := range []struct{ line, destination, empty string }{
		{"accessory boot postgres", "production", "POSTGRES_PASSWORD"},
		{"accessory reboot postgres", "production", "POSTGRES_PASSWORD"},
		{"accessory upgrade postgres", "production", "POSTGRES_PASSWORD"},
		{"accessory boot all", "production", "POSTGRES_PASSWORD"},
		{"accessory reboot redis", "production", ""},
		{"accessory boot all", "", ""}, // without such an accessory
		{"accessory boot search", "other", "SEARCH_TOKEN SEARCH_KEY SEARCH_ADMIN"},
		{"accessory boot mail", "other", "MAIL_KEY MAIL_LOGIN"},
		{"accessory boot redis", "other", ""},
		{"accessory logs postgres", "production", ""},
	} {
		output, code := runHookOf(t, dir, row.line, "KAMAL_COMMAND=accessory", "KAMAL_DESTINATION="+row.destination, "KAMAL_REGISTRY_PASSWORD=x")
		if row.empty == "" {
			require.Zero(t, code, "%v: %s", row, output)
			continue
		}
		require.Equal(t, 1, code, row)
		require.Contains(t, output, "these secrets are empty: "+row.empty+"\n", row)
	}
	output, code := runHookOf(t, dir, "accessory boot postgres", "KAMAL_COMMAND=accessory", "KAMAL_SUBCOMMAND=boot",
		"KAMAL_DESTINATION=production", "KAMAL_REGISTRY_PASSWORD=x", "POSTGRES_PASSWORD=y")
	require.Zero(t, code, output)
}

func TestKamalPreConnect_ReadsTheSecretsOfADestination(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".kamal"), 0o755))
	for name, content := range map[string]string{
		"secrets-common": "SHARED=$SHARED\n", "secrets.staging": "# Ours\nOURS=$OURS\n", "secrets": "OTHERS=$OTHERS\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, ".kamal", name), []byte(content), 0o600))
	}

	output, err := runHook(t, dir, "pre-connect", "KAMAL_COMMAND=deploy", "KAMAL_DESTINATION=staging")

	require.Error(t, err)
	require.Contains(t, output, "these secrets are empty: SHARED OURS\n")
}

func TestKamalPreBuild_WantsACleanAndPushedTree(t *testing.T) {
	t.Parallel()
	dir, remote := t.TempDir(), t.TempDir()
	git := func(args ...string) {
		t.Helper()
		settings := []string{"-c", "user.name=Ada", "-c", "user.email=ada@app.example", "-c", "commit.gpgsign=false"}
		command := exec.Command("git", append(settings, args...)...)
		command.Dir, command.Env = dir, gitFree()
		output, err := command.CombinedOutput()
		require.NoError(t, err, string(output))
	}
	write := func(content string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), []byte(content), 0o600))
	}
	refused := func(because string) {
		t.Helper()
		output, err := runHook(t, dir, "pre-build")
		require.Error(t, err)
		require.Contains(t, output, because)
	}
	git("init", "--quiet", "--initial-branch=main")
	git("init", "--quiet", "--bare", remote)
	git("remote", "add", "origin", remote)

	write("one")
	refused("?? file")
	git("add", "file")
	git("commit", "--quiet", "--message=One")
	refused("push it first")
	git("push", "--quiet", "origin", "main")
	output, err := runHook(t, dir, "pre-build")
	require.NoError(t, err, output)
	git("checkout", "--quiet", "--detach") // as continuous integration has it
	output, err = runHook(t, dir, "pre-build")
	require.NoError(t, err, output)
	requireBuildOfAFetchedCommit(t, remote)
	write("two")
	refused(" M file")
	git("commit", "--quiet", "--all", "--message=Two")
	refused("push it first")
}

func TestKamalPreDeploy_MigratesAndChecksInTheNewImage(t *testing.T) {
	t.Parallel()
	call := func(role, command string) string {
		return "app exec --primary --roles " + role + " --version 9f8e7d6c " + command
	}
	migrate := call("web", "app migrate")
	var checks []string
	for _, role := range roleNames() {
		checks = append(checks, call(role, "app config check "+role))
	}

	for name, one := range map[string]struct {
		environment []string
		fails       string // the last word of the call that fails
		calls       []string
		code        int
		says        string
	}{
		"deploy": {
			environment: []string{"KAMAL_COMMAND=deploy"},
			calls:       slices.Concat([]string{migrate}, checks), says: "worker-redis can start",
		},
		"setup": {
			environment: []string{"KAMAL_COMMAND=setup"},
			says:        "setup: web migrates the database when it starts.\n",
		},
		"some roles": {
			environment: []string{"KAMAL_COMMAND=redeploy", "KAMAL_ROLES=web,worker-redis"},
			calls:       []string{migrate, checks[0], checks[2]},
		},
		"rollback": {environment: []string{"KAMAL_COMMAND=rollback"}},
		"a database that has moved": {
			environment: []string{"KAMAL_COMMAND=deploy", "PRE_DEPLOY=none"},
			says:        "no migration, no checks",
		},
		"new secret": {
			environment: []string{"KAMAL_COMMAND=deploy", "PRE_DEPLOY=migrate"},
			calls:       []string{migrate},
		},
		"nonsense": {
			environment: []string{"KAMAL_COMMAND=deploy", "PRE_DEPLOY=perhaps"},
			code:        1, says: "all, migrate or none",
		},
		"destination": {
			environment: []string{"KAMAL_COMMAND=deploy", "PRE_DEPLOY=migrate", "KAMAL_DESTINATION=staging"},
			calls:       []string{strings.Replace(migrate, "9f8e7d6c", "9f8e7d6c --destination staging", 1)},
		},
		"migration fails": {
			environment: []string{"KAMAL_COMMAND=deploy"},
			fails:       "migrate",
			calls:       []string{migrate},
			code:        1, says: "The migration failed. Nothing has been swapped.",
		},
		"a role is refused": {
			environment: []string{"KAMAL_COMMAND=deploy"},
			fails:       "worker-pg",
			calls:       slices.Concat([]string{migrate}, checks[:2]),
			code:        1, says: "fake said app config check worker-pg\nworker-pg cannot start.",
		},
	} {
		dir := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o755))
		fake := "#!/bin/sh\necho \"$*\" >>calls\nfor last; do :; done\necho \"fake said $last\"\n" +
			"case $last in *\" ${FAKE_FAILS:-nothing}\") exit 3 ;; esac\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, "bin", "kamal"), []byte(fake), 0o755))

		output, err := runHook(t, dir, "pre-deploy", append(one.environment, "KAMAL_VERSION=9f8e7d6c", "FAKE_FAILS="+one.fails)...)

		calls, _ := os.ReadFile(filepath.Join(dir, "calls"))
		require.Equal(t, one.calls, linesOf(string(calls)), name)
		require.Equal(t, one.code, exitCodeOf(t, err), "%s: %s", name, output)
		require.Contains(t, output, one.says, name)
	}
}

func TestKamalPostDeploy_PrintsWhatIsLive(t *testing.T) {
	t.Parallel()

	output, err := runHook(t, inRepository(""), "post-deploy", "KAMAL_COMMAND=rollback", "KAMAL_VERSION=9f8e7d6c",
		"KAMAL_HOSTS=192.0.2.10", "KAMAL_PERFORMER=ada@app.example", "KAMAL_RUNTIME=34")

	require.NoError(t, err, output)
	require.Equal(t, "Live: 9f8e7d6c on 192.0.2.10 (all roles), by rollback of ada@app.example, in 34 s.\n", output)
}

// Private

// requireBuildOfAFetchedCommit checks the newest commit of a remote out as
// continuous integration does, which fetches it alone, and requires that it can be
// built, but no commit that exists only there.
func requireBuildOfAFetchedCommit(t *testing.T, remote string) {
	t.Helper()
	dir := t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		command := exec.Command("git", append([]string{"-c", "user.name=Ada", "-c", "user.email=ada@app.example"}, args...)...)
		command.Dir, command.Env = dir, gitFree()
		output, err := command.CombinedOutput()
		require.NoError(t, err, string(output))
		return strings.TrimSpace(string(output))
	}
	git("init", "--quiet")
	git("remote", "add", "origin", "file://"+remote)
	commit, _, _ := strings.Cut(git("ls-remote", "origin", "main"), "\t")
	git("fetch", "--quiet", "--depth=1", "origin", commit)
	git("checkout", "--quiet", "--detach", "FETCH_HEAD")
	require.Empty(t, git("branch", "--remotes"))

	output, err := runHook(t, dir, "pre-build")
	require.NoError(t, err, output)

	git("commit", "--quiet", "--allow-empty", "--message=Only here")
	output, err = runHook(t, dir, "pre-build")
	require.Error(t, err)
	require.Contains(t, output, "no remote has the commit")
}

// runHook runs a hook of the repository in dir, with nothing of this process's
// environment but PATH.
func runHook(t *testing.T, dir, name string, environment ...string) (output string, err error) {
	t.Helper()
	hook, err := filepath.Abs(inRepository(filepath.Join(".kamal/hooks", name)))
	require.NoError(t, err)
	command := exec.Command("/bin/sh", hook)
	command.Dir = dir
	command.Env = append(gitFree(), environment...)
	combined, err := command.CombinedOutput()
	return string(combined), err
}

// runHookOf runs pre-connect as a Kamal with a command line does.
func runHookOf(t *testing.T, dir, line string, environment ...string) (output string, code int) {
	t.Helper()
	hook, err := filepath.Abs(inRepository(".kamal/hooks/pre-connect"))
	require.NoError(t, err)
	kamal := exec.Command("/bin/sh", append([]string{"-c", hook + "; exit $?", "kamal"}, strings.Fields(line)...)...)
	kamal.Dir, kamal.Env = dir, append(gitFree(), environment...)
	combined, err := kamal.CombinedOutput()
	return string(combined), exitCodeOf(t, err)
}

// gitFree is an environment in which git knows no repository but that of its
// directory, and no settings of this machine.
func gitFree() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1"}
}

func linesOf(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

func exitCodeOf(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, strconv.Quote(err.Error()))
	return exit.ExitCode()
}
