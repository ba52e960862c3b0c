package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShown_HidesCredentialsAndShowsTheRest(t *testing.T) {
	t.Parallel()
	for value, shown := range map[string]string{
		"":                                   "",
		"postgres://app:hunter2@db:5432/app": "postgres://app:xxxxx@db:5432/app",
		"postgres://app:hunter2@db/app?sslmode=require":    "postgres://app:xxxxx@db/app?********",
		"postgres://db/app?password=hunter2#fragment":      "********",
		"postgres://app:hunter2/x@db/app":                  "********",
		"postgres://app:12/hunter2@db/app":                 "********",
		"postgres://app:12?hunter2@db/app":                 "********",
		"postgres://app:12#hunter2@db/app":                 "********",
		"postgres://app:a@hunter2@db/app":                  "********",
		"postgres://app:hunter2@one:5432,two:5432/app":     "postgres://app:xxxxx@one:5432,two:5432/app",
		"host=db password=hunter2":                         "********",
		"password=a:hunter2":                               "********",
		"redis:hunter2@db":                                 "********",
		"redis:hunter2://db":                               "********",
		"redis://hunter2@db:6379/0":                        "redis://xxxxx@db:6379/0",
		"redis://db:6379/0":                                "redis://db:6379/0",
		"unix:///run/postgres.sock":                        "unix:///run/postgres.sock",
		"postgres:///app?host=/run&password=hunter2&user=": "postgres:///app?********",
	} {
		require.Equal(t, shown, runtime.shown(runtime.named("DATABASE_URL"), Config{DatabaseURL: value}), value)
	}

	require.Equal(t, "********", runtime.shown(runtime.named("SECRET_KEY_BASE"), Config{SecretKeyBase: "hunter2"}))
	require.Equal(t, "3000", runtime.shown(runtime.named("PORT"), Config{Port: 3000}))
}
