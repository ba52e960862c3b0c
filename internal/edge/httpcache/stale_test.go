package httpcache

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// failing returns a handler that answers once and then fails in a way.
func failing(fail func(w http.ResponseWriter), fields ...string) http.HandlerFunc {
	first := true
	return func(w http.ResponseWriter, _ *http.Request) {
		if !first {
			fail(w)
			return
		}
		first = false
		setFields(w.Header(), fields)
		fmt.Fprint(w, "page")
	}
}

func status(code int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(code) }
}

func TestStale_ReplacesErrors(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(http.ResponseWriter){
		"500": status(500), "502": status(502), "503": status(503), "504": status(504),
		"panic": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"panic half way": func(w http.ResponseWriter) {
			w.Header().Set("Cache-Control", "public, max-age=60")
			fmt.Fprint(w, "half")
			panic(http.ErrAbortHandler)
		},
	} {
		s := newSite(t, Options{}, failing(fail, "Cache-Control: public, max-age=60, stale-if-error=600"))
		s.get("/")
		s.pass(61 * time.Second)

		got := s.get("/")
		s.pass(700 * time.Second)
		_, late := s.try(http.MethodGet, "/", "")

		require.Equal(t, http.StatusOK, got.status, name)
		require.Equal(t, "page", got.body, name)
		require.Equal(t, "stale", got.header.Get("X-Cache"), name)
		require.Equal(t, "61", got.header.Get("Age"), name)
		require.Contains(t, got.header.Get("Cache-Status"), "edge; fwd=stale; fwd-status=5", name)
		require.Equal(t, strings.HasPrefix(name, "panic"), late != nil, name)
	}
}

func TestStale_IsForbiddenByDirectives(t *testing.T) {
	t.Parallel()
	for control, served := range map[string]bool{
		"public, max-age=60":                                     true, // by Options.StaleIfError
		"public, max-age=60, must-revalidate":                    false,
		"public, max-age=60, proxy-revalidate":                   false,
		"s-maxage=60":                                            false,
		"s-maxage=60, stale-if-error=600":                        true,
		"public, max-age=60, stale-if-error=0":                   false,
		"public, max-age=60, must-revalidate, stale-if-error=60": false,
	} {
		s := newSite(t, Options{StaleIfError: time.Minute}, failing(status(503), "Cache-Control: "+control, `Etag: "a"`))
		s.get("/")
		s.pass(70 * time.Second)

		require.Equal(t, served, s.get("/").status == http.StatusOK, control)
		require.Equal(t, http.StatusServiceUnavailable, s.get("/", "Cache-Control: no-cache").status, control)
	}
}

func TestStale_OtherStatusesAreNoErrors(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, failing(status(404), "Cache-Control: public, max-age=60, stale-if-error=600"))
	s.get("/")
	s.pass(61 * time.Second)

	require.Equal(t, http.StatusNotFound, s.get("/").status)
}

func TestStale_WhileAHandlerFailsOneRequestInASecondAsksIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, failing(status(503), "Cache-Control: public, max-age=60, stale-if-error=600"))
	s.get("/")
	s.pass(61 * time.Second)

	for range 5 {
		require.Equal(t, "stale", s.get("/").header.Get("X-Cache"))
	}
	require.Equal(t, 2, s.calls())
	s.pass(retryFailedAfter)
	require.Equal(t, "stale", s.get("/").header.Get("X-Cache"))
	require.Equal(t, 3, s.calls())
}

func TestStale_WhileRevalidateIsForbiddenByMustRevalidate(t *testing.T) {
	t.Parallel()
	for control, result := range map[string]string{
		"public, max-age=60, stale-while-revalidate=30":                  "stale",
		"s-maxage=60, stale-while-revalidate=30":                         "stale",
		"public, max-age=60, stale-while-revalidate=30, must-revalidate": "miss",
		"public, max-age=60, stale-while-revalidate=1":                   "miss",
		"public, max-age=60":                                             "miss",
	} {
		s := newSite(t, Options{}, says("Cache-Control: "+control))
		s.get("/")
		s.pass(65 * time.Second)

		require.Equal(t, result, s.get("/").header.Get("X-Cache"), control)
	}
}
