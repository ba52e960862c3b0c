package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestCache_APurgeReachesEveryWebProcess(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	one, two := d.start("web"), d.start("web")
	hits := func(web *appProcess) bool {
		response, err := http.Get(web.url)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.Header.Get("X-Cache") == "hit"
	}
	for _, web := range []*appProcess{one, two} {
		stacktest.Eventually(t, func() bool { return hits(web) })
	}
	d.execute(`UPDATE boards SET title = 'Another title'`)

	require.Contains(t, d.exits(exitOK, "cache", "purge", "board"), "was told to remove the pages")

	for _, web := range []*appProcess{one, two} {
		v := newVisitor(t, web.url)
		stacktest.Eventually(t, func() bool {
			_, body := v.get("/")
			return body != "" && strings.Contains(body, "Another title")
		})
	}
	d.execute(`UPDATE boards SET title = 'A third title'`)
	d.exits(exitOK, "cache", "purge", "--all")
	stacktest.Eventually(t, func() bool {
		_, body := newVisitor(t, one.url).get("/")
		return strings.Contains(body, "A third title")
	})
	require.Contains(t, d.exits(exitUsage, "cache", "purge"), "name the tags of pages, or --all")
	require.Contains(t, d.exits(exitUsage, "cache", "purge", "--all", "board"), "and not both")
	require.Contains(t, d.exits(exitFailed, "cache", "purge", ""), `"" is no tag`)
}
