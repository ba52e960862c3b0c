package coding

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHandler_EachCodingHasItsETag(t *testing.T) {
	t.Parallel()
	site := newSite(t, Options{}, says(page, "Content-Type: text/html", `Etag: "x"`))
	for accept, tag := range map[string]string{"gzip": `W/"x-gzip"`, "zstd": `W/"x-zstd"`, "identity": `"x"`} {
		require.Equal(t, tag, site.get(t, "Accept-Encoding: "+accept).header.Get("Etag"))
	}
	weak := newSite(t, Options{}, says(page, "Content-Type: text/html", `Etag: W/"x"`))
	require.Equal(t, `W/"x"`, weak.get(t).header.Get("Etag"))
	wrong := newSite(t, Options{}, says(page, "Content-Type: text/html", `Etag: x`))
	require.Equal(t, `x`, wrong.get(t).header.Get("Etag"))
}

func TestHandler_DoesNotSendAKnownBodyAgain(t *testing.T) {
	t.Parallel()
	site := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Etag", `"x"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(page))
	})
	for _, row := range []struct {
		accept, known string
		status        int
		tag           string
	}{
		{"zstd, gzip", `W/"x-zstd"`, http.StatusNotModified, `W/"x-zstd"`},
		{"zstd, gzip", `"x-zstd"`, http.StatusNotModified, `"x-zstd"`},
		{"zstd, gzip", `"x-gzip"`, http.StatusNotModified, `"x-gzip"`},
		{"zstd, gzip", `"other", W/"a,b-gzip", W/"x-gzip"`, http.StatusNotModified, `W/"x-gzip"`},
		{"zstd, gzip", `"x"`, http.StatusNotModified, `"x"`},
		{"zstd, gzip", `W/"x"`, http.StatusNotModified, `"x"`},
		{"zstd, gzip", `*`, http.StatusNotModified, `"x"`},
		{"gzip", `W/"x-gzip"`, http.StatusNotModified, `W/"x-gzip"`},
		{"gzip", `W/"x-zstd"`, http.StatusOK, `W/"x-gzip"`},
		{"gzip", `"x-br"`, http.StatusOK, `W/"x-gzip"`},
		{"br, gzip", `"x-br"`, http.StatusNotModified, `"x-br"`},
		{"identity", `W/"x-gzip"`, http.StatusOK, `"x"`},
		{"gzip", `W/"y-gzip"`, http.StatusOK, `W/"x-gzip"`},
		{"gzip", `x-gzip"`, http.StatusOK, `W/"x-gzip"`},
		{"gzip", `w/"x-gzip"`, http.StatusOK, `W/"x-gzip"`},
		{"gzip", `"x-gzip`, http.StatusOK, `W/"x-gzip"`},
	} {
		got := site.get(t, "Accept-Encoding: "+row.accept, "If-None-Match: "+row.known)

		require.Equal(t, row.status, got.status, "%s of %s", row.known, row.accept)
		require.Equal(t, row.tag, got.header.Get("Etag"), "%s of %s", row.known, row.accept)
		require.Equal(t, "Accept-Encoding", got.header.Get("Vary"))
	}
}

func TestHandler_ReadsAllLinesOfIfNoneMatch(t *testing.T) {
	t.Parallel()
	site := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["X-Seen"] = r.Header["If-None-Match"]
	})

	got := site.get(t, `If-None-Match: "a-gzip", "b"`, `If-None-Match: W/"c-zstd"`)

	require.Equal(t, []string{`"c", "a", "a-gzip", "b"`, `W/"c-zstd"`}, got.header["X-Seen"])
}

func TestHandler_AChangeMayNameTheETagOfACoding(t *testing.T) {
	t.Parallel()
	site := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"x"`)
		http.ServeContent(w, r, "page.html", time.Time{}, strings.NewReader(page))
	})
	tag := site.get(t).header.Get("Etag")

	require.Equal(t, http.StatusOK, site.get(t, "If-Match: "+tag).status)
	require.Equal(t, http.StatusOK, site.get(t, "If-Match: "+tag, "Accept-Encoding: identity").status)
	require.Equal(t, http.StatusPreconditionFailed, site.get(t, `If-Match: W/"y-zstd"`).status)
	require.Equal(t, http.StatusPreconditionFailed, site.get(t, `If-Match: W/"x"`).status)
}

func TestStoredTag(t *testing.T) {
	t.Parallel()
	require.Equal(t, `"x-br"`, StoredTag(`"x"`, Brotli))
	require.Equal(t, `"x"`, StoredTag(`"x"`, Identity))
	require.Equal(t, `W/"x"`, StoredTag(`W/"x"`, Gzip))
	require.Empty(t, StoredTag("", Gzip))
}

func FuzzAliases(f *testing.F) {
	f.Add(`"x-gzip", W/"y-br" ,, "a,b-zstd"`)
	f.Add(`W/"-gzip", "`)
	f.Fuzz(func(t *testing.T, list string) {
		for _, one := range aliases([]string{list}, func(Coding) bool { return true }) {
			require.Contains(t, list, one.own)
			require.True(t, isStrong(one.base))
			opaque := strings.TrimPrefix(one.own, "W/")
			require.True(t, StoredTag(one.base, Gzip) == opaque || StoredTag(one.base, Zstd) == opaque || StoredTag(one.base, Brotli) == opaque)
		}
	})
}
