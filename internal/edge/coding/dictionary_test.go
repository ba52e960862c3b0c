package coding

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// shared is the beginning of page, so that it is a dictionary for it.
var shared = NewDictionary([]byte(page[:8000]))

var holds = []string{"Accept-Encoding: gzip, zstd, dcz", "Available-Dictionary: " + shared.available}

func TestDictionary_CompressesThePagesOfClientsThatHaveIt(t *testing.T) {
	t.Parallel()
	site := newDictionarySite(t, Options{}, says(page, "Content-Type: text/html; charset=utf-8", `Etag: "x"`))

	first := site.get(t, "Sec-Fetch-Dest: document")
	require.Equal(t, "zstd", first.header.Get("Content-Encoding"))
	require.Equal(t, `</assets/pages.dict>; rel="compression-dictionary"`, first.header.Get("Link"))
	require.Equal(t, "Accept-Encoding, Available-Dictionary", first.header.Get("Vary"))

	second := site.get(t, holds...)
	require.Equal(t, "dcz", second.header.Get("Content-Encoding"))
	require.Equal(t, "Accept-Encoding, Available-Dictionary", second.header.Get("Vary"))
	require.Equal(t, `W/"x-dcz"`, second.header.Get("Etag"))
	require.Empty(t, second.header.Get("Link"), "the client has it")
	require.Empty(t, second.header.Get("Content-Length"))
	require.Equal(t, page, decodeBy(t, shared, second.raw))
	require.Less(t, len(second.raw), len(first.raw))
	require.Equal(t, uint64(2), site.handler.Stats().Compressed)
}

// The format of RFC 9842, section 5, and a frame that names no dictionary: browsers know
// it by its SHA-256 alone.
func TestDictionary_SaysWhichItIs(t *testing.T) {
	t.Parallel()
	site := newDictionarySite(t, Options{}, says(page, "Content-Type: text/html"))
	stored, smaller := shared.Encode(Best, []byte(page))
	require.True(t, smaller)

	sum := sha256.Sum256(shared.content)
	for _, raw := range [][]byte{site.get(t, holds...).raw, stored} {
		require.Equal(t, []byte{0x5e, 0x2a, 0x4d, 0x18, 0x20, 0, 0, 0}, raw[:8])
		require.Equal(t, sum[:], raw[8:40])
		var frame zstd.Header
		require.NoError(t, frame.Decode(raw[40:]))
		require.Zero(t, frame.DictionaryID)
		require.Equal(t, page, decodeBy(t, shared, raw))
	}
}

func TestDictionary_IsUsedOnlyWhereItMayBe(t *testing.T) {
	t.Parallel()
	const html = "Content-Type: text/html"
	other := NewDictionary([]byte("another one"))
	nameless := "Available-Dictionary: " + strings.Trim(shared.available, ":")
	for name, row := range map[string]struct {
		response []string
		request  []string
		coding   string
		varies   bool
	}{
		"has it":                  {[]string{html}, holds, "dcz", true},
		"has another one":         {[]string{html}, []string{holds[0], "Available-Dictionary: " + other.available}, "zstd", true},
		"has it without the name": {[]string{html}, []string{holds[0], nameless}, "zstd", true},
		"two of them":             {[]string{html}, append([]string{"Available-Dictionary: " + other.available}, holds...), "zstd", true},
		"cannot read dcz":         {[]string{html}, []string{"Accept-Encoding: zstd", holds[1]}, "zstd", true},
		"does not want dcz":       {[]string{html}, []string{"Accept-Encoding: zstd, dcz;q=0", holds[1]}, "zstd", true},
		"prefers gzip":            {[]string{html}, []string{"Accept-Encoding: gzip, dcz;q=0.5", holds[1]}, "gzip", true},
		"reads dcz alone":         {[]string{html}, []string{"Accept-Encoding: dcz", holds[1]}, "dcz", true},
		"no page":                 {[]string{"Content-Type: application/json"}, holds, "zstd", false},
		"no type":                 {nil, holds, "dcz", true},
		"no-transform":            {[]string{html, "Cache-Control: no-transform"}, holds, "", false},
		"a range":                 {[]string{html}, append([]string{"Range: bytes=0-9"}, holds...), "", true},
	} {
		got := newDictionarySite(t, Options{}, says(page, row.response...)).get(t, row.request...)

		require.Equal(t, row.coding, got.header.Get("Content-Encoding"), name)
		require.Equal(t, row.varies, strings.Contains(got.header.Get("Vary"), "Available-Dictionary"), name)
	}
}

