package httpcache

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseDirectives_ReadsEveryForm(t *testing.T) {
	t.Parallel()
	with := func(change func(*directives)) directives {
		d := noDirectives
		change(&d)
		return d
	}
	second := delta(time.Second)

	for text, expected := range map[string]directives{
		"":                                noDirectives,
		",, ,":                            noDirectives,
		"foobar, max-age=5":               with(func(d *directives) { d.maxAge = 5 * second }),
		"MaX-aGe=5":                       with(func(d *directives) { d.maxAge = 5 * second }),
		`max-age="5"`:                     with(func(d *directives) { d.maxAge = 5 * second }),
		"max-age=005":                     with(func(d *directives) { d.maxAge = 5 * second }),
		"max-age=9, max-age=5":            with(func(d *directives) { d.maxAge = 5 * second }),
		"max-age=99999999999999999999999": with(func(d *directives) { d.maxAge = maxDelta }),
		"max-age=-5":                      with(func(d *directives) { d.maxAge = 0 }),
		"max-age='5'":                     with(func(d *directives) { d.maxAge = 0 }),
		"max-age=5.0":                     with(func(d *directives) { d.maxAge = 0 }),
		"max-age= 5":                      with(func(d *directives) { d.maxAge = 0 }),
		"max-age=":                        with(func(d *directives) { d.maxAge = 0 }),
		"max-age":                         with(func(d *directives) { d.maxAge = 0 }),
		"max-age =5":                      noDirectives,
		`x="max-age=9", s-maxage=5`:       with(func(d *directives) { d.sharedMaxAge = 5 * second }),
		`x="a\", public, b", no-store`:    with(func(d *directives) { d.noStore = true }),
		`x="unclosed, public`:             noDirectives,
		"no-cache":                        with(func(d *directives) { d.noCache = true }),
		`no-cache="set-cookie, a"`:        with(func(d *directives) { d.noCacheFields = []string{"Set-Cookie", "A"} }),
		"no-cache=set-cookie":             with(func(d *directives) { d.noCache = true }),
		`private=""`:                      with(func(d *directives) { d.private = true }),
		`private="a"`:                     with(func(d *directives) { d.privateFields = []string{"A"} }),
		"max-stale":                       with(func(d *directives) { d.maxStale = maxDelta }),
		"max-stale=5, min-fresh=6":        with(func(d *directives) { d.maxStale, d.minFresh = 5*second, 6*second }),
		"public,must-revalidate,proxy-revalidate,must-understand,only-if-cached": with(func(d *directives) {
			d.public, d.mustRevalidate, d.proxyRevalidate, d.mustUnderstand, d.onlyIfCached = true, true, true, true, true
		}),
		"stale-while-revalidate=5, stale-if-error=6": with(func(d *directives) {
			d.staleWhileRevalidate, d.staleIfError = 5*second, 6*second
		}),
	} {
		require.Equal(t, expected, parseDirectives([]string{text}), text)
	}
	require.Equal(t, with(func(d *directives) { d.maxAge, d.public = 5*second, true }), parseDirectives([]string{"max-age=5", "public"}))
}
