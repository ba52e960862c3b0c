package httpcache

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"slipway/internal/edge/coding"
)

// keeper is a handler whose page shows a visitor's own cookie, and which fails on demand.
type keeper struct {
	fails atomic.Bool
	calls atomic.Int32

	mutex sync.Mutex
	asked []string // "visitor", "shared" or "background", for each call
}

func (k *keeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := k.calls.Add(1)
	handle := HandleOf(r)
	kind := "visitor"
	switch {
	case handle.InBackground():
		kind = "background"
	case handle.MayKeep():
		kind = "shared"
	}
	k.mutex.Lock()
	k.asked = append(k.asked, kind)
	k.mutex.Unlock()
	w.Header().Set("Cache-Control", "private, no-cache")
	if k.fails.Load() {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	handle.Label("/page")
	handle.Tag("page")
	handle.Keep(time.Second, 0)
	handle.OfferCopy()
	fmt.Fprintf(w, "call %d for %s", call, r.Header.Get("Cookie"))
}

func (k *keeper) kinds() []string {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return append([]string{}, k.asked...)
}

func TestHandle_KeepsWhatCacheControlKeepsFromOthers(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	s := newSite(t, Options{}, k.ServeHTTP)

	first, second := s.get("/"), s.get("/")

	require.Equal(t, "call 1 for ", second.body)
	require.Equal(t, "hit", second.header.Get("X-Cache"))
	require.Equal(t, "private, no-cache", first.header.Get("Cache-Control"))
	require.Equal(t, "private, no-cache", second.header.Get("Cache-Control"))
	s.pass(time.Second)
	require.Equal(t, "call 2 for ", s.get("/").body)
	require.Equal(t, 1, s.cache.Purge("page"))
	require.Equal(t, "miss", s.get("/").header.Get("X-Cache"))
}

func TestHandle_IsNilWhereNothingMayBeStored(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	s := newSite(t, Options{}, k.ServeHTTP)

	for range 2 {
		require.Equal(t, "bypass", s.get("/", "Cache-Control: no-store").header.Get("X-Cache"))
	}
	require.Equal(t, []string{"visitor", "visitor"}, k.kinds())
}

func TestHandle_KeepsNothingOfAnIdentifiedVisitor(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	s := newSite(t, Options{PrivateCookies: []string{"cart"}}, k.ServeHTTP)

	ada := s.get("/", "Cookie: cart=ada")
	eventually(t, func() bool { return s.cache.Stats().Keys == 1 })

	require.Equal(t, "call 1 for cart=ada", ada.body)
	require.Equal(t, "bypass", ada.header.Get("X-Cache"))
	require.Equal(t, "edge; fwd=bypass; detail=private", ada.header.Get("Cache-Status"))
	require.Equal(t, []string{"visitor", "background"}, k.kinds())
	require.Equal(t, "call 2 for ", s.get("/").body, "the copy was made without the cookie")
	require.Equal(t, "call 3 for cart=eve", s.get("/", "Cookie: cart=eve").body)
}

func TestHandle_KnowsAPrivateCookieByItsNameAlone(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	s := newSite(t, Options{PrivateCookies: []string{"cart"}}, k.ServeHTTP)
	s.get("/")

	for cookies, result := range map[string]string{
		"cart=ada": "bypass", "theme=dark; cart=ada": "bypass", "a=1;cart=": "bypass", "cart": "bypass",
		"__Host-cart=ada": "bypass", "__Secure-cart=ada": "bypass", "__host-cart=ada": "bypass",
		"cartoon=1": "hit", "theme=cart": "hit", "__Host-theme=dark": "hit", "__Host-=1": "hit", "Cart=1": "hit", "x__Host-cart=1": "hit",
	} {
		require.Equal(t, result, s.get("/", "Cookie: "+cookies).header.Get("X-Cache"), cookies)
	}
}

func TestHandle_ACopyIsRenewedAtMostOnceInCopyEvery(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	s := newSite(t, Options{PrivateCookies: []string{"cart"}}, k.ServeHTTP)
	for range 20 {
		s.get("/", "Cookie: cart=ada")
		eventually(t, func() bool { return s.cache.Stats().Keys == 1 && len(s.cache.refreshes) == 0 })
		s.pass(100 * time.Millisecond)
	}
	require.EqualValues(t, 21, k.calls.Load())

	s.pass(copyEvery)
	s.get("/", "Cookie: cart=ada")
	eventually(t, func() bool { return k.calls.Load() == 23 })
}

func TestHandle_TheCopyReplacesAnErrorForAnIdentifiedVisitor(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	s := newSite(t, Options{PrivateCookies: []string{"cart"}, StaleIfError: 10 * time.Minute}, k.ServeHTTP)
	s.get("/")

	k.fails.Store(true)
	s.pass(90 * time.Second)
	for _, who := range []string{"Cookie: cart=ada", "Cookie: theme=dark"} {
		got := s.get("/", who)
		require.Equal(t, http.StatusOK, got.status)
		require.Equal(t, "call 1 for ", got.body)
		require.Equal(t, "stale", got.header.Get("X-Cache"))
		require.Equal(t, "90", got.header.Get("Age"))
	}
	require.Equal(t, http.StatusServiceUnavailable, s.get("/never-seen", "Cookie: cart=ada").status)

	s.pass(10 * time.Minute)
	require.Equal(t, http.StatusServiceUnavailable, s.get("/", "Cookie: cart=ada").status)
	k.fails.Store(false)
	require.Equal(t, "call 5 for cart=ada", s.get("/", "Cookie: cart=ada").body)
}

func TestOptions_AmendChangesOnlyWhatReplacesAnError(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	s := newSite(t, Options{StaleIfError: time.Minute, Amend: func(header http.Header, body []byte) []byte {
		header.Set("X-Amended", "1")
		return append(body, " (old)"...)
	}}, k.ServeHTTP)
	s.get("/")
	require.Equal(t, "call 1 for ", s.get("/").body)

	k.fails.Store(true)
	s.pass(2 * time.Second)

	for range 2 { // the second finds that the handler has failed lately
		got := s.get("/")
		require.Equal(t, "call 1 for  (old)", got.body)
		require.Equal(t, "1", got.header.Get("X-Amended"))
		require.Equal(t, "17", got.header.Get("Content-Length"))
	}
	require.Equal(t, "17", s.send(http.MethodHead, "/", "").header.Get("Content-Length"))
	k.fails.Store(false)
	s.pass(2 * time.Second)
	require.Empty(t, s.get("/").header.Get("X-Amended"))
	require.NotContains(t, s.get("/").body, "old")
}

func TestOptions_ServedIsToldOfWhatComesFromTheStore(t *testing.T) {
	t.Parallel()
	var mutex sync.Mutex
	var told []Served
	k := &keeper{}
	s := newSite(t, Options{StaleIfError: time.Minute, Served: func(one Served) {
		mutex.Lock()
		defer mutex.Unlock()
		told = append(told, one)
	}}, k.ServeHTTP)
	s.get("/")
	s.get("/")
	k.fails.Store(true)
	s.pass(2 * time.Second)
	s.get("/")

	mutex.Lock()
	defer mutex.Unlock()
	require.Len(t, told, 2)
	for i, stale := range []bool{false, true} {
		require.Equal(t, "/page", told[i].Label)
		require.Equal(t, http.StatusOK, told[i].Status)
		require.Equal(t, len("call 1 for "), told[i].Bytes)
		require.Equal(t, stale, told[i].Stale)
	}
}

func TestOptions_BypassAsksTheHandler(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	s := newSite(t, Options{Bypass: func(r *http.Request) bool { return r.Header.Get("X-Banned") != "" }}, k.ServeHTTP)
	s.get("/")

	got := s.get("/", "X-Banned: 1")

	require.Equal(t, "bypass", got.header.Get("X-Cache"))
	require.Equal(t, "call 2 for ", got.body)
}

func TestVariants_AHitIsSentInTheCodingThatTheClientPrefers(t *testing.T) {
	t.Parallel()
	page := strings.Repeat("things for the shore ", 200)
	s := newSite(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		setFields(w.Header(), []string{"Cache-Control: public, max-age=30", "Content-Type: text/html", `Etag: "1"`, "Vary: Accept-Language"})
		fmt.Fprint(w, page)
	})
	s.get("/")

	plain := s.get("/")
	require.Equal(t, page, plain.body)
	require.Equal(t, `"1"`, plain.header.Get("Etag"))
	require.Equal(t, "Accept-Language, Accept-Encoding", plain.header.Get("Vary"))
	for _, one := range []struct {
		accepts, coding string
		decode          func(io.Reader) (io.Reader, error)
	}{
		{"gzip, br, zstd", "zstd", func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) }},
		{"gzip", "gzip", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	} {
		got := s.get("/", "Accept-Encoding: "+one.accepts)
		require.Equal(t, "hit", got.header.Get("X-Cache"))
		require.Equal(t, one.coding, got.header.Get("Content-Encoding"))
		require.Equal(t, fmt.Sprint(len(got.body)), got.header.Get("Content-Length"))
		require.Equal(t, `"1-`+one.coding+`"`, got.header.Get("Etag"))
		require.Equal(t, "Accept-Language, Accept-Encoding", got.header.Get("Vary"))
		decoded, err := one.decode(strings.NewReader(got.body))
		require.NoError(t, err)
		content, err := io.ReadAll(decoded)
		require.NoError(t, err)
		require.Equal(t, page, string(content))
		require.Equal(t, got.body, s.get("/", "Accept-Encoding: "+one.accepts).body)

		head := s.send(http.MethodHead, "/", "", "Accept-Encoding: "+one.accepts)
		for _, name := range []string{"Content-Length", "Content-Encoding", "Etag", "Vary"} {
			require.Equal(t, got.header.Get(name), head.header.Get(name), name)
		}
	}
	ranged := s.get("/", "Accept-Encoding: gzip", "Range: bytes=0-5")
	require.Equal(t, "things", ranged.body)
	require.Empty(t, ranged.header.Get("Content-Encoding"))
}

