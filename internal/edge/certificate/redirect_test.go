package certificate

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRedirect_KeepsThePathAndTheQuery(t *testing.T) {
	t.Parallel()
	domains, _ := newDomains(t, "app.example.com", "bücher.example")
	for _, row := range []struct {
		method, host, target string
		port, status         int
		location             string
	}{
		{"GET", "app.example.com", "/", 443, 301, "https://app.example.com/"},
		{"HEAD", "app.example.com:80", "/a%2Fb?x=1;y=2&&z", 443, 301, "https://app.example.com/a%2Fb?x=1;y=2&&z"},
		{"GET", "APP.example.com.", "/a?", 8443, 301, "https://app.example.com:8443/a?"},
		{"POST", "app.example.com:8080", "/cart?a=b", 8443, 308, "https://app.example.com:8443/cart?a=b"},
		{"PUT", "app.example.com", "/cart", 443, 308, "https://app.example.com/cart"},
		{"GET", "bücher.example", "/ü", 443, 301, "https://xn--bcher-kva.example/%C3%BC"},
		{"GET", "app.example.com", "//evil.example/a", 443, 301, "https://app.example.com//evil.example/a"},
		{"GET", "app.example.com", "/up/", 443, 301, "https://app.example.com/up/"},
		{"GET", "app.example.com", "/health", 443, 301, "https://app.example.com/health"},
		{"GET", "evil.example", "/", 443, 421, ""},
		{"POST", "127.0.0.1", "/health", 443, 421, ""},
		{"OPTIONS", "app.example.com", "*", 443, 400, ""},
	} {
		answer := redirected(domains, row.port, row.method, row.host, row.target)

		require.Equal(t, row.status, answer.Code, row.target)
		require.Equal(t, row.location, answer.Header().Get("Location"), row.target)
	}
}

func TestRedirect_ServesHealthChecksByAddress(t *testing.T) {
	t.Parallel()
	domains, _ := newDomains(t, "app.example.com")

	for _, host := range []string{"127.0.0.1:80", "app.example.com", ""} {
		answer := redirected(domains, 443, "GET", host, "/up?a=b")

		require.Equal(t, http.StatusOK, answer.Code)
		require.Equal(t, "page", answer.Body.String())
	}
}

func TestRedirect_AnswersChallengesOfItsOwnDomains(t *testing.T) {
	t.Parallel()
	domains, _ := newDomains(t, "app.example.com")
	const challenge = "/.well-known/acme-challenge/token"
	require.NoError(t, domains.manager.Cache.Put(t.Context(), "token+http-01", []byte("token.key")))

	answer := redirected(domains, 443, "GET", "app.example.com:5002", challenge)
	require.Equal(t, http.StatusOK, answer.Code)
	require.Equal(t, "token.key", answer.Body.String())

	require.Equal(t, http.StatusNotFound, redirected(domains, 443, "GET", "app.example.com", challenge+"s").Code)
	require.Equal(t, http.StatusMisdirectedRequest, redirected(domains, 443, "GET", "evil.example", challenge).Code)
}

// Private

// redirected is the answer of Redirect in front of a page.
func redirected(domains *Domains, port int, method, host, target string) *httptest.ResponseRecorder {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") })
	request := httptest.NewRequest(method, target, strings.NewReader(""))
	request.Host = host
	answer := httptest.NewRecorder()
	domains.Redirect(port, page).ServeHTTP(answer, request)
	return answer
}
