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
		require.Equal(t, shown, runtime.Shown(runtime.named("DATABASE_URL"), Config{DatabaseURL: value}), value)
	}

	require.Equal(t, "********", runtime.Shown(runtime.named("SECRET_KEY_BASE"), Config{SecretKeyBase: "hunter2"}))
	require.Equal(t, "3000", runtime.Shown(runtime.named("PORT"), Config{Port: 3000}))
}
