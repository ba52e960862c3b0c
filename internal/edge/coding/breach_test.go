package coding

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNever_SendsTheResponseAsItIs(t *testing.T) {
	t.Parallel()
	site := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		Never(w)
		says(page, "Content-Type: text/html")(w, r)
	})

	for _, method := range []string{http.MethodGet, http.MethodHead} {
		for _, accept := range []string{"gzip", "zstd", "identity"} {
			got := site.send(t, site.request(t, method, "/", "Accept-Encoding: "+accept))

			require.Empty(t, got.header.Get("Content-Encoding"))
			require.NotContains(t, got.header, neverHeader)
		}
	}
	require.Equal(t, page, string(site.get(t).raw))
}

func TestNever_LeavesNoTraceOnResponsesOfAnyKind(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]http.HandlerFunc{
		"no body":    func(w http.ResponseWriter, _ *http.Request) { Never(w) },
		"no content": func(w http.ResponseWriter, _ *http.Request) { Never(w); w.WriteHeader(http.StatusNoContent) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) { Never(w); http.Redirect(w, r, "/b", http.StatusSeeOther) },
		"a flush":    func(w http.ResponseWriter, _ *http.Request) { Never(w); w.(http.Flusher).Flush() },
		"an error":   func(w http.ResponseWriter, _ *http.Request) { Never(w); http.Error(w, page, http.StatusBadRequest) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := newSite(t, Options{}, next).get(t)

			require.NotContains(t, got.header, neverHeader)
			require.Empty(t, got.header.Get("Content-Encoding"))
		})
	}
}

func TestHandler_DoesNotCompressWhatAnotherSiteMayHaveForced(t *testing.T) {
	t.Parallel()
	const otherSite = "Sec-Fetch-Site: cross-site"
	private, public := "Cache-Control: private, no-cache", "Cache-Control: public, max-age=60"
	for name, row := range map[string]struct {
		response   string
		request    []string
		path       string
		compressed bool
	}{
		"a visitor without cookies":        {private, []string{otherSite}, "/?q=a", true},
		"a click on the own site":          {private, []string{"Cookie: a=b", "Sec-Fetch-Site: same-origin"}, "/?q=a", true},
		"a typed address":                  {private, []string{"Cookie: a=b", "Sec-Fetch-Site: none"}, "/?q=a", true},
		"a link of another site":           {private, []string{"Cookie: a=b", otherSite}, "/", false},
		"a link of a subdomain":            {private, []string{"Cookie: a=b", "Sec-Fetch-Site: same-site"}, "/", false},
		"an unknown initiator":             {private, []string{"Cookie: a=b", "Sec-Fetch-Site: alien"}, "/", false},
		"a public page":                    {public, []string{"Cookie: a=b", otherSite}, "/?q=a", true},
		"a page of a shared cache":         {"Cache-Control: s-maxage=9", []string{"Cookie: a=b", otherSite}, "/", true},
		"public and private":               {"Cache-Control: public, private", []string{"Cookie: a=b", otherSite}, "/", false},
		"public and no-store":              {"Cache-Control: public, No-Store", []string{"Cookie: a=b", otherSite}, "/", false},
		"an old browser":                   {private, []string{"Cookie: a=b"}, "/", true},
		"an old browser with a query":      {private, []string{"Cookie: a=b"}, "/?q=a", false},
		"stored credentials":               {private, []string{"Authorization: Basic YQ=="}, "/?q=a", false},
		"stored credentials, another site": {private, []string{"Authorization: Digest a", otherSite}, "/", false},
		"a program with a token":           {private, []string{"Authorization: bearer a"}, "/?q=a", true},
		"no Cache-Control":                 {"X-A: b", []string{"Cookie: a=b", otherSite}, "/", false},
		"a response that sets a cookie":    {"Set-Cookie: a=b", nil, "/", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site := newSite(t, Options{}, says(page, "Content-Type: text/html", row.response))

			got := site.send(t, site.request(t, http.MethodGet, row.path, row.request...))

			require.Equal(t, row.compressed, got.header.Get("Content-Encoding") == "zstd")
			require.Equal(t, "Accept-Encoding", got.header.Get("Vary"))
			require.Equal(t, page, got.body)
		})
	}
}

func TestHandler_AFormFromAnUnknownSiteIsNotCompressed(t *testing.T) {
	t.Parallel()
	site := newSite(t, Options{}, says(page, "Content-Type: text/html"))
	request := site.request(t, http.MethodPost, "/", "Cookie: a=b")
	require.NotEmpty(t, site.send(t, request).header.Get("Content-Encoding"))

	withBody, err := http.NewRequestWithContext(t.Context(), http.MethodPost, site.url, strings.NewReader("q=a"))
	require.NoError(t, err)
	withBody.Header = request.Header

	require.Empty(t, site.send(t, withBody).header.Get("Content-Encoding"))
}

func TestHandler_JitterHidesTheExactLength(t *testing.T) {
	t.Parallel()
	body := says(page, "Content-Type: text/html")
	exact, jittered := newSite(t, Options{}, body), newSite(t, Options{Jitter: 32}, body)
	for accept, overhead := range map[string]int{"gzip": 1, "zstd": 8} { // the comment ends with a zero, the frame has a header
		lengths := map[int]bool{}
		shortest := len(exact.get(t, "Accept-Encoding: "+accept).raw)
		for range 40 {
			require.Len(t, exact.get(t, "Accept-Encoding: "+accept).raw, shortest)
			got := jittered.get(t, "Accept-Encoding: "+accept)
			require.Equal(t, page, got.body)
			lengths[len(got.raw)-shortest-overhead] = true
		}

		require.Greater(t, len(lengths), 5)
		for length := range lengths {
			require.GreaterOrEqual(t, length, 1)
			require.LessOrEqual(t, length, 32)
		}
	}
}