func TestDictionary_IsOfferedOverHTTPSAndOnThisMachineOnly(t *testing.T) {
	t.Parallel()
	site := newDictionarySite(t, Options{}, says(page, "Content-Type: text/html"))

	for host, offered := range map[string]bool{
		"localhost": true, "localhost:3000": true, "www.localhost:3000": true, "127.0.0.1:3000": true, "127.8.8.8": true, "[::1]:3000": true,
		"[::1]": true, "shop.example.com": false, "localhost.example.com": false, "notlocalhost": false, "192.168.0.1:3000": false,
	} {
		for _, proxied := range []bool{false, true} {
			request := site.request(t, http.MethodGet, "/", append([]string{"Sec-Fetch-Dest: document"}, holds...)...)
			request.Host = host
			if proxied {
				request.Header.Set("X-Forwarded-Proto", "https")
			}
			got := site.send(t, request)
			require.Equal(t, offered || proxied, got.header.Get("Content-Encoding") == "dcz", host)

			request.Header.Del("Available-Dictionary")
			got = site.send(t, request)
			require.Equal(t, offered || proxied, got.header.Get("Link") != "", host)
			require.Equal(t, offered || proxied, strings.Contains(got.header.Get("Vary"), "Available-Dictionary"), host)
		}
	}
}

func TestDictionary_IsOfferedWithPagesThatABrowserShows(t *testing.T) {
	t.Parallel()
	site := newDictionarySite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>; rel=next")
		w.Header().Set("Content-Type", r.Header.Get("X-Type"))
		if r.Header.Get("X-Fails") != "" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, page)
	})
	const document, html = "Sec-Fetch-Dest: document", "X-Type: text/html"

	require.Len(t, site.get(t, document, html).header["Link"], 2, "beside that of the page")
	for _, fields := range [][]string{
		{html}, {html, "Sec-Fetch-Dest: empty"}, {document, "X-Type: text/plain"}, {document, html, "X-Fails: 1"},
	} {
		require.Equal(t, []string{"</a>; rel=next"}, site.get(t, fields...).header["Link"])
	}
}

