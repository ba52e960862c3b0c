package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

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
	needProgram(t, "shellcheck")
	var files []string
	for _, pattern := range []string{".kamal/hooks/*", "bin/*"} {
		found, err := filepath.Glob(inRepository(pattern))
		require.NoError(t, err)
		files = append(files, found...)
	}

	output, err := exec.Command("shellcheck", files...).CombinedOutput()

	require.NoError(t, err, string(output))
}

func TestKamalWrapper_RunsTheGemElseTheContainerElseNamesWhatIsMissing(t *testing.T) {
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

	withoutGem := with(map[string]string{"ruby": "#!/bin/sh\nexit 1\n", "kamal": record, "docker": record})
	output, err = wrapper(withoutGem, "app", "exec", "app version")
	require.NoError(t, err, output)
	said := linesOf(output)
	require.Equal(t, []string{"run", "--rm"}, said[:2])
	require.Equal(t, []string{"ghcr.io/basecamp/kamal:v2.12.0", "app", "exec", "app version"}, said[len(said)-4:])
	for _, argument := range []string{
		"/run/agent:/ssh-agent", "/var/run/docker.sock:/var/run/docker.sock", "DATABASE_URL", "KAMAL_REGISTRY_PASSWORD", "PRE_DEPLOY",
	} {
		require.Contains(t, said, argument)
	}

	output, err = wrapper(with(nil), "deploy")
	require.Equal(t, 1, exitCodeOf(t, err))
	require.Contains(t, output, "gem install kamal --version 2.12.0")
}
