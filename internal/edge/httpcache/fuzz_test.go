package httpcache

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func FuzzParseDirectives(f *testing.F) {
	for _, seed := range []string{"max-age=5, public", `no-cache="a, b", x="\`, "max-age=99999999999999999999", ",=,\"", "private=\t\"a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed := parseDirectives([]string{text})

		for _, one := range []delta{
			parsed.maxAge, parsed.sharedMaxAge, parsed.minFresh, parsed.maxStale, parsed.staleIfError, parsed.staleWhileRevalidate,
		} {
			require.True(t, one == absent || one >= 0 && one <= maxDelta && time.Duration(one)%time.Second == 0)
		}
		require.True(t, parseDirectives([]string{text, "no-store"}).noStore, "a line does not hide the next one")
	})
}

func FuzzParseStructured(f *testing.F) {
	for _, seed := range []string{
		`a=1, b;c=?1, d=("x" y)`, `"a", "b"`, "a=:aGk=:", `a=%"f%c3"`, "a=@1", "a=1.5", "params=(\"utm_source\"), key-order",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if members, err := parseDictionary([]string{text}); err == nil {
			names := map[string]bool{}
			for _, one := range members {
				require.NotEmpty(t, one.name)
				require.False(t, names[one.name], "a name occurs once")
				names[one.name] = true
			}
			if len(members) > 0 {
				again, err := parseDictionary([]string{text, text})
				require.NoError(t, err)
				require.Len(t, again, len(members))
			}
		}
		if members, err := parseList([]string{text}); err == nil && len(members) > 0 {
			again, err := parseList([]string{text, text})
			require.NoError(t, err)
			require.Len(t, again, 2*len(members))
		}
	})
}

func FuzzParseRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-1", "bytes=-5", "bytes=5-", "bytes=9-1", "bytes=99999999999999999999-"} {
		f.Add(seed, int64(10))
	}
	f.Fuzz(func(t *testing.T, text string, size int64) {
		if size < 0 {
			return
		}
		wanted, what := parseRange([]string{text}, size)
		if what == partOfBody {
			require.True(t, 0 <= wanted.first && wanted.first <= wanted.last && wanted.last < size)
			again, whole, ok := parseContentRange(contentRange(wanted, size))
			require.True(t, ok && again == wanted && whole == size)
		}
	})
}

func FuzzKey(f *testing.F) {
	f.Add("a.example", "/a", "b=c", "a.example", "/ab", "=c")
	f.Add("a.example", "/a%2Fb", "", "a.example", "/a/b", "")
	f.Add("a", "/", "x=1&y=2", "a/", "", "y=2&x=1")
	c := New(Options{}, http.NotFoundHandler())
	f.Cleanup(c.Close)
	f.Fuzz(func(t *testing.T, host1, path1, query1, host2, path2, query2 string) {
		one := &http.Request{Host: host1, URL: &url.URL{Path: path1, RawQuery: query1}}
		two := &http.Request{Host: host2, URL: &url.URL{Path: path2, RawQuery: query2}}
		key1, _, ok1 := c.keyOf(one, one.URL)
		key2, _, ok2 := c.keyOf(two, two.URL)

		if ok1 && ok2 && key1 == key2 {
			require.Equal(t, path1, path2)
			require.Equal(t, query1, query2)
			require.Equal(t, strings.ToLower(host1), strings.ToLower(host2))
		}
	})
}

func FuzzSearchRule(f *testing.F) {
	f.Add(`params=("utm_source" "gclid"), key-order`, "b=2&utm_source=x&a=1&a=0")
	f.Add(`params, except=("q")`, "q=1&x=2&q=0")
	f.Fuzz(func(t *testing.T, field, query string) {
		rule := parseSearchRule(http.Header{"No-Vary-Search": {field}})
		kept := rule.canonical(query)

		require.Equal(t, kept, rule.canonical(kept), "the canonical query is its own canonical query")
		require.LessOrEqual(t, len(kept), len(query))
	})
}

func FuzzNormalise(f *testing.F) {
	f.Add("Accept-Language", "en, de;q=0.5")
	f.Add("Foo", ` 1 , "a , b" `)
	f.Add("Accept-Encoding", "gzip;q=1.0, *;q=0, br;q=x")
	f.Fuzz(func(t *testing.T, name, value string) {
		require.NotEmpty(t, normalise(name, []string{value}), "an absent field differs from any other")
		require.Empty(t, normalise(name, nil))
	})
}
