package shop_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/config"
	"slipway/internal/shop"
)

func TestSettings_ReportValuesThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	for _, wrong := range []struct {
		role              config.Role
		name, value, text string
	}{
		{config.Web, "PAYMENT_TIMEOUT", "soon", `"soon" is not a duration such as 250ms, 5s or 2m`},
		{config.Web, "PAYMENT_TIMEOUT", "7s", "is 7s; it must be less than REQUEST_TIMEOUT (7s), or a payment outlives its page"},
		{config.WorkerPG, "PAYMENT_TIMEOUT", "2m", "is 2m0s; it must be between 100ms and 1m0s"},
		{config.Web, "ORDER_LIMIT", "-1", "is -1; it must be between 0 and 1000000"},
		{config.Web, "FLASH_SALE_LIMIT_PER_CART", "0", "is 0; it must be between 1 and 20"},
		{config.WorkerPG, "MAIL_FROM", "Leeward", `"Leeward" is not a mail address`},
	} {
		variables := map[string]string{"DATABASE_URL": "postgres://localhost/shop", wrong.name: wrong.value}

		_, _, err := config.NewSchema(&shop.Settings{}).Load(wrong.role, variables)

		var problems config.Problems
		require.ErrorAs(t, err, &problems, "%s=%s", wrong.name, wrong.value)
		require.Len(t, problems, 1)
		require.Equal(t, wrong.name+" "+wrong.text, problems[0].Name+" "+problems[0].Text)
	}
}

func TestSettings_RefuseAbsurdNumbersAndDurations(t *testing.T) {
	t.Parallel()
	absurd := map[reflect.Type][]string{
		reflect.TypeFor[int]():           {"-1", "2147483647", "0"},
		reflect.TypeFor[time.Duration](): {"-1s", "8760h", "0s"},
	}
	mayBeZero := []string{"ORDER_LIMIT", "FLASH_SALE_LIMIT_PER_ADDRESS"}

	tried := 0
	for field := range reflect.TypeFor[shop.Settings]().Fields() {
		name := field.Tag.Get("env")
		for i, value := range absurd[field.Type] {
			if i == 2 && slices.Contains(mayBeZero, name) {
				continue
			}
			role, _, _ := strings.Cut(field.Tag.Get("roles"), ",")
			variables := map[string]string{"DATABASE_URL": "postgres://localhost/shop", name: value}
			_, _, err := config.NewSchema(&shop.Settings{}).Load(config.Role(role), variables)
			require.ErrorContains(t, err, name+" is ", value)
			require.ErrorContains(t, err, "it must be between", name)
			tried++
		}
	}
	require.Greater(t, tried, 10)
}

func TestSettings_AreReadBesideThoseOfTheRuntime(t *testing.T) {
	t.Parallel()
	settings := &shop.Settings{}
	variables := map[string]string{"DATABASE_URL": "postgres://localhost/shop", "FLASH_SALE_HOLD": "3m", "PORT": "4000"}

	runtime, warnings, err := config.NewSchema(settings).Load(config.Web, variables)

	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, 4000, runtime.Port)
	require.Equal(t, 3*time.Minute, settings.FlashSaleHold)
	require.Equal(t, 10, settings.OrderLimit)
}