func TestVariants_BrotliIsForWhatLivesLong(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		setFields(w.Header(), []string{"Cache-Control: public, max-age=" + r.URL.Path[1:], "Content-Type: text/html"})
		_, _ = w.Write(bytes.Repeat([]byte("a page "), 500))
	})
	for life, coded := range map[string]string{"59": "zstd", "60": "br"} {
		s.get("/" + life)
		require.Equal(t, coded, s.get("/"+life, "Accept-Encoding: br, zstd, gzip").header.Get("Content-Encoding"))
	}
}

func TestVariants_PagesAreStoredCompressedByTheDictionary(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("a page of the shore ", 100)
	digest := sha256.Sum256([]byte(text))
	available := ":" + base64.StdEncoding.EncodeToString(digest[:]) + ":"
	s := newSite(t, Options{Dictionary: coding.NewDictionary([]byte(text))}, func(w http.ResponseWriter, r *http.Request) {
		setFields(w.Header(), []string{"Cache-Control: public, max-age=60", "Content-Type: text/" + r.URL.Path[1:], `Etag: "x"`})
		_, _ = w.Write([]byte(text + "and more"))
	})
	holds := []string{"Accept-Encoding: br, zstd, dcz", "Available-Dictionary: " + available}

	for _, path := range []string{"/html", "/plain"} {
		s.get(path)
		require.Equal(t, "br", s.get(path, holds[0]).header.Get("Content-Encoding"))

		remote := slices.Concat(holds, []string{"Host: shop.example.com"})
		s.get(path, remote...)
		require.Equal(t, "br", s.get(path, remote...).header.Get("Content-Encoding"), "over plain HTTP")
	}
	require.Equal(t, "br", s.get("/plain", holds...).header.Get("Content-Encoding"))
	coded := s.get("/html", holds...)
	require.Equal(t, "dcz", coded.header.Get("Content-Encoding"))
	require.Equal(t, "hit", coded.header.Get("X-Cache"))
	require.Equal(t, `W/"x-dcz"`, coded.header.Get("Etag"))
	require.Equal(t, strconv.Itoa(len(coded.body)), coded.header.Get("Content-Length"))
	require.Less(t, len(coded.body), 100)
	require.Equal(t, coded.body, s.get("/html", holds...).body)
	require.Equal(t, text+"and more", s.get("/html").body)

	decoder, err := zstd.NewReader(strings.NewReader(coded.body), zstd.WithDecoderDictRaw(0, []byte(text)))
	require.NoError(t, err)
	defer decoder.Close()
	content, err := io.ReadAll(decoder)
	require.NoError(t, err)
	require.Equal(t, text+"and more", string(content))
}

