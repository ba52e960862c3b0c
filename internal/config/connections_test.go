package config

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLoad_LimitsOfConnections(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		variables map[string]string
		problem   string
		warning   string
	}{
		"no room for pages": {
			map[string]string{"MAX_CONNECTIONS": "500", "LIVE_STREAM_LIMIT": "500"},
			"is 500; it must be more than LIVE_STREAM_LIMIT (500), or event streams leave no room for pages", "",
		},
		"room for pages":      {map[string]string{"MAX_CONNECTIONS": "501", "LIVE_STREAM_LIMIT": "500"}, "", ""},
		"a timeout of nobody": {map[string]string{"HTTP_READ_TIMEOUT": "0"}, "is 0s; it must be between 1s and 10m0s", ""},
		"a short idle time":   {map[string]string{"HTTP_IDLE_TIMEOUT": "60"}, "", "a proxy that uses a connection which web has just closed"},
		"a long request": {
			map[string]string{"REQUEST_TIMEOUT": "40s", "SHUTDOWN_TIMEOUT": "50s"}, "", "is 40s, and kamal-proxy waits for 30s",
		},
		"a host with a scheme":    {map[string]string{"ALLOWED_HOSTS": "https://a.example"}, "which is more than a host name", ""},
		"a wildcard in the midst": {map[string]string{"ALLOWED_HOSTS": "a.*.example"}, "* may only be the first part of a name", ""},
		"no host":                 {map[string]string{"ALLOWED_HOSTS": "a b"}, "which is not a host name", ""},
		"hosts":                   {map[string]string{"ALLOWED_HOSTS": "a.example, *.a.example, 192.0.2.7, 2001:db8::7, bücher.example"}, "", ""},
	} {
		row.variables["APP_ENV"], row.variables["DATABASE_URL"] = "test", "postgres://localhost/app"

		_, warnings, err := NewSchema(nil).Load(Web, row.variables)

		if row.problem == "" {
			require.NoError(t, err, name)
		} else {
			require.ErrorContains(t, err, row.problem, name)
		}
		if row.warning != "" {
			require.Contains(t, warnings.Error(), row.warning, name)
		}
	}
}

func TestLoad_DefaultsOfConnections(t *testing.T) {
	t.Parallel()
	variables := map[string]string{"APP_ENV": "test", "DATABASE_URL": "postgres://localhost/app", "LIVE_STREAM_LIMIT": "5000"}

	settings, _, err := NewSchema(nil).Load(Web, variables)

	require.NoError(t, err)
	require.Equal(t, 7000, settings.MaxConnections)
	require.Equal(t, 30*time.Second, time.Duration(settings.HTTPReadTimeout))
	require.GreaterOrEqual(t, time.Duration(settings.HTTPIdleTimeout), 5*time.Minute)
	require.False(t, settings.H2CEnabled)
}

func TestHosts_IsOneListForAllThatNameHosts(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		config Config
		hosts  []string
	}{
		"any":           {Config{BaseURL: "https://a.example"}, nil},
		"allowed":       {Config{BaseURL: "https://a.example:8443", AllowedHosts: Domains{"b.example"}}, []string{"b.example", "a.example"}},
		"TLS":           {Config{BaseURL: "https://a.example", TLSDomains: Domains{"a.example"}}, []string{"a.example", "a.example"}},
		"both":          {Config{TLSDomains: Domains{"a.example"}, AllowedHosts: Domains{"b.example"}}, []string{"b.example", "a.example"}},
		"no public one": {Config{AllowedHosts: Domains{"b.example"}}, []string{"b.example"}},
	} {
		require.Equal(t, row.hosts, row.config.Hosts(), name)
	}
}

func TestProxies_ArePrivateAddressesUntilOneIsTrusted(t *testing.T) {
	t.Parallel()
	has := func(config Config, address string) bool {
		for _, network := range config.Proxies() {
			if network.Contains(netip.MustParseAddr(address)) {
				return true
			}
		}
		return false
	}
	trusted := Config{ThrottleTrustedProxies: Networks{netip.MustParsePrefix("192.0.2.7/32")}}

	for _, address := range []string{"127.0.0.1", "10.1.2.3", "172.20.0.2", "192.168.1.1", "::1", "fd00::1"} {
		require.True(t, has(Config{}, address), address)
		require.False(t, has(trusted, address), address)
	}
	require.False(t, has(Config{}, "192.0.2.7"))
	require.True(t, has(trusted, "192.0.2.7"))
}
