package httpcache

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCache_AHitHasAgeAndSaysSo(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, says("Cache-Control: public, max-age=60", "Content-Type: text/plain", "Connection: x-hop", "X-Hop: 1"))

	first := s.get("/")
	s.pass(7 * time.Second)
	second := s.get("/")

	require.Equal(t, "miss", first.header.Get("X-Cache"))
	require.Equal(t, "edge; fwd=uri-miss; stored", first.header.Get("Cache-Status"))
	require.Equal(t, "1", second.body)
	require.Equal(t, "hit", second.header.Get("X-Cache"))
	require.Equal(t, "edge; hit; ttl=53", second.header.Get("Cache-Status"))
	require.Equal(t, "7", second.header.Get("Age"))
	require.Equal(t, first.header.Get("Date"), second.header.Get("Date"))
	require.Equal(t, "1", second.header.Get("Content-Length"))
	require.NotContains(t, second.header, "X-Hop")
	require.Equal(t, Stats{Hits: 1, Misses: 1, Keys: 1, Bytes: s.cache.Stats().Bytes}, s.cache.Stats())
}

func TestCache_AStaleResponseIsValidatedAndUpdated(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		setFields(w.Header(), []string{"Cache-Control: public, max-age=60", `Etag: "a"`, "Last-Modified: Sun, 01 Nov 2026 00:00:00 GMT"})
		if r.Header.Get("If-None-Match") == `"a"` {
			setFields(w.Header(), []string{"X-New: 1", "Content-Length: 99"})
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("X-Old", "1")
		fmt.Fprint(w, "page")
	})
	s.get("/")
	s.pass(61 * time.Second)

	validated := s.get("/", `If-None-Match: "other"`)
	fresh := s.get("/")

	require.Equal(t, "Sun, 01 Nov 2026 00:00:00 GMT", s.asked().Header.Get("If-Modified-Since"))
	for _, one := range []reply{validated, fresh} {
		require.Equal(t, http.StatusOK, one.status)
		require.Equal(t, "page", one.body)
		require.Equal(t, "1", one.header.Get("X-New"))
		require.Equal(t, "1", one.header.Get("X-Old"))
		require.Equal(t, "hit", one.header.Get("X-Cache"))
	}
	require.Equal(t, "edge; fwd=stale; fwd-status=304; stored", validated.header.Get("Cache-Status"))
	require.Equal(t, 2, s.calls())
}

func TestCache_A304OfAnotherVersionIsNotUsed(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		if r.Header.Get("If-None-Match") != "" {
			w.Header().Set("Etag", `"b"`)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Etag", `"a"`)
		fmt.Fprint(w, "page")
	})
	s.get("/")
	s.pass(61 * time.Second)

	got := s.get("/")

	require.Equal(t, "page", got.body)
	require.Equal(t, 3, s.calls())
	require.Empty(t, s.asked().Header.Get("If-None-Match"))
}

func TestCache_A304ThatMakesTheResponsePrivateRemovesIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		setFields(w.Header(), []string{"Cache-Control: public, max-age=60", `Etag: "a"`})
		if r.Header.Get("If-None-Match") != "" {
			w.Header().Set("Cache-Control", "private")
			w.Header().Set("Set-Cookie", "visitor=1")
			w.WriteHeader(http.StatusNotModified)
		}
	})
	s.get("/")
	s.pass(61 * time.Second)

	got := s.get("/")
	again := s.get("/")

	require.Equal(t, "private", got.header.Get("Cache-Control"))
	require.Equal(t, "visitor=1", got.header.Get("Set-Cookie"))
	require.Equal(t, "miss", again.header.Get("X-Cache"))
	require.Empty(t, again.header.Get("Set-Cookie"))
}