func TestVariants_AreNotMadeOfWhatMustNotBeCompressed(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string][]string{
		"an image":          {"Content-Type: image/png"},
		"no-transform":      {"Content-Type: text/html", "Cache-Control: no-transform"},
		"compressed before": {"Content-Type: text/html", "Content-Encoding: br"},
	} {
		s := newSite(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
			setFields(w.Header(), append(fields, "Cache-Control: public, max-age=30"))
			_, _ = w.Write(bytes.Repeat([]byte("a page "), 500))
		})
		s.get("/", "Accept-Encoding: gzip")

		got := s.get("/", "Accept-Encoding: gzip")

		require.Equal(t, "hit", got.header.Get("X-Cache"), name)
		require.NotEqual(t, "gzip", got.header.Get("Content-Encoding"), name)
		require.Len(t, got.body, 3500, name)
	}
}

func TestExpire_PagesAreAskedForAgainAndReplaceErrors(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	s := newSite(t, Options{StaleIfError: time.Minute}, k.ServeHTTP)
	s.get("/")
	require.Equal(t, 0, s.cache.Expire("other"))
	require.Equal(t, "hit", s.get("/").header.Get("X-Cache"))

	require.Equal(t, 1, s.cache.Expire("page", "other"))
	require.Equal(t, 0, s.cache.Expire("page"), "it has expired already")

	k.fails.Store(true)
	require.Equal(t, "call 1 for ", s.get("/").body)
	k.fails.Store(false)
	s.pass(2 * time.Second)
	require.Equal(t, "call 3 for ", s.get("/").body)
}

