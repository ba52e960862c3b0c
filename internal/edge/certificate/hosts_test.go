package certificate

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRefuseOthers_AnswersForItsOwnDomainsOnly(t *testing.T) {
	t.Parallel()
	domains, _ := newDomains(t, "app.example.com", "Bücher.example", "no name")
	handler := domains.RefuseOthers(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))

	for host, status := range map[string]int{
		"app.example.com": http.StatusNoContent, "APP.Example.COM": http.StatusNoContent, "app.example.com.": http.StatusNoContent,
		"app.example.com:8443": http.StatusNoContent, "app.example.com.:443": http.StatusNoContent, "app.example.com:": http.StatusNoContent,
		"bücher.example": http.StatusNoContent, "xn--bcher-kva.example": http.StatusNoContent, "BÜCHER.example:1": http.StatusNoContent,
		"www.app.example.com": http.StatusMisdirectedRequest, "example.com": http.StatusMisdirectedRequest,
		"app.example.com.evil.example": http.StatusMisdirectedRequest, "127.0.0.1": http.StatusMisdirectedRequest,
		"[::1]:443": http.StatusMisdirectedRequest, "": http.StatusMisdirectedRequest, ".": http.StatusMisdirectedRequest,
		"app.example.com..": http.StatusMisdirectedRequest, "app_example.com": http.StatusMisdirectedRequest,
		"app.example.com:443:443": http.StatusMisdirectedRequest, "\x00": http.StatusMisdirectedRequest,
	} {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.Host = host
		answer := httptest.NewRecorder()

		handler.ServeHTTP(answer, request)

		require.Equal(t, status, answer.Code, "%q", host)
	}
}
