package certificate

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestNew_CreatesAPrivateStorage(t *testing.T) {
	t.Parallel()
	storage := filepath.Join(t.TempDir(), "storage", "slipway")

	_, err := New(Options{Storage: storage})

	require.NoError(t, err)
	created, err := os.Stat(storage)
	require.NoError(t, err)
	require.Equal(t, os.ModeDir|0o700, created.Mode())
	entries, err := os.ReadDir(storage)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestNew_SaysThatItCannotWriteToItsStorage(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	_, err := New(Options{Storage: file})
	require.ErrorContains(t, err, "create the directory for certificates: mkdir "+file)

	_, err = New(Options{Storage: "/proc/self"}) // nobody can write there
	require.ErrorContains(t, err, "write to the directory for certificates: ")
}

func TestTLSConfig_ServesAStoredCertificateOverHTTP2(t *testing.T) {
	t.Parallel()
	domains, log := newDomains(t, "app.example.com")
	authority := store(t, domains, "app.example.com", time.Now().Add(90*24*time.Hour))
	server := startTLS(t, domains)
	client := clientOf(server, authority, "app.example.com")

	for range 3 {
		response, err := client.Get("https://app.example.com/")
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, "HTTP/2.0", response.Proto)
		client.CloseIdleConnections()
	}

	require.Equal(t, 1, strings.Count(log.String(), `msg="The certificate is in use" domain=app.example.com expires=`), log)
}

func TestTLSConfig_AMissingCertificateIsLoggedOnceAndTheServerGoesOn(t *testing.T) {
	t.Parallel()
	domains, log := newDomains(t, "app.example.com", "www.example.com")
	authority := store(t, domains, "www.example.com", time.Now().Add(90*24*time.Hour))
	server := startTLS(t, domains)

	for range 3 {
		require.ErrorContains(t, connect(server, "app.example.com"), "tls: internal error")
	}
	response, err := clientOf(server, authority, "www.example.com").Get("https://www.example.com/")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())

	require.Equal(t, 1, strings.Count(log.String(), "There is no certificate, so HTTPS fails for this domain"), log)
	require.Contains(t, log.String(), "domain=app.example.com error=")
}

func TestTLSConfig_OtherHostsCauseNoRequestAndNoLogLine(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	authority := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	defer authority.Close()
	log := &stacktest.Journal{}
	domains, err := New(Options{Domains: []string{"app.example.com"}, Storage: t.TempDir(), Directory: authority.URL, Log: log.Logger()})
	require.NoError(t, err)
	server := startTLS(t, domains)

	for _, host := range []string{"evil.example", "localhost", "www.app.example.com"} {
		require.Error(t, connect(server, host))
	}
	require.Error(t, connect(server, "app.example.com", "acme-tls/1"), "a challenge that was not asked for")

	require.Zero(t, requests.Load())
	require.Empty(t, log.String())
}

func TestTLSConfig_WarnsOfACertificateThatIsNotRenewed(t *testing.T) {
	t.Parallel()
	domains, log := newDomains(t, "app.example.com")
	authority := store(t, domains, "app.example.com", time.Now().Add(24*time.Hour))
	server := startTLS(t, domains)

	for range 2 {
		response, err := clientOf(server, authority, "app.example.com").Get("https://app.example.com/")
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}

	require.Equal(t, 1, strings.Count(log.String(), "The certificate is not renewed"), log)
}

func TestNotices_AreLoggedAtEachChange(t *testing.T) {
	t.Parallel()
	log := &stacktest.Journal{}
	n := newNotices(log.Logger())
	began := time.Now()
	certificate := &tls.Certificate{Leaf: &x509.Certificate{NotBefore: began, NotAfter: began.Add(90 * 24 * time.Hour)}}

	for _, row := range []struct {
		age  time.Duration
		err  error
		text string
	}{
		{0, io.EOF, "There is no certificate"}, {0, io.EOF, ""}, {0, nil, "is in use"}, {60 * 24 * time.Hour, nil, ""},
		{74 * 24 * time.Hour, nil, ""}, {76 * 24 * time.Hour, nil, "is not renewed"}, {89 * 24 * time.Hour, nil, ""},
		{0, nil, "is in use"}, {0, io.EOF, "There is no certificate"},
	} {
		n.note("app.example.com", outcome{certificate: certificate, err: row.err}, began.Add(row.age))
		line := log.Take()

		require.Contains(t, line, row.text)
		require.Equal(t, row.text == "", line == "", line)
	}
}

func TestCheck_NamesDomainsWhoseCertificateIsMissingOrNotRenewed(t *testing.T) {
	t.Parallel()
	domains, _ := newDomains(t, "app.example.com", "old.example.com", "new.example.com", "unasked.example.com")
	store(t, domains, "old.example.com", time.Now().Add(24*time.Hour))
	store(t, domains, "new.example.com", time.Now().Add(80*24*time.Hour))
	server := startTLS(t, domains)
	require.NoError(t, domains.Check(t.Context()), "no client has asked yet")

	require.Error(t, connect(server, "app.example.com"))
	_ = connect(server, "old.example.com") // its authority is not known here
	_ = connect(server, "new.example.com")

	err := domains.Check(t.Context())
	require.ErrorContains(t, err, "app.example.com has no certificate, so HTTPS fails for it: ")
	require.ErrorContains(t, err, "the certificate of old.example.com is not renewed and expires at ")
	require.Len(t, strings.Split(err.Error(), "\n"), 2, err)
}

// Private

// newDomains returns domains whose certificate authority refuses connections, and
// their log.
func newDomains(t *testing.T, names ...string) (*Domains, *stacktest.Journal) {
	t.Helper()
	log := &stacktest.Journal{}
	domains, err := New(Options{
		Domains: names, Storage: t.TempDir(), Directory: "https://" + stacktest.ClosedAddress(t) + "/directory", Log: log.Logger(),
	})
	require.NoError(t, err)
	return domains, log
}

// store puts a certificate of 90 days into the storage, and returns the authority that
// vouches for it.
func store(t *testing.T, domains *Domains, name string, expires time.Time) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: expires.Add(-90*24*time.Hour - time.Minute), NotAfter: expires,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	secret, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	content := append(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	require.NoError(t, domains.manager.Cache.Put(t.Context(), name, content))
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return pool
}

func startTLS(t *testing.T, domains *Domains) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = domains.TLSConfig()
	server.EnableHTTP2 = true
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// connect returns the error of a TLS handshake.
func connect(server *httptest.Server, name string, protocols ...string) error {
	config := &tls.Config{ServerName: name, NextProtos: protocols}
	connection, err := tls.Dial("tcp", server.Listener.Addr().String(), config)
	if err != nil {
		return err
	}
	return connection.Close()
}

// clientOf sends all requests to a server, under a name.
func clientOf(server *httptest.Server, authority *x509.CertPool, name string) *http.Client {
	config := &tls.Config{RootCAs: authority, ServerName: name}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: config, ForceAttemptHTTP2: true, DialContext: dialer(server.Listener.Addr().String()),
	}}
}

// dialer connects to one address, whatever the name.
func dialer(address string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
}