func TestCache_AnswersConditionalRequests(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, says("Cache-Control: public, max-age=60", `Etag: W/"a"`,
		"Last-Modified: Sun, 01 Nov 2026 00:00:00 GMT", "Content-Language: en"))
	s.get("/")

	for field, status := range map[string]int{
		`If-None-Match: "a"`:                                 304,
		`If-None-Match: W/"a"`:                               304,
		`If-None-Match: "x,", W/"a"`:                         304,
		`If-None-Match: *`:                                   304,
		`If-None-Match: "b"`:                                 200,
		`If-None-Match: a`:                                   200,
		"If-Modified-Since: Sun, 01 Nov 2026 00:00:00 GMT":   304,
		"If-Modified-Since: Sunday, 01-Nov-26 00:00:00 GMT":  304,
		"If-Modified-Since: Mon, 02 Nov 2026 00:00:00 GMT":   304,
		"If-Modified-Since: Sat, 31 Oct 2026 00:00:00 GMT":   200,
		"If-Modified-Since: yesterday":                       200,
		"If-Unmodified-Since: Mon, 02 Nov 2026 00:00:00 GMT": 200,
	} {
		got := s.get("/", field)
		require.Equal(t, status, got.status, field)
		if status == 304 {
			require.Equal(t, `W/"a"`, got.header.Get("Etag"), field)
			require.Empty(t, got.header.Get("Content-Language"), field)
			require.Equal(t, "hit", got.header.Get("X-Cache"), field)
		}
	}
	both := s.get("/", `If-None-Match: "b"`, "If-Modified-Since: Mon, 02 Nov 2026 00:00:00 GMT")
	require.Equal(t, http.StatusOK, both.status, "If-None-Match goes first")
}

func TestCache_AnswersRangesFromAWholeResponse(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		setFields(w.Header(), []string{"Cache-Control: public, max-age=60", `Etag: "a"`, "Last-Modified: Sun, 01 Nov 2026 00:00:00 GMT"})
		fmt.Fprint(w, "0123456789")
	})
	s.get("/")

	for _, one := range []struct {
		fields  string
		status  int
		body    string
		content string
	}{
		{"Range: bytes=2-4", 206, "234", "bytes 2-4/10"},
		{"Range: bytes=-1", 206, "9", "bytes 9-9/10"},
		{"Range: bytes=10-", 416, "", "bytes */10"},
		{"Range: bytes=0-1,3-4", 200, "0123456789", ""},
		{`Range: bytes=2-4|If-Range: "a"`, 206, "234", "bytes 2-4/10"},
		{`Range: bytes=2-4|If-Range: "b"`, 200, "0123456789", ""},
		{"Range: bytes=2-4|If-Range: Sun, 01 Nov 2026 00:00:00 GMT", 206, "234", "bytes 2-4/10"},
		{"Range: bytes=2-4|If-Range: Mon, 02 Nov 2026 00:00:00 GMT", 200, "0123456789", ""},
	} {
		got := s.get("/", strings.Split(one.fields, "|")...)
		require.Equal(t, one.status, got.status, one.fields)
		require.Equal(t, one.body, got.body, one.fields)
		require.Equal(t, one.content, got.header.Get("Content-Range"), one.fields)
	}
	require.Equal(t, 1, s.calls())
}

func TestCache_PartsOfABodyAreStoredAndCompleted(t *testing.T) {
	t.Parallel()
	const whole = "0123456789"
	s := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		setFields(w.Header(), []string{"Cache-Control: public, max-age=60", `Etag: "a"`})
		wanted, what := parseRange(r.Header["Range"], 10)
		if what != partOfBody {
			fmt.Fprint(w, whole)
			return
		}
		w.Header().Set("Content-Range", contentRange(wanted, 10))
		w.WriteHeader(http.StatusPartialContent)
		fmt.Fprint(w, whole[wanted.first:wanted.last+1])
	})

	first := s.get("/", "Range: bytes=0-5")
	within := s.get("/", "Range: bytes=2-3")
	all := s.get("/")
	stored := s.get("/", "Range: bytes=8-")

	require.Equal(t, "012345", first.body)
	require.Equal(t, "23", within.body)
	require.Equal(t, "hit", within.header.Get("X-Cache"))
	require.Equal(t, whole, all.body)
	require.Equal(t, http.StatusOK, all.status)
	require.Equal(t, "bytes=6-", s.asked().Header.Get("Range"))
	require.Equal(t, "89", stored.body)
	require.Equal(t, 2, s.calls())
}

func TestCache_APartOfAnotherVersionIsNotCombined(t *testing.T) {
	t.Parallel()
	version := 0
	s := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		version++
		setFields(w.Header(), []string{"Cache-Control: public, max-age=60", fmt.Sprintf(`Etag: "%d"`, version)})
		wanted, what := parseRange(r.Header["Range"], 4)
		body := strings.Repeat(fmt.Sprint(version), 4)
		if what == partOfBody {
			w.Header().Set("Content-Range", contentRange(wanted, 4))
			w.WriteHeader(http.StatusPartialContent)
			body = body[wanted.first : wanted.last+1]
		}
		fmt.Fprint(w, body)
	})
	s.get("/", "Range: bytes=0-1")

	all := s.get("/")

	require.Equal(t, http.StatusOK, all.status)
	require.Equal(t, "3333", all.body)
	require.Empty(t, s.asked().Header.Get("Range"))
}

