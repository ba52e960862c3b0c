package main

import (
	"maps"
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
	"go.yaml.in/yaml/v3"

	"slipway/internal/config"
)

// What a role gives itself at most between SIGTERM and its end, beside the
// timeouts in its settings.
const (
	workerGrace = 5*time.Second + time.Second + time.Second // jobs.stopGrace for handlers, to hand back by force, to sign off
	closing     = time.Second + 2*time.Second + time.Second // OPS_PORT, Sentry, the pool
)

// notOurs are the secrets that the program itself does not read: Kamal does,
// or the image of an accessory.
var notOurs = []string{"KAMAL_REGISTRY_PASSWORD", "POSTGRES_PASSWORD"}

// kamalBuiltIns are commands of Kamal 2.12; it refuses aliases of these names.
var kamalBuiltIns = []string{
	"accessory", "app", "audit", "build", "config", "deploy", "details", "docs", "help", "init", "lock", "proxy", "prune", "redeploy",
	"registry", "remove", "rollback", "secrets", "server", "setup", "tree", "upgrade", "version",
}

// kamalConfig is what the tests look at in config/deploy.yml.
type kamalConfig struct {
	Service        string
	MinimumVersion string `yaml:"minimum_version"`
	Registry       struct{ Password []string }
	Builder        struct {
		Arch string
		Args map[string]string
	}
	Servers map[string]kamalRole
	Env     kamalEnv
	Proxy   struct {
		Host           string
		SSL            bool
		AppPort        int   `yaml:"app_port"`
		ForwardHeaders *bool `yaml:"forward_headers"`
		Timeout        int   `yaml:"response_timeout"`
		Healthcheck    struct{ Path string }
		Buffering      struct {
			Responses      *bool
			MaxRequestBody int64 `yaml:"max_request_body"`
		}
	}
	DeployTimeout    int `yaml:"deploy_timeout"`
	DrainTimeout     int `yaml:"drain_timeout"`
	RetainContainers int `yaml:"retain_containers"`
	Logging          struct{ Options map[string]string }
	Accessories      map[string]kamalAccessory
	Aliases          map[string]string
}

type kamalRole struct {
	Hosts       []string
	Cmd         string
	StopTimeout int    `yaml:"stop_timeout"`
	AssetPath   string `yaml:"asset_path"`
	Options     map[string]any
	Env         kamalEnv
}

// role is the one of the program that the containers of a Kamal role are.
func (r kamalRole) role() config.Role {
	if r.Cmd == "" {
		return config.Web // the image's own command
	}
	return config.Role(strings.TrimPrefix(r.Cmd, "app "))
}

type kamalAccessory struct {
	Image   string
	Cmd     string
	Host    string
	Port    string
	Volumes []string
	Env     kamalEnv
}

type kamalEnv struct {
	Clear  map[string]string
	Secret []string
}

func TestKamal_HasTheRolesOfTheProgram(t *testing.T) {
	t.Parallel()
	deploy := readKamal(t)

	var roles []config.Role // each once: a role may be there under several names
	for _, server := range deploy.Servers {
		if !slices.Contains(roles, server.role()) {
			roles = append(roles, server.role())
		}
		require.Equal(t, map[string]any{"read-only": true, "cap-drop": "ALL", "security-opt": "no-new-privileges"}, server.Options)
	}

	require.ElementsMatch(t, config.Roles, roles)
	require.Equal(t, "/assets", deploy.Servers["web"].AssetPath)
	require.Contains(t, repositoryFile(t, "Dockerfile"), "ASSETS_DIR="+deploy.Servers["web"].AssetPath+" ")
	require.Contains(t, repositoryFile(t, "Dockerfile"), `LABEL service="`+deploy.Service+`"`)
	require.Contains(t, repositoryFile(t, "Dockerfile"), `CMD ["app", "web"]`)
	require.Equal(t, 5*len(deploy.Servers), deploy.RetainContainers)
	require.Contains(t, deploy.Logging.Options, "max-size")
	require.Contains(t, deploy.Logging.Options, "max-file")
}

func TestKamal_SendsRequestsWhereWebListens(t *testing.T) {
	t.Parallel()
	deploy := readKamal(t)
	web, _, err := newApplication().schema().Load(config.Web, deploy.given(t, "web"))
	require.NoError(t, err)

	require.Equal(t, web.Port, deploy.Proxy.AppPort)
	require.Equal(t, "https://"+deploy.Proxy.Host, web.BaseURL)
	require.True(t, deploy.Proxy.SSL)
	require.Equal(t, "/up", deploy.Proxy.Healthcheck.Path)
	require.False(t, *deploy.Proxy.ForwardHeaders)
	require.False(t, *deploy.Proxy.Buffering.Responses)
	require.Greater(t, deploy.Proxy.Buffering.MaxRequestBody, web.MaxRequestBody)
}

