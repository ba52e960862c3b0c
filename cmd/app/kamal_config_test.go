package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"slipway/internal/config"
)

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
	return config.Role(strings.TrimPrefix(ruby.ReplaceAllString(r.Cmd, ""), "app "))
}

// ruby is an expression that Kamal replaces by its value.
var ruby = regexp.MustCompile(`<%=.*?%>`)

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
		given["SECRET_KEY_BASE"] = testSecret
	}
	return given
}

func isVariable(name string) bool {
	return slices.ContainsFunc(newApplication().schema().Variables(), func(variable config.Variable) bool { return variable.Name == name })
}
