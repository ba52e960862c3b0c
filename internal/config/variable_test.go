package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShown_HidesCredentialsAndShowsTheRest(t *testing.T) {
	t.Parallel()
	for value, shown := range map[string]string{
		"":                                     "",
		"postgres://shop:hunter2@db:5432/shop": "postgres://shop:xxxxx@db:5432/shop",
		"postgres://shop:hunter2@db/shop?sslmode=require":   "postgres://shop:xxxxx@db/shop?********",
		"postgres://db/shop?password=hunter2#fragment":      "********",
		"postgres://shop:hunter2/x@db/shop":                 "********",
		"postgres://shop:12/hunter2@db/shop":                "********",
		"postgres://shop:12?hunter2@db/shop":                "********",
		"postgres://shop:12#hunter2@db/shop":                "********",
		"postgres://shop:a@hunter2@db/shop":                 "********",
		"postgres://shop:hunter2@one:5432,two:5432/shop":    "postgres://shop:xxxxx@one:5432,two:5432/shop",
		"host=db password=hunter2":                          "********",
		"password=a:hunter2":                                "********",
		"redis:hunter2@db":                                  "********",
		"redis:hunter2://db":                                "********",
		"redis://hunter2@db:6379/0":                         "redis://xxxxx@db:6379/0",
		"redis://db:6379/0":                                 "redis://db:6379/0",
		"unix:///run/postgres.sock":                         "unix:///run/postgres.sock",
		"postgres:///shop?host=/run&password=hunter2&user=": "postgres:///shop?********",
	} {
		require.Equal(t, shown, variableNamed("DATABASE_URL").Shown(Config{DatabaseURL: value}), value)
	}

	require.Equal(t, "********", variableNamed("SECRET_KEY_BASE").Shown(Config{SecretKeyBase: "hunter2"}))
	require.Equal(t, "3000", variableNamed("PORT").Shown(Config{Port: 3000}))
}

func TestVariables_AreDeclaredInFull(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"all": true, "web": true, "worker-pg": true, "worker-redis": true, "migrate": true, "seed": true, "health": true, "throttle": true, "jobs": true}

	for _, variable := range Variables() {
		require.Regexp(t, `^[A-Z][A-Z0-9_]+$`, variable.Name, variable.Field)
		require.NotEmpty(t, variable.Example, variable.Name)
		require.NotEmpty(t, variable.Help, variable.Name)
		require.Contains(t, []string{"", "true", "url"}, variable.Secret, variable.Name)
		for _, role := range variable.roles {
			require.True(t, known[role], "%s is read by the unknown role %q", variable.Name, role)
		}
	}
}
