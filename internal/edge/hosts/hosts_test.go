package hosts

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRefuseOthers_AnswersForItsOwnHostsOnly(t *testing.T) {
	t.Parallel()
	list := New("app.example.com", "Bücher.example", "no name", "*.Tenants.example", "192.0.2.7", "2001:DB8::7")
	handler := list.RefuseOthers(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))

	for host, status := range map[string]int{
		"app.example.com": http.StatusNoContent, "APP.Example.COM": http.StatusNoContent, "app.example.com.": http.StatusNoContent,
		"app.example.com:8443": http.StatusNoContent, "app.example.com.:443": http.StatusNoContent, "app.example.com:": http.StatusNoContent,
		"bücher.example": http.StatusNoContent, "xn--bcher-kva.example": http.StatusNoContent, "BÜCHER.example:1": http.StatusNoContent,
		"a.tenants.example": http.StatusNoContent, "b.A.Tenants.example:80": http.StatusNoContent,
		"tenants.example": http.StatusMisdirectedRequest, "eviltenants.example": http.StatusMisdirectedRequest,
		"192.0.2.7:3000": http.StatusNoContent, "[2001:db8::7]:3000": http.StatusNoContent, "[2001:db8::7]": http.StatusNoContent,
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
		if status == http.StatusMisdirectedRequest {
			require.Equal(t, "no-store", answer.Header().Get("Cache-Control"))
		}
	}
}

func TestRefuseOthers_HealthChecksPassByAnyHost(t *testing.T) {
	t.Parallel()
	handler := New("app.example.com").RefuseOthers(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))

	for path, status := range map[string]int{
		"/up": http.StatusNoContent, "/health": http.StatusNoContent, "/up?a=b": http.StatusNoContent,
		"/": http.StatusMisdirectedRequest, "/up/": http.StatusMisdirectedRequest, "/%2fup": http.StatusMisdirectedRequest,
	} {
		request := httptest.NewRequest(http.MethodGet, path, nil)
		request.Host = "0123456789ab:3000"
		answer := httptest.NewRecorder()

		handler.ServeHTTP(answer, request)

		require.Equal(t, status, answer.Code, path)
	}
}
