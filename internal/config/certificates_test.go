package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCertificates_ReadsAllSettings(t *testing.T) {
	t.Parallel()

	config, warnings, err := runtime.Load(Web, withTLS(map[string]string{
		"TLS_DOMAIN": " App.example.com., ,bücher.example", "BASE_URL": "https://app.example.com:8443", "HTTPS_PORT": "8443",
		"EAB_KID": "kid-1", "EAB_HMAC_KEY": "_-8=",
	}))

	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, Domains{"App.example.com.", "bücher.example"}, config.TLSDomains)
	require.Equal(t, Key{0xff, 0xef}, config.EABKey)
	require.Equal(t, 8443, config.PublicHTTPSPort())
	require.Equal(t, 80, config.HTTPPort)
	require.Equal(t, "https://acme-v02.api.letsencrypt.org/directory", config.ACMEDirectory)
	require.Equal(t, "********", runtime.shown(runtime.named("EAB_HMAC_KEY"), config))
}

func TestCertificates_AreOffWithoutADomain(t *testing.T) {
	t.Parallel()

	config, warnings, err := runtime.Load(Web, development())

	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Empty(t, config.TLSDomains)
	require.Empty(t, runtime.shown(runtime.named("EAB_HMAC_KEY"), config))
}

func TestCertificates_SayWhatIsWrong(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	for _, row := range []struct{ name, value, text string }{
		{"TLS_DOMAIN", "app.example.com,*.example.com", "names *.example.com, and certificates for wildcards need changes in the DNS"},
		{"TLS_DOMAIN", "app.example.com,192.0.2.1", "names 192.0.2.1, which is an address"},
		{"TLS_DOMAIN", "app.example.com,::1", "names ::1, which is an address"},
		{"TLS_DOMAIN", "https://app.example.com", "names https://app.example.com, which is more than a host name"},
		{"TLS_DOMAIN", "app.example.com:443", "names app.example.com:443, which is more than a host name"},
		{"TLS_DOMAIN", "app.example.com,a_b.example", "names a_b.example, which is not a host name"},
		{"TLS_DOMAIN", "app.example.com www.example.com", "names app.example.com www.example.com, which is not a host name"},
		{"TLS_DOMAIN", "app.example.com," + strings.Repeat("long.", 51) + "example", "which is not a host name"},
		{"TLS_DOMAIN", "app.example.com,localhost", "names localhost, and certificates are for names with a dot only"},
		{"BASE_URL", "http://app.example.com", "begins with http://, and TLS_DOMAIN is set; write https://"},
		{"BASE_URL", "https://www.example.com", "has the host www.example.com, which is not in TLS_DOMAIN"},
		{"EAB_KID", "kid-1", "EAB_HMAC_KEY is missing, and EAB_KID is set"},
		{"EAB_HMAC_KEY", "c2VjcmV0", "EAB_KID is missing, and EAB_HMAC_KEY is set"},
		{"ACME_DIRECTORY", "http://ca.example.com", "is not an address that begins with https://"},
		{"HTTP_PORT", "443", "HTTPS_PORT is the same as HTTP_PORT"},
		{"HTTP_PORT", "9090", "OPS_PORT is the same as HTTP_PORT; /metrics must not be public"},
		{"OPS_PORT", "443", "OPS_PORT is the same as HTTPS_PORT; /metrics must not be public"},
		{"HTTPS_PORT", "0", "is 0; it must be between 1 and 65535"},
		{"STORAGE_PATH", file, "is not a directory"},
		{"STORAGE_PATH", file + "/certificates", "is a directory that cannot be used"},
	} {
		_, _, err := runtime.Load(Web, withTLS(map[string]string{row.name: row.value}))

		require.Len(t, names(t, err), 1, "%s=%s: %v", row.name, row.value, err)
		require.ErrorContains(t, err, row.text, "%s=%s", row.name, row.value)
	}
}

func TestCertificates_ReportAllProblemsAtOnce(t *testing.T) {
	t.Parallel()

	_, _, err := runtime.Load(Web, withTLS(map[string]string{
		"TLS_DOMAIN": "*.example.com", "BASE_URL": "http://app.example.com", "EAB_KID": "kid-1", "EAB_HMAC_KEY": "not/base64url",
		"STORAGE_PATH": "/dev/null", "HTTPS_PORT": "http",
	}))

	require.Equal(t, []string{"BASE_URL", "EAB_HMAC_KEY", "HTTPS_PORT", "STORAGE_PATH", "TLS_DOMAIN"}, names(t, err))
	require.ErrorContains(t, err, "EAB_HMAC_KEY its value is not a key in base64url")
}

func TestCertificates_WarnOfAPortThatMustBeForwarded(t *testing.T) {
	t.Parallel()

	config, warnings, err := runtime.Load(Web, withTLS(map[string]string{"HTTPS_PORT": "8443"}))

	require.NoError(t, err)
	require.Equal(t, 443, config.PublicHTTPSPort())
	require.ErrorContains(t, warnings, "HTTPS_PORT is 8443, and visitors use port 443 of BASE_URL; something must forward that port")
}

func TestMisspelt_KnowsTheVariablesOfProxies(t *testing.T) {
	t.Parallel()
	variables := development()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		variables[name] = "x"
	}

	_, warnings, err := runtime.Load(Web, variables)

	require.NoError(t, err)
	require.Empty(t, warnings)
}

// Private

// withTLS are good settings of web with a domain, and changes of them.
func withTLS(changes map[string]string) map[string]string {
	variables := production()
	variables["TLS_DOMAIN"] = "app.example.com"
	for name, value := range changes {
		variables[name] = value
	}
	return variables
}