func TestCache_HEADIsServedFromAStoredGET(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, says("Cache-Control: public, max-age=60"))
	s.get("/")

	got := s.send(http.MethodHead, "/", "")

	require.Equal(t, "hit", got.header.Get("X-Cache"))
	require.Equal(t, "1", got.header.Get("Content-Length"))
	require.Empty(t, got.body)
}

func TestCache_HEADUpdatesOrRemovesAStoredGET(t *testing.T) {
	t.Parallel()
	for etag, kept := range map[string]bool{`"a"`: true, `"b"`: false} {
		s := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "public, max-age=60")
			w.Header().Set("Etag", `"a"`)
			if r.Method == http.MethodHead {
				w.Header().Set("Etag", etag)
				w.Header().Set("X-New", "1")
				return
			}
			fmt.Fprint(w, "page")
		})
		s.get("/")
		s.pass(61 * time.Second)

		require.Equal(t, "1", s.send(http.MethodHead, "/", "").header.Get("X-New"))
		require.Equal(t, http.MethodHead, s.asked().Method)
		got := s.get("/")

		require.Equal(t, kept, got.header.Get("X-Cache") == "hit", etag)
		require.Equal(t, kept, got.header.Get("X-New") == "1", etag)
	}
}

func TestCache_HonoursRequestDirectives(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, says("Cache-Control: public, max-age=60"))

	require.Equal(t, http.StatusGatewayTimeout, s.get("/", "Cache-Control: only-if-cached").status)
	s.get("/")
	s.pass(30 * time.Second)
	require.Equal(t, http.StatusOK, s.get("/", "Cache-Control: only-if-cached").status)
	for _, field := range []string{
		"Cache-Control: max-age=31", "Cache-Control: min-fresh=29", "Cache-Control: max-stale", "Pragma: other", "Cache-Control: other",
	} {
		require.Equal(t, "hit", s.get("/", field).header.Get("X-Cache"), field)
	}
	require.Equal(t, 1, s.calls())
	for i, field := range []string{
		"Cache-Control: max-age=29", "Cache-Control: min-fresh=61", "Cache-Control: no-cache", "Cache-Control: no-store", "Pragma: no-cache",
	} {
		require.NotEqual(t, "hit", s.get("/", field).header.Get("X-Cache"), field)
		require.Equal(t, i+2, s.calls(), field)
		s.pass(30 * time.Second)
	}
	s.pass(90 * time.Second)
	require.Equal(t, "stale", s.get("/", "Cache-Control: max-stale=600").header.Get("X-Cache"))
	require.Equal(t, "miss", s.get("/", "Cache-Control: max-stale=10").header.Get("X-Cache"))
}

func TestCache_VariesOnAllLines(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, says("Cache-Control: public, max-age=60", "Vary: accept-language", "Vary: X-Kind, Accept-Language"))
	s.get("/", "Accept-Language: en, de", "X-Kind: 1")

	same := s.get("/", "Accept-Language: DE ,en", "X-Kind: 1")
	other := s.get("/", "Accept-Language: en, de", "X-Kind: 2")
	weighted := s.get("/", "Accept-Language: en;q=0.5, de", "X-Kind: 1")
	absent := s.get("/", "Accept-Language: en, de")

	require.Equal(t, "1", same.body)
	require.Equal(t, "2", other.body)
	require.Equal(t, "edge; fwd=vary-miss; stored", other.header.Get("Cache-Status"))
	require.Equal(t, "3", weighted.body)
	require.Equal(t, "4", absent.body)
	require.Equal(t, "1", s.get("/", "Accept-Language: en, de", "X-Kind: 1").body)
	require.Equal(t, "4", s.get("/", "Accept-Language: en, de").body)
}

