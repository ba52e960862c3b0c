package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestWebTLS_GetsACertificateAndRedirects(t *testing.T) {
	t.Parallel()
	site := newTLSSite(t)
	site.authority = startAuthority(t, site.httpPort, site.httpsPort, nil)
	web := site.start()
	pages, plain := site.named(t, site.httpsPort), site.named(t, site.httpPort)

	response := site.await(t, pages, "https://app.example.com/thanks")
	require.Equal(t, http.StatusOK, response.code)
	require.Equal(t, "HTTP/2.0", response.proto)
	require.Equal(t, "max-age=31536000", response.header.Get("Strict-Transport-Security"))
	require.Equal(t, []string{"app.example.com"}, response.names)

	response = site.await(t, pages, "https://xn--bcher-kva.example/thanks")
	require.Equal(t, []string{"xn--bcher-kva.example"}, response.names)
	foreign, err := http.NewRequest(http.MethodGet, "https://app.example.com/thanks", nil)
	require.NoError(t, err)
	foreign.Host = "evil.example"
	require.Equal(t, http.StatusMisdirectedRequest, send(t, pages, foreign).code)
	require.ErrorContains(t, fails(pages, "https://evil.example/"), "tls: internal error")

	response = get(t, plain, "http://app.example.com/thanks?a=b")
	require.Equal(t, http.StatusMovedPermanently, response.code)
	require.Equal(t, site.baseURL+"/thanks?a=b", response.header.Get("Location"))
	require.Equal(t, http.StatusOK, get(t, plain, "http://127.0.0.1/up").code)
	require.Equal(t, http.StatusMisdirectedRequest, get(t, plain, "http://127.0.0.1/").code)
	require.Zero(t, status(web.url+"/up"), "PORT is not used")

	stored, err := os.Stat(filepath.Join(site.storage, "app.example.com"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), stored.Mode())
	require.Equal(t, 2, strings.Count(web.output.String(), "The certificate is in use"))
	web.stop()

	// A certificate outlives the process and its authority.
	issued := strings.Count(site.output.String(), "Issued certificate")
	again := site.start()
	require.Equal(t, http.StatusOK, get(t, site.named(t, site.httpsPort), "https://app.example.com/thanks").code)
	require.Equal(t, issued, strings.Count(site.output.String(), "Issued certificate"))
	again.stop()
}

func TestWebTLS_FinishesRequestsInProgress(t *testing.T) {
	t.Parallel()
	site := newTLSSite(t)
	site.authority = startAuthority(t, site.httpPort, site.httpsPort, nil)
	web := site.start("SLOW_WORK=3s")
	pages := site.named(t, site.httpsPort)
	require.Equal(t, http.StatusOK, site.await(t, pages, "https://app.example.com/thanks").code)
	finished := make(chan int, 1)
	go func() {
		response, err := pages.Get("https://app.example.com/slow")
		if err != nil {
			finished <- 0
			return
		}
		_ = response.Body.Close()
		finished <- response.StatusCode
	}()
	web.eventually(func() bool { return strings.Contains(metricsOf(t, web), `app_http_requests_in_flight 1`) }, "works on the slow request")

	took := web.stop()

	require.Equal(t, http.StatusOK, <-finished)
	require.Less(t, took, 8*time.Second)
}

func TestWebTLS_BindsAnExternalAccountAndGoesOnWithoutACertificate(t *testing.T) {
	t.Parallel()
	key := []byte("a key that the certificate authority has given")
	site := newTLSSite(t)
	site.authority = startAuthority(t, site.httpPort, site.httpsPort, map[string][]byte{"kid-1": key})

	// Without the account, there is no certificate, and everything else goes on.
	web := site.start()
	pages := site.named(t, site.httpsPort)
	for range 3 {
		require.ErrorContains(t, fails(pages, "https://app.example.com/thanks"), "tls: internal error")
	}
	require.Equal(t, http.StatusOK, get(t, site.named(t, site.httpPort), "http://app.example.com/up").code)
	require.Equal(t, http.StatusOK, status(web.ops+"/up"))
	require.Equal(t, 1, strings.Count(web.output.String(), "There is no certificate, so HTTPS fails for this domain"), web.output)
	require.Contains(t, web.output.String(), "externalAccountRequired")
	web.stop()

	site.start("EAB_KID=kid-1", "EAB_HMAC_KEY="+base64.RawURLEncoding.EncodeToString(key))
	require.Equal(t, http.StatusOK, site.await(t, pages, "https://app.example.com/thanks").code)
}