func TestKamal_WaitsLongerThanTheProgramTakes(t *testing.T) {
	t.Parallel()
	deploy := readKamal(t)

	for name, server := range deploy.Servers {
		settings, _, err := newApplication().schema().Load(server.role(), deploy.given(t, name))
		require.NoError(t, err)
		budget := settings.ShutdownTimeout + closing
		if server.role() != config.Web {
			budget = settings.JobsShutdownTimeout + workerGrace + closing
		}

		require.Greater(t, inSeconds(server.StopTimeout), budget, name)
		require.Greater(t, inSeconds(deploy.DrainTimeout), settings.LiveStreamLifetime, name)
		require.Greater(t, inSeconds(deploy.Proxy.Timeout), settings.RequestTimeout, name)
	}
}

func TestKamal_GivesEachRoleWhatItReadsAndNeeds(t *testing.T) {
	t.Parallel()
	deploy := readKamal(t)

	for name, server := range deploy.Servers {
		given := deploy.given(t, name)

		settings, _, err := newApplication().schema().Load(server.role(), given)

		require.NoError(t, err, name)
		require.Equal(t, config.Production, settings.Environment)
		require.NotEmpty(t, settings.RedisURL)
		for _, variable := range newApplication().schema().Variables() {
			if _, ok := given[variable.Name]; ok {
				require.True(t, variable.ReadBy(server.role()), "%s does not read %s", name, variable.Name)
			}
			if !slices.Contains(slices.Concat(server.Env.Secret, deploy.Env.Secret), variable.Name) {
				continue
			}
			without := maps.Clone(given)
			delete(without, variable.Name)
			_, _, err := newApplication().schema().Load(server.role(), without)
			require.ErrorContains(t, err, variable.Name, "%s is given a secret that it could do without", name)
		}
	}
}

func TestKamal_TakesSecretsByReferenceOnly(t *testing.T) {
	t.Parallel()
	deploy := readKamal(t)
	used := slices.Concat(deploy.Registry.Password, deploy.Env.Secret)
	for _, server := range deploy.Servers {
		used = append(used, server.Env.Secret...)
	}
	for _, accessory := range deploy.Accessories {
		used = append(used, accessory.Env.Secret...)
	}

	var named []string
	for line := range strings.Lines(repositoryFile(t, ".kamal/secrets")) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		require.Equal(t, "$"+name, value)
		named = append(named, name)
	}

	require.ElementsMatch(t, used, named)
	for _, name := range named {
		require.True(t, slices.Contains(notOurs, name) || isVariable(name), "nothing reads %s", name)
	}
}

func TestKamal_KeepsRedisPrivateAndItsTasksSafe(t *testing.T) {
	t.Parallel()
	deploy := readKamal(t)
	redis := deploy.Accessories["redis"]

	require.Regexp(t, `^redis:\d+$`, redis.Image)
	require.Empty(t, redis.Port)
	require.Equal(t, []string{"ecommerce_app-redis:/data"}, redis.Volumes)
	for _, option := range []string{"--appendonly yes", "--maxmemory-policy noeviction", "--protected-mode no"} {
		require.Contains(t, redis.Cmd, option)
	}
	require.Equal(t, "redis://"+deploy.Service+"-redis:6379/0", deploy.Env.Clear["REDIS_URL"])
}

func TestKamal_PostgreSQLCanBeSwitchedOn(t *testing.T) {
	t.Parallel()
	before, after, found := strings.Cut(repositoryFile(t, "config/deploy.yml"), "  # postgres:\n")
	require.True(t, found)
	block, rest, _ := strings.Cut("  # postgres:\n"+after, "\n\n")
	deploy := parseKamal(t, before+regexp.MustCompile(`(?m)^  # `).ReplaceAllString(block, "  ")+"\n\n"+rest)
	postgres := deploy.Accessories["postgres"]

	require.Regexp(t, `^postgres:\d+$`, postgres.Image)
	require.Empty(t, postgres.Port)
	require.Equal(t, deploy.Accessories["redis"].Host, postgres.Host)
	require.Equal(t, []string{"POSTGRES_PASSWORD"}, postgres.Env.Secret)
	require.Len(t, postgres.Volumes, 1)
}