func TestDictionary_HeadAndConditionsAreThoseOfItsPages(t *testing.T) {
	t.Parallel()
	site := newDictionarySite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"x"`)
		if strings.Contains(r.Header.Get("If-None-Match"), `"x"`) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		says(page, "Content-Type: text/html")(w, r)
	})

	get, head := site.get(t, holds...), site.send(t, site.request(t, http.MethodHead, "/", holds...))
	get.header.Del("Date")
	head.header.Del("Date")
	require.Equal(t, get.header, head.header)
	known := site.get(t, append([]string{`If-None-Match: W/"x-dcz"`}, holds...)...)
	require.Equal(t, http.StatusNotModified, known.status)
	require.Equal(t, `W/"x-dcz"`, known.header.Get("Etag"))
	require.Equal(t, "Accept-Encoding, Available-Dictionary", known.header.Get("Vary"))
	require.Equal(t, http.StatusOK, site.get(t, `If-None-Match: W/"x-dcz"`).status, "another client of a cache in front")
}

func TestDictionary_CompressesNothingThatTellsASecret(t *testing.T) {
	t.Parallel()
	never := newDictionarySite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		Never(w)
		says(page, "Content-Type: text/html")(w, r)
	})
	got := never.get(t, holds...)
	require.Empty(t, got.header.Get("Content-Encoding"))
	require.Empty(t, got.header.Get("Vary"))

	private := newDictionarySite(t, Options{}, says(page, "Content-Type: text/html"))
	for _, accept := range []string{holds[0], "Accept-Encoding: dcz"} {
		got = private.get(t, accept, holds[1], "Cookie: a=b", "Sec-Fetch-Site: cross-site")
		require.Empty(t, got.header.Get("Content-Encoding"))
		require.Equal(t, page, string(got.raw))
	}

	hidden := newDictionarySite(t, Options{Jitter: 32}, says(page, "Content-Type: text/html"))
	lengths := map[int]bool{}
	for range 20 {
		got := hidden.get(t, holds...)
		require.Equal(t, page, decodeBy(t, shared, got.raw))
		lengths[len(got.raw)] = true
	}
	require.Greater(t, len(lengths), 1)
}

func TestDictionary_AFlushSendsWhatWasWritten(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	site := newDictionarySite(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, page[:5000])
		_ = http.NewResponseController(w).Flush()
		<-next
		_, _ = io.WriteString(w, page[5000:])
	})

	response := site.open(t, site.request(t, http.MethodGet, "/", holds...))
	defer response.Body.Close()
	reader, err := zstd.NewReader(response.Body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderDictRaw(0, shared.content))
	require.NoError(t, err)
	defer reader.Close()
	first := make([]byte, 5000)
	_, err = io.ReadFull(reader, first)
	require.NoError(t, err)
	close(next)
	rest, err := io.ReadAll(reader)

	require.NoError(t, err)
	require.Equal(t, page, string(first)+string(rest))
}

func TestDictionary_EncodesOnlyWhatBecomesSmaller(t *testing.T) {
	t.Parallel()

	_, smaller := shared.Encode(Quick, []byte("short"))
	require.False(t, smaller)
	_, smaller = shared.Encode(Best, nil)
	require.False(t, smaller)
	for range 3 { // with the same encoder
		encoded, smaller := shared.Encode(Quick, []byte(page[:8000]+"!"))
		require.True(t, smaller)
		require.Less(t, len(encoded), 100)
		require.Equal(t, page[:8000]+"!", decodeBy(t, shared, encoded))
	}
	_, smaller = Encode(DCZ, Best, []byte(page))
	require.False(t, smaller, "without a dictionary")
}

func TestNegotiateBy_AllocatesNothing(t *testing.T) { // alone, because it counts allocations
	request := httptest.NewRequest(http.MethodGet, "http://localhost/", nil)
	setFields(request.Header, holds)

	require.Equal(t, DCZ, NegotiateBy(shared, request, ForStored))
	require.Equal(t, Zstd, NegotiateBy(nil, request, ForStored))
	require.Zero(t, testing.AllocsPerRun(100, func() { NegotiateBy(shared, request, ForStored) }))
}

func BenchmarkDictionary_LivePage(b *testing.B) {
	for name, accept := range map[string]string{"zstd": "zstd", "dcz": "zstd, dcz"} {
		b.Run(name, func(b *testing.B) {
			handler := New(Options{Dictionary: shared}, says(page, "Content-Type: text/html"))
			request := httptest.NewRequest(http.MethodGet, "http://localhost/", nil)
			setFields(request.Header, []string{"Accept-Encoding: " + accept, holds[1]})
			var sent int
			for b.Loop() {
				recorder := httptest.NewRecorder()
				handler.ServeHTTP(recorder, request)
				sent = recorder.Body.Len()
			}
			b.ReportMetric(float64(sent), "wire-bytes")
		})
	}
}

// Private

func newDictionarySite(t *testing.T, options Options, next http.HandlerFunc) *site {
	t.Helper()
	options.Dictionary, options.DictionaryPath = shared, "/assets/pages.dict"
	return newSite(t, options, next)
}

// decodeBy decodes DCZ. Its first frame, with the name of the dictionary, is one that
// decoders skip.
func decodeBy(t *testing.T, dictionary *Dictionary, raw []byte) string {
	t.Helper()
	reader, err := zstd.NewReader(bytes.NewReader(raw), zstd.WithDecoderConcurrency(1), zstd.WithDecoderDictRaw(0, dictionary.content))
	require.NoError(t, err)
	defer reader.Close()
	body, err := io.ReadAll(reader)
	require.NoError(t, err)
	return string(body)
}