func TestCache_WhatNoVarySearchListsIsNotInTheKey(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, says("Cache-Control: public, max-age=60", `No-Vary-Search: params=("utm_source" "gclid"), key-order`))
	first := s.get("/p?a=1&b=2&utm_source=x")

	for _, query := range []string{"a=1&b=2", "gclid=9&b=2&a=1", "utm_source=&a=1&utm_source=2&b=2"} {
		require.Equal(t, first.body, s.get("/p?"+query).body, query)
	}
	for i, query := range []string{"a=1&b=3", "a=1&b=2&utm_Source=x", "a=2&a=1", "a=1&a=2", "a=1&b=2&other", "a=1&b=2&", "a=%31&b=2"} {
		require.Equal(t, fmt.Sprint(i+2), s.get("/p?"+query).body, query)
	}
	require.NotEqual(t, first.body, s.get("/q?a=1&b=2").body, "the rule is of one path")
}

func TestCache_AResponseWithoutTheRuleIsOnlyForItsOwnQuery(t *testing.T) {
	t.Parallel()
	answer := says("Cache-Control: public, max-age=60")
	s := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("rule") {
			w.Header().Set("No-Vary-Search", `params=("x" "rule")`)
		}
		answer(w, r)
	})
	s.get("/?rule=1")

	one := s.get("/?a=1&x=1")

	require.NotEqual(t, one.body, s.get("/?a=1&x=2").body)
	require.Equal(t, one.body, s.get("/?a=1&x=1").body)
}

func TestCache_KeysAreSafe(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, says("Cache-Control: public, max-age=60"))

	for i, path := range []string{"/a/b", "/a%2Fb", "/a%2fb", "/a", "/a?", "/a?b", "/a?b=", "/a?b&c", "/a?c&b", "/a?b%26c", "/a?b;c"} {
		got := s.get(path)
		if path == "/a?" {
			require.Equal(t, "4", got.body, "an empty query is no query")
			continue
		}
		require.Equal(t, "miss", got.header.Get("X-Cache"), path)
		require.Equal(t, "hit", s.get(path).header.Get("X-Cache"), i)
	}
	long := s.get("/?" + strings.Repeat("a", maxKey))
	require.Equal(t, "edge; fwd=bypass; detail=key", long.header.Get("Cache-Status"))
	require.Equal(t, "miss", s.get("/a", "Host: other.example").header.Get("X-Cache"), "Host is in the key")
}

func TestCache_UnsafeMethodsInvalidate(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		method string
		status int
		fields string
		gone   []string
	}{
		{"POST", 200, "", []string{"/p"}},
		{"PUT", 204, "", []string{"/p"}},
		{"M-SEARCH", 200, "", []string{"/p"}},
		{"POST", 500, "Location: /l", nil},
		{"POST", 400, "", nil},
		{"POST", 201, "Location: /l", []string{"/p", "/l"}},
		{"POST", 303, "Location: /l", []string{"/p"}},
		{"PATCH", 200, "Content-Location: c", []string{"/p", "/c"}},
		{"POST", 201, "Location: https://other.example/l", []string{"/p"}},
		{"OPTIONS", 200, "", nil},
		{"POST", 200, `Cache-Group-Invalidation: "g"`, []string{"/p", "/l"}},
	} {
		answer := says("Cache-Control: public, max-age=60")
		s := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				if one.fields != "" {
					setFields(w.Header(), []string{one.fields})
				}
				w.WriteHeader(one.status)
				return
			}
			if r.URL.Path == "/l" {
				w.Header().Set("Cache-Groups", `"f", "g"`)
			}
			answer(w, r)
		})
		paths := []string{"/p", "/l", "/c", "/p?q=1"}
		for _, path := range paths {
			s.get(path)
		}

		require.Equal(t, one.status, s.send(one.method, "/p", "").status)

		for _, path := range paths {
			gone := s.get(path).header.Get("X-Cache") == "miss"
			require.Equal(t, slices.Contains(one.gone, path), gone, "%s %d %s: %s", one.method, one.status, one.fields, path)
		}
	}
}

func TestCache_APOSTThatAnswersAGETIsStored(t *testing.T) {
	t.Parallel()
	for location, stored := range map[string]bool{"/p": true, "p": true, "/q": false, "": false, "https://other.example/p": false} {
		s := newSite(t, Options{}, says("Cache-Control: public, max-age=60", "Content-Location: "+location))
		s.get("/p")

		s.send(http.MethodPost, "/p", "body")
		got := s.get("/p")

		require.Equal(t, stored, got.body == "2" && got.header.Get("X-Cache") == "hit", location)
		require.NotEqual(t, "1", got.body, "the response from before the POST is gone")
	}
}