func TestKamal_BuildsWithArgumentsOfTheDockerfile(t *testing.T) {
	t.Parallel()
	deploy := readKamal(t)

	require.Contains(t, []string{"amd64", "arm64"}, deploy.Builder.Arch)
	require.ElementsMatch(t, []string{"VERSION", "REVISION"}, slices.Collect(maps.Keys(deploy.Builder.Args)))
	for name := range deploy.Builder.Args {
		require.Regexp(t, `(?m)^ARG .*\b`+name+`=`, repositoryFile(t, "Dockerfile"))
	}
}

func TestKamal_AliasesRunCommandsThatExist(t *testing.T) {
	t.Parallel()
	deploy := readKamal(t)

	for name, line := range deploy.Aliases {
		require.Regexp(t, `^[a-z0-9_-]+$`, name)
		require.NotContains(t, kamalBuiltIns, name)
		require.Contains(t, []string{"app", "accessory"}, strings.Fields(line)[0], name)
		if roles := regexp.MustCompile(`--roles (\S+)`).FindStringSubmatch(line); roles != nil {
			require.Contains(t, deploy.Servers, roles[1], name)
		}
		if line := regexp.MustCompile(`"app (.+)"$`).FindStringSubmatch(line); line != nil {
			command, rest, err := newRootCommand(newApplication()).Find(strings.Fields(line[1]))
			require.NoError(t, err, name)
			require.True(t, command.HasParent(), "%s: there is no app %s", name, line[1])
			require.NoError(t, command.ParseFlags(rest), name)
			require.NoError(t, command.ValidateArgs(command.Flags().Args()), name)
		}
	}
}

func TestKamal_DocsNameOnlyCommandsThatExist(t *testing.T) {
	t.Parallel()
	known := slices.Concat(kamalBuiltIns, slices.Collect(maps.Keys(readKamal(t).Aliases)))

	for _, page := range []string{"docs/deploy.md", "docs/operate.md"} {
		commands := regexp.MustCompile("(?:bin/kamal|`logs-)[ ]?([a-z][a-z0-9-]+)").FindAllStringSubmatch(repositoryFile(t, page), -1)
		require.NotEmpty(t, commands)
		for _, command := range commands {
			require.True(t, slices.Contains(known, command[1]) || slices.Contains(known, "logs-"+command[1]), "%s: %s", page, command[0])
		}
	}
}

func TestKamal_FilesStayShortAndClean(t *testing.T) {
	t.Parallel()
	hooks := []string{".kamal/hooks/pre-connect", ".kamal/hooks/pre-build", ".kamal/hooks/pre-deploy", ".kamal/hooks/post-deploy"}

	require.Less(t, strings.Count(repositoryFile(t, "config/deploy.yml"), "\n"), 120)
	for _, file := range append(hooks, "bin/kamal") {
		information, err := os.Stat(inRepository(file))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o111), information.Mode()&0o111, "%s is not executable", file)
		require.Less(t, strings.Count(repositoryFile(t, file), "\n"), 40, file)
		require.True(t, strings.HasPrefix(repositoryFile(t, file), "#!/bin/sh\n"), "%s: the image of Kamal has no bash", file)
	}
	require.Contains(t, repositoryFile(t, "bin/kamal"), "\nversion="+readKamal(t).MinimumVersion+"\n")
}

func TestKamal_ShellcheckFindsNothing(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("shellcheck"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("ShellCheck is not installed")
		}
		t.Skip("ShellCheck is not installed: run bin/setup")
	}
	var files []string
	for _, pattern := range []string{".kamal/hooks/*", "bin/*"} {
		found, err := filepath.Glob(inRepository(pattern))
		require.NoError(t, err)
		files = append(files, found...)
	}

	output, err := exec.Command("shellcheck", files...).CombinedOutput()

	require.NoError(t, err, string(output))
}

