package certificate

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRefusals_RememberWhyADomainWasNotVerified(t *testing.T) {
	t.Parallel()
	const about = `{"status": "invalid", "identifier": {"type": "dns", "value": "app.example.com"}, "challenges": [`
	answers := make(chan [2]string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer := <-answers
		w.Header().Set("Content-Type", answer[0])
		_, _ = io.WriteString(w, answer[1])
	}))
	defer server.Close()
	r := newRefusals(nil)
	client := &http.Client{Transport: r}

	for _, row := range []struct{ kind, body, reason string }{
		{"application/json", `{"newAccount": "https://ca.example/account"}`, ""},
		{"application/json", "[]", ""},
		{"text/html", about + `{"type": "http-01", "error": {"detail": "a page"}}]}`, ""},
		{"application/json", about + `{"type": "http-01", "status": "pending"}]}`, ""},
		{"application/json; charset=utf-8", about + `{"type": "tls-alpn-01", "error": {"detail": "timeout"}}]}`, "tls-alpn-01: timeout"},
		{"application/json", about + `{"type": "http-01", "error": {"detail": "no such host"}}]}`, "http-01: no such host; tls-alpn-01: timeout"},
	} {
		answers <- [2]string{row.kind, row.body}
		response, err := client.Get(server.URL)
		require.NoError(t, err)
		content, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())

		require.Equal(t, row.body, string(content))
		require.Equal(t, row.reason, r.reason("app.example.com"))
		require.Empty(t, r.reason("www.example.com"))
	}
}