func TestWebTLS_ProvesADomainByHTTP(t *testing.T) {
	t.Parallel()
	site := newTLSSite(t)
	site.authority = startAuthority(t, site.httpPort, stacktest.Port(t), nil) // it cannot reach HTTPS

	web := site.start()

	require.Equal(t, http.StatusOK, site.await(t, site.named(t, site.httpsPort), "https://app.example.com/thanks").code)
	require.NotContains(t, web.output.String(), "There is no certificate")
}

func TestWebTLS_SaysWhyADomainIsNotVerified(t *testing.T) {
	t.Parallel()
	site := newTLSSite(t)
	site.authority = startAuthority(t, stacktest.Port(t), stacktest.Port(t), nil) // nothing listens on these ports

	web := site.start()

	require.Error(t, fails(site.named(t, site.httpsPort), "https://app.example.com/thanks"))
	web.eventually(func() bool { return contains(web, "There is no certificate") }, "says that there is no certificate")
	require.Regexp(t, `reason="http-01: .+connection refused; tls-alpn-01: Failed to connect`, web.output.String())
}

func TestWebTLS_SaysThatItsStorageIsUnusable(t *testing.T) {
	t.Parallel()
	d := deploy(t)

	web := d.launch([]string{"TLS_DOMAIN=app.example.com", "BASE_URL=https://app.example.com", "STORAGE_PATH=/proc/self/slipway"}, "web")
	<-web.done

	require.Equal(t, exitUsage, web.cmd.ProcessState.ExitCode())
	require.Contains(t, web.output.String(), "web cannot start: STORAGE_PATH: create the directory for certificates: mkdir /proc/self/slipway")
}

// Private

// tlsSite is a deployment of web with two domains, and its certificate authority.
type tlsSite struct {
	*authority
	deployment *deployment
	storage    string
	baseURL    string
	httpPort   int
	httpsPort  int
}

// newTLSSite prepares a site that has no authority yet.
func newTLSSite(t *testing.T) *tlsSite {
	t.Helper()
	site := &tlsSite{
		deployment: deploy(t), storage: filepath.Join(t.TempDir(), "storage"), httpPort: stacktest.Port(t), httpsPort: stacktest.Port(t),
	}
	site.baseURL = fmt.Sprintf("https://app.example.com:%d", site.httpsPort)
	return site
}

// start starts web, and waits until it serves.
func (s *tlsSite) start(more ...string) *appProcess {
	web := s.deployment.start("web", append([]string{
		"TLS_DOMAIN=app.example.com,bücher.example", "BASE_URL=" + s.baseURL, "STORAGE_PATH=" + s.storage,
		fmt.Sprintf("HTTP_PORT=%d", s.httpPort), fmt.Sprintf("HTTPS_PORT=%d", s.httpsPort),
		"ACME_DIRECTORY=" + s.directory, "SSL_CERT_FILE=" + s.certificate,
	}, more...)...)
	web.eventually(func() bool { return status(fmt.Sprintf("http://127.0.0.1:%d/up", s.httpPort)) == http.StatusOK }, "serves")
	return web
}

// reply is what a test looks at in a response.
type reply struct {
	code   int
	proto  string
	header http.Header
	names  []string // of the certificate
}

// await returns the first reply. On a busy machine, the certificate may take longer
// than a TLS handshake may.
func (s *tlsSite) await(t *testing.T, client *http.Client, address string) reply {
	t.Helper()
	stacktest.Eventually(t, func() bool {
		response, err := client.Get(address)
		return err == nil && response.Body.Close() == nil
	}, "%s never answers:\n%s", address, s.output)
	return get(t, client, address)
}

func get(t *testing.T, client *http.Client, address string) reply {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, address, nil)
	require.NoError(t, err)
	return send(t, client, request)
}

func send(t *testing.T, client *http.Client, request *http.Request) reply {
	t.Helper()
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	r := reply{code: response.StatusCode, proto: response.Proto, header: response.Header}
	if response.TLS != nil {
		r.names = response.TLS.PeerCertificates[0].DNSNames
	}
	return r
}

// fails returns the error of a request.
func fails(client *http.Client, address string) error {
	response, err := client.Get(address)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