func TestKamalPreConnect_NamesEveryEmptySecretBeforeAChange(t *testing.T) {
	t.Parallel()
	all := []string{"KAMAL_REGISTRY_PASSWORD", "DATABASE_URL", "SECRET_KEY_BASE", "SMTP_URL"}
	registry := all[:1]

	for command, needed := range map[string][]string{
		"setup": all, "deploy": all, "redeploy": all, "rollback": all,
		"accessory reboot": registry, "accessory boot": registry, "accessory upgrade": registry,
		"accessory logs": nil, "accessory details": nil, "accessory exec": nil,
		"app logs": nil, "app exec": nil, "app details": nil, "app maintenance": nil, "app live": nil, "app stop": nil, "app containers": nil,
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

func TestKamalPreConnect_FindsOutWhichAccessoryCommandItIs(t *testing.T) {
	t.Parallel()
	hook, err := filepath.Abs(inRepository(".kamal/hooks/pre-connect"))
	require.NoError(t, err)

	for line, held := range map[string]bool{
		"accessory reboot redis": true, "accessory boot all": true, "accessory upgrade redis": true,
		"accessory logs redis": false, "accessory exec redis --reuse redis-cli": false, "accessory restart redis": false, "logs-redis": false,
	} {
		kamal := exec.Command("/bin/sh", append([]string{"-c", hook + "; exit $?", "kamal"}, strings.Fields(line)...)...)
		kamal.Dir, kamal.Env = inRepository(""), append(gitFree(), "KAMAL_COMMAND=accessory")

		output, err := kamal.CombinedOutput()

		require.Equal(t, held, exitCodeOf(t, err) == 1, "%s: %s", line, output)
	}
}

func TestKamalPreConnect_ReadsTheSecretsOfADestination(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".kamal"), 0o755))
	for name, content := range map[string]string{"secrets-common": "SHARED=$SHARED\n", "secrets.staging": "# Ours\nOURS=$OURS\n", "secrets": "OTHERS=$OTHERS\n"} {
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
		command := exec.Command("git", append([]string{"-c", "user.name=Ada", "-c", "user.email=ada@leeward.example", "-c", "commit.gpgsign=false"}, args...)...)
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
	checks := []string{call("web", "app config check web"), call("worker-pg", "app config check worker-pg"), call("worker-redis", "app config check worker-redis")}

	for name, one := range map[string]struct {
		environment []string
		fails       string // the last word of the call that fails
		calls       []string
		code        int
		says        string
	}{
		"deploy":            {environment: []string{"KAMAL_COMMAND=deploy"}, calls: slices.Concat([]string{migrate}, checks), says: "worker-redis can start"},
		"setup":             {environment: []string{"KAMAL_COMMAND=setup"}, calls: slices.Concat([]string{migrate}, checks), says: "fake said app migrate"},
		"some roles":        {environment: []string{"KAMAL_COMMAND=redeploy", "KAMAL_ROLES=web,worker-redis"}, calls: []string{migrate, checks[0], checks[2]}},
		"rollback":          {environment: []string{"KAMAL_COMMAND=rollback"}},
		"first deploy":      {environment: []string{"KAMAL_COMMAND=setup", "PRE_DEPLOY=none"}, says: "no migration, no checks"},
		"new secret":        {environment: []string{"KAMAL_COMMAND=deploy", "PRE_DEPLOY=migrate"}, calls: []string{migrate}},
		"nonsense":          {environment: []string{"KAMAL_COMMAND=deploy", "PRE_DEPLOY=perhaps"}, code: 1, says: "all, migrate or none"},
		"destination":       {environment: []string{"KAMAL_COMMAND=deploy", "PRE_DEPLOY=migrate", "KAMAL_DESTINATION=staging"}, calls: []string{strings.Replace(migrate, "9f8e7d6c", "9f8e7d6c --destination staging", 1)}},
		"migration fails":   {environment: []string{"KAMAL_COMMAND=deploy"}, fails: "migrate", calls: []string{migrate}, code: 1, says: "The migration failed. Nothing has been swapped."},
		"a role is refused": {environment: []string{"KAMAL_COMMAND=deploy"}, fails: "worker-pg", calls: slices.Concat([]string{migrate}, checks[:2]), code: 1, says: "fake said app config check worker-pg\nworker-pg cannot start."},
	} {
		dir := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o755))
		fake := "#!/bin/sh\necho \"$*\" >>calls\nfor last; do :; done\necho \"fake said $last\"\ncase $last in *\" ${FAKE_FAILS:-nothing}\") exit 3 ;; esac\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, "bin", "kamal"), []byte(fake), 0o755))

		output, err := runHook(t, dir, "pre-deploy", append(one.environment, "KAMAL_VERSION=9f8e7d6c", "FAKE_FAILS="+one.fails)...)

		calls, _ := os.ReadFile(filepath.Join(dir, "calls"))
		require.Equal(t, one.calls, linesOf(string(calls)), name)
		require.Equal(t, one.code, exitCodeOf(t, err), "%s: %s", name, output)
		require.Contains(t, output, one.says, name)
	}
}

