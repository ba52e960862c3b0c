package throttle

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestCountries_RefuseByBlockedAndByAllowed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "country.mmdb")
	writeDatabase(t, file, map[string]string{"192.0.2.0/24": "DE", "198.51.100.0/24": "FR", "2001:db8::/32": "FR"})
	blocking := NewCountries(file, []string{"FR"}, nil, slog.New(slog.DiscardHandler))
	allowing := NewCountries(file, nil, []string{"DE"}, slog.New(slog.DiscardHandler))

	require.False(t, refuses(blocking, "198.51.100.1"), "before the file is read")
	require.NoError(t, blocking.Refresh(t.Context()))
	require.NoError(t, allowing.Refresh(t.Context()))

	for _, countries := range []*Countries{blocking, allowing} {
		require.False(t, refuses(countries, "192.0.2.1"))
		require.True(t, refuses(countries, "198.51.100.1"))
		require.True(t, refuses(countries, "2001:db8::1"))
		// Of no known country.
		require.False(t, refuses(countries, "203.0.113.1"))
		require.False(t, refuses(countries, "127.0.0.1"))
	}
	require.False(t, blocking.Refuses(&Request{}), "the address is unknown")
}

func TestCountries_WithoutAUsableDatabaseAllPass(t *testing.T) {
	t.Parallel()
	whole := filepath.Join(t.TempDir(), "whole.mmdb")
	writeDatabase(t, whole, map[string]string{"192.0.2.0/24": "FR"})
	content, err := os.ReadFile(whole)
	require.NoError(t, err)
	damaged := bytes.Clone(content)
	for i := range len(damaged) / 2 {
		damaged[i] = 0xff
	}

	for name, content := range map[string][]byte{
		"absent": nil, "empty": {}, "truncated": content[:len(content)/2], "one byte short": content[:len(content)-1],
		"damaged": damaged, "nonsense": bytes.Repeat([]byte("nonsense"), 1000),
	} {
		log := &stacktest.Journal{}
		file := filepath.Join(t.TempDir(), "country.mmdb")
		if content != nil {
			require.NoError(t, os.WriteFile(file, content, 0o600))
		}
		countries := NewCountries(file, []string{"FR"}, nil, slog.New(slog.NewTextHandler(log, nil)))

		for range 3 {
			require.Error(t, countries.Refresh(t.Context()), name)
		}

		require.False(t, refuses(countries, "192.0.2.1"), name)
		require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), name)
	}
}

func TestCountries_ReloadAReplacedFileAndKeepTheLastGoodOne(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "country.mmdb")
	countries := NewCountries(file, []string{"FR"}, nil, slog.New(slog.DiscardHandler))
	require.Error(t, countries.Refresh(t.Context()))

	writeDatabase(t, file, map[string]string{"192.0.2.0/24": "FR"})
	require.NoError(t, countries.Refresh(t.Context()))
	require.True(t, refuses(countries, "192.0.2.1"))

	// The same length with other content: only the time differs.
	writeDatabase(t, file, map[string]string{"192.0.3.0/24": "FR"})
	require.NoError(t, os.Chtimes(file, time.Time{}, time.Now().Add(time.Minute)))
	require.NoError(t, countries.Refresh(t.Context()))
	require.False(t, refuses(countries, "192.0.2.1"))
	require.True(t, refuses(countries, "192.0.3.1"))

	require.NoError(t, os.Truncate(file, 100))
	require.Error(t, countries.Refresh(t.Context()))
	require.True(t, refuses(countries, "192.0.3.1"))
	require.NoError(t, os.Remove(file))
	require.Error(t, countries.Refresh(t.Context()))
	require.True(t, refuses(countries, "192.0.3.1"))
}

// Private

func refuses(countries *Countries, ip string) bool {
	r := request(ip, "/")
	return countries.Refuses(newRequest(r, NewClients(nil, 64, slog.New(slog.DiscardHandler))))
}

// writeDatabase replaces file by a country database of networks.
func writeDatabase(t *testing.T, file string, countries map[string]string) {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test-Country", Description: map[string]string{"en": "for a test"},
		IncludeReservedNetworks: true})
	require.NoError(t, err)
	for network, code := range countries {
		_, parsed, err := net.ParseCIDR(network)
		require.NoError(t, err)
		require.NoError(t, tree.Insert(parsed, mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(code)}}))
	}
	var content bytes.Buffer
	_, err = tree.WriteTo(&content)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, content.Bytes(), 0o600))
}
