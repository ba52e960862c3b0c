package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInstallation_IsNamedAfterItsEnvironmentAndDatabase(t *testing.T) {
	t.Parallel()
	for address, expected := range map[string]string{
		"postgres://u:p@db.internal:5432/shop_production":     "slipway:production/shop_production",
		"postgres://u:p@elsewhere/shop_production?x=1":        "slipway:production/shop_production",
		"host=db user=app dbname=Shop-2.0":                    "slipway:production/Shop-2.0",
		"postgres://u:p@db/caf%C3%A9:{1}%25*?sslmode=disable": "slipway:production/caf%C3%A9%3A%7B1%7D%25%2A",
	} {
		settings, _, _ := runtime.Load(Throttle, map[string]string{
			"APP_ENV": "production", "DATABASE_URL": address, "REDIS_URL": "redis://localhost/0",
		})
		require.Equal(t, expected, settings.Namespace(), address)
	}
	settings, _, err := runtime.Load(Throttle, map[string]string{
		"INSTALLATION": "shop-staging", "DATABASE_URL": "postgres://db/shop", "REDIS_URL": "redis://localhost/0",
	})
	require.NoError(t, err)
	require.Equal(t, "slipway:shop-staging", settings.Namespace())
}

func TestInstallation_HasNoMarksThatMeanSomethingToRedis(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"shop:staging", "shop staging", "shop*", "{shop}", "café", "a\nb"} {
		_, _, err := runtime.Load(Throttle, map[string]string{
			"INSTALLATION": name, "DATABASE_URL": "postgres://db/shop", "REDIS_URL": "redis://localhost/0",
		})
		require.ErrorContains(t, err, "INSTALLATION", name)
	}
}