func TestKamalPostDeploy_SaysWhatIsLive(t *testing.T) {
	t.Parallel()

	output, err := runHook(t, inRepository(""), "post-deploy", "KAMAL_COMMAND=rollback", "KAMAL_VERSION=9f8e7d6c",
		"KAMAL_HOSTS=192.0.2.10", "KAMAL_PERFORMER=ada@leeward.example", "KAMAL_RUNTIME=34")

	require.NoError(t, err, output)
	require.Equal(t, "Live: 9f8e7d6c on 192.0.2.10 (all roles), by rollback of ada@leeward.example, in 34 s.\n", output)
}

func TestKamalWrapper_RunsTheGemElseTheContainerElseSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	record := "#!/bin/sh\nfor one; do printf '%s\\n' \"$one\"; done\n"
	tools := t.TempDir()
	for _, tool := range []string{"dirname", "sed"} {
		path, err := exec.LookPath(tool)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(tools, tool)))
	}
	with := func(scripts map[string]string) []string {
		dir := t.TempDir()
		for name, content := range scripts {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755))
		}
		return []string{"PATH=" + dir + ":" + tools, "HOME=" + dir, "SSH_AUTH_SOCK=/run/agent"}
	}
	wrapper := func(environment []string, args ...string) (string, error) {
		command := exec.Command("/bin/sh", append([]string{inRepository("bin/kamal")}, args...)...)
		command.Env = environment
		output, err := command.CombinedOutput()
		return string(output), err
	}

	output, err := wrapper(with(map[string]string{"ruby": "#!/bin/sh\n", "kamal": record, "docker": record}), "app", "exec", "app version")
	require.NoError(t, err, output)
	require.Equal(t, []string{"_2.12.0_", "app", "exec", "app version"}, linesOf(output))

	output, err = wrapper(with(map[string]string{"ruby": "#!/bin/sh\nexit 1\n", "kamal": record, "docker": record}), "app", "exec", "app version")
	require.NoError(t, err, output)
	said := linesOf(output)
	require.Equal(t, []string{"run", "--rm"}, said[:2])
	require.Equal(t, []string{"ghcr.io/basecamp/kamal:v2.12.0", "app", "exec", "app version"}, said[len(said)-4:])
	for _, argument := range []string{"/run/agent:/ssh-agent", "/var/run/docker.sock:/var/run/docker.sock", "DATABASE_URL", "KAMAL_REGISTRY_PASSWORD", "PRE_DEPLOY"} {
		require.Contains(t, said, argument)
	}

	output, err = wrapper(with(nil), "deploy")
	require.Equal(t, 1, exitCodeOf(t, err))
	require.Contains(t, output, "gem install kamal --version 2.12.0")
}

// Private

func readKamal(t *testing.T) kamalConfig {
	t.Helper()
	return parseKamal(t, repositoryFile(t, "config/deploy.yml"))
}

func parseKamal(t *testing.T, content string) kamalConfig {
	t.Helper()
	var deploy kamalConfig
	require.NoError(t, yaml.Unmarshal([]byte(content), &deploy))
	return deploy
}

// given is the environment of a role's containers, with the example in place
// of every secret.
func (c kamalConfig) given(t *testing.T, name string) map[string]string {
	t.Helper()
	server := c.Servers[name]
	given := maps.Clone(c.Env.Clear)
	maps.Copy(given, server.Env.Clear)
	for _, secret := range slices.Concat(c.Env.Secret, server.Env.Secret) {
		for _, variable := range newApplication().schema().Variables() {
			if variable.Name == secret {
				given[secret] = variable.Example
			}
		}
	}
	for name := range given {
		require.True(t, isVariable(name), "nothing reads %s", name)
	}
	if given["SECRET_KEY_BASE"] != "" {
		given["SECRET_KEY_BASE"] = strings.Repeat("0f", 64)
	}
	return given
}

func isVariable(name string) bool {
	return slices.ContainsFunc(newApplication().schema().Variables(), func(variable config.Variable) bool { return variable.Name == name })
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

// gitFree is an environment in which git knows no repository but that of its
// directory, and no settings of this machine.
func gitFree() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1"}
}

func repositoryFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(inRepository(name))
	require.NoError(t, err)
	return string(content)
}

func inRepository(name string) string { return filepath.Join("../..", name) }

func inSeconds(number int) time.Duration { return time.Duration(number) * time.Second }

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
