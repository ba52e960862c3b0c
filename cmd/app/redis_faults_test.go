package main

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWeb_RedisFaults lives through the catalogue of faults. Whatever happens to
// Redis, pages, forms and event streams work, and limits hold. The cases share a
// database; each has a Redis and a web process of its own.
func TestWeb_RedisFaults(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	exercise := redisExercise{
		page: "/", mark: `id="visitor"`, accepted: "/thanks",
		prepare: func(*visitor) (string, url.Values) { return "/notes", newNote() },
		use: func(t *testing.T, web *appProcess) {
			t.Helper()
			eve := newVisitorAt(t, web.url)
			for _, path := range []string{"/", "/thanks"} {
				status, _ := eve.get(path)
				require.Equal(t, http.StatusOK, status, path)
			}
			openEvents(t, eve, "/live").await(t, "retry: ")
			status, at, body := eve.post("/notes", newNote())
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, "/thanks", at)
			require.Contains(t, body, "Thank you.")
		},
		families: []string{"slipway:cache:", "slipway:sequence:"},
	}
	for name, fault := range redisFaults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exercise.suffer(t, *d, fault)
		})
	}
}
