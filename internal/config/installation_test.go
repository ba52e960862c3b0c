package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInstallation_IsNamedAfterItsEnvironmentAndDatabase(t *testing.T) {
	t.Parallel()
	for address, expected := range map[string]string{
		"postgres://u:p@db.internal:5432/app_production":      "production/app_production",
		"postgres://u:p@elsewhere/app_production?x=1":         "production/app_production",
		"host=db user=app dbname=App-2.0":                     "production/App-2.0",
		"postgres://u:p@db/caf%C3%A9:{1}%25*?sslmode=disable": "production/caf%C3%A9%3A%7B1%7D%25%2A",
	} {
		settings, _, _ := runtime.Load(Throttle, map[string]string{
			"APP_ENV": "production", "DATABASE_URL": address, "REDIS_URL": "redis://localhost/0",
		})
		require.Equal(t, expected, settings.Installation, address)
	}
	settings, _, err := runtime.Load(Throttle, map[string]string{
		"INSTALLATION": "app-staging", "DATABASE_URL": "postgres://db/app", "REDIS_URL": "redis://localhost/0",
	})
	require.NoError(t, err)
	require.Equal(t, "app-staging", settings.Installation)
}

func TestInstallation_HasNoMarksThatMeanSomethingToRedis(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"app:staging", "app staging", "app*", "{app}", "café", "a\nb"} {
		_, _, err := runtime.Load(Throttle, map[string]string{
			"INSTALLATION": name, "DATABASE_URL": "postgres://db/app", "REDIS_URL": "redis://localhost/0",
		})
		require.ErrorContains(t, err, "INSTALLATION", name)
	}
}