func TestExpire_KeepsAResponseInProgressOutOfTheStore(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		HandleOf(r).Keep(time.Minute, 0)
		HandleOf(r).Tag("page")
		g.wait(r)
		fmt.Fprint(w, "old")
	})

	together(s, 1, func() bool { return len(g.entered) == 1 }, func() {
		s.cache.Expire("page")
		close(g.open)
	})

	require.Equal(t, "miss", s.get("/").header.Get("X-Cache"))
}

func TestDistrust_AsksForWhatHasTagsUntilItIsTrustedAgain(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	s := newSite(t, Options{StaleIfError: time.Minute}, k.ServeHTTP)
	s.get("/")

	s.cache.Distrust(true)
	for call := 2; call < 4; call++ {
		require.Equal(t, fmt.Sprintf("call %d for ", call), s.get("/").body)
	}
	s.pass(time.Millisecond)
	s.cache.Distrust(false)

	require.Equal(t, "call 4 for ", s.get("/").body, "a message about it may have been missed")
	require.Equal(t, "hit", s.get("/").header.Get("X-Cache"))
	k.fails.Store(true)
	s.cache.Distrust(true)
	require.Equal(t, "call 4 for ", s.get("/").body)
}

func TestDistrust_IsOnlyAboutWhatHasTags(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, says("Cache-Control: public, max-age=60"))
	s.get("/")
	s.cache.Distrust(true)

	require.Equal(t, "hit", s.get("/").header.Get("X-Cache"))
}

func TestOptions_ServerTimingTellsBrowsersWhatCacheStatusSays(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{ServerTiming: true}, says("Cache-Control: public, max-age=60"))
	s.get("/")

	require.Equal(t, `cache;desc="edge; hit; ttl=60"`, s.get("/").header.Get("Server-Timing"))
	silent := newSite(t, Options{}, says("Cache-Control: public, max-age=60"))
	require.Empty(t, silent.get("/").header.Get("Server-Timing"))
}
