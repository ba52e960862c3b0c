package httpcache

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRefusal_SaysWhatIsStored(t *testing.T) {
	t.Parallel()
	const modified = "Last-Modified: Sat, 28 Nov 2026 00:00:00 GMT"
	both := func(reason string) [2]string { return [2]string{reason, reason} }
	onlyRFC := [2]string{"not-public", ""}

	for _, one := range []struct {
		status  int
		request string
		fields  string
		refused [2]string // under OptIn and under RFC9111
	}{
		{200, "", "Cache-Control: public, max-age=60", both("")},
		{200, "", "Cache-Control: s-maxage=60", both("")},
		{200, "", "CDN-Cache-Control: max-age=60", both("")},
		{200, "", "CDN-Cache-Control: max-age=60|Cache-Control: no-store", both("")},
		{200, "", "CDN-Cache-Control: no-store|Cache-Control: public, max-age=60", both("no-store")},
		{200, "", "CDN-Cache-Control: private|Cache-Control: public, max-age=60", both("private")},
		{200, "", "CDN-Cache-Control: max-age=60, &|Cache-Control: no-store", both("no-store")},
		{200, "", `CDN-Cache-Control: max-age="60"|Cache-Control: public, max-age=60`, both("no-freshness")},
		{200, "", "Cache-Control: max-age=60", onlyRFC},
		{200, "", "Expires: Mon, 30 Nov 2026 00:00:00 GMT", onlyRFC},
		{200, "", modified, onlyRFC},
		{200, "", `Etag: "a"`, onlyRFC},
		{200, "", "", [2]string{"not-public", "no-freshness"}},
		{200, "", "Cache-Control: public", both("no-freshness")},
		{200, "", "Cache-Control: public, max-age=0", both("no-freshness")},
		{200, "", "Cache-Control: public, max-age=0, stale-if-error=60", both("")},
		{200, "", "Cache-Control: public, max-age=0|" + modified, both("")},
		{200, "", "Cache-Control: public, no-cache|" + modified, both("")},
		{200, "", "Cache-Control: public, no-cache, max-age=60", both("no-cache")},
		{200, "", "Cache-Control: public, no-store, max-age=60", both("no-store")},
		{200, "", "Cache-Control: public, private, max-age=60", both("private")},
		{200, "", `Cache-Control: public, private="x-a", max-age=60`, both("")},
		{200, "", "Cache-Control: public, max-age=60|Set-Cookie: a=b", both("set-cookie")},
		{200, "", "Cache-Control: public, max-age=60|Vary: a, *", both("vary")},
		{200, "", "Cache-Control: public, max-age=60|Trailer: X-A", both("trailer")},
		{200, "", "Cache-Control: public, max-age=60|Content-Type: text/event-stream; charset=utf-8", both("event-stream")},
		{200, "", "Cache-Control: public, no-store, must-understand, max-age=60", both("")},
		{599, "", "Cache-Control: public, no-store, must-understand, max-age=60", both("must-understand")},
		{599, "", "Cache-Control: public, max-age=60", [2]string{"status", ""}},
		{500, "", "Cache-Control: public, max-age=60", [2]string{"status", ""}},
		{404, "", "Cache-Control: public, max-age=60", both("")},
		{201, "", "Cache-Control: public|" + modified, both("")},
		{201, "", modified, [2]string{"not-public", "no-freshness"}},
		{206, "", "Cache-Control: public, max-age=60", both("status")},
		{304, "", "Cache-Control: public, max-age=60", both("status")},
		{200, "Authorization: a", "Cache-Control: max-age=60", both("authorization")},
		{200, "Authorization: a", "Cache-Control: max-age=60, must-revalidate", onlyRFC},
		{200, "Authorization: a", "Cache-Control: public, max-age=60", both("")},
		{200, "Authorization: a", "Cache-Control: s-maxage=60", both("")},
	} {
		for policy, refused := range one.refused {
			request := &http.Request{Header: http.Header{}}
			header := http.Header{}
			setFields(request.Header, strings.Split(one.request, "|"))
			setFields(header, strings.Split(one.fields, "|"))
			now := time.Date(2026, time.November, 29, 0, 0, 0, 0, time.UTC)

			a := newAnswer(one.status, header, request, now, now)

			require.Equal(t, refused, a.refusal(Policy(policy)), "%d %s %s, policy %d", one.status, one.request, one.fields, policy)
		}
	}
}

func TestLifetime_TakesTheFirstOfItsSources(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.November, 29, 0, 0, 10, 0, time.UTC)

	for fields, expected := range map[string]time.Duration{
		"Cache-Control: max-age=60, s-maxage=30":                                                    30 * time.Second,
		"Cache-Control: max-age=60|Expires: Mon, 30 Nov 2026 00:00:00 GMT":                          time.Minute,
		"Expires: Sun, 29 Nov 2026 00:01:00 GMT|Date: Sun, 29 Nov 2026 00:00:00 GMT":                time.Minute,
		"Expires: Sun, 29 Nov 2026 00:01:00 GMT|Date: nonsense":                                     50 * time.Second,
		"Expires: Sun, 29 Nov 2026 00:01:00 GMT|Expires: Sun, 29 Nov 2026 00:01:00 GMT":             0,
		"Expires: 0|Last-Modified: Sat, 28 Nov 2026 00:00:00 GMT":                                   0,
		"Last-Modified: Sun, 29 Nov 2026 00:00:00 GMT|Date: Sun, 29 Nov 2026 00:10:00 GMT":          time.Minute,
		"Last-Modified: Sun, 29 Nov 2020 00:00:00 GMT":                                              24 * time.Hour,
		"Last-Modified: Mon, 30 Nov 2026 00:00:00 GMT":                                              0,
		"CDN-Cache-Control: max-age=5|Cache-Control: max-age=60":                                    5 * time.Second,
		"CDN-Cache-Control: other|Cache-Control: max-age=60|Expires: Mon, 30 Nov 2026 00:00:00 GMT": 0,
		"CDN-Cache-Control: |Cache-Control: max-age=60":                                             time.Minute,
	} {
		header := http.Header{}
		setFields(header, strings.Split(fields, "|"))

		life, _ := newAnswer(http.StatusOK, header, &http.Request{}, now, now).lifetime()

		require.Equal(t, expected, life, fields)
	}
}

func TestAge_CountsFromTheLargestEvidence(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.November, 29, 0, 0, 10, 0, time.UTC)

	for fields, expected := range map[string]time.Duration{
		"":                                    2 * time.Second, // the handler took so long
		"Age: 30":                             32 * time.Second,
		"Age: 30, 0":                          32 * time.Second,
		"Age: abc":                            2 * time.Second,
		"Age: -5":                             2 * time.Second,
		"Age: 7.0":                            2 * time.Second,
		"Date: Sun, 29 Nov 2026 00:00:00 GMT": 10 * time.Second,
		"Date: Sun, 29 Nov 2026 00:00:00 GMT|Age: 30": 32 * time.Second,
		"Date: Sun, 29 Nov 2026 00:00:30 GMT":         2 * time.Second,
	} {
		header := http.Header{}
		setFields(header, strings.Split(fields, "|"))

		a := newAnswer(http.StatusOK, header, &http.Request{}, now.Add(-2*time.Second), now)

		require.Equal(t, expected, a.initialAge(), fields)
	}
}
