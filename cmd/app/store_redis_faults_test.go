package main

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStore_RedisFaults lives through the catalogue of faults. Whatever happens to
// Redis, shoppers browse, fill carts, order and take part in flash sales, and
// limits hold: each of those is tried in each fault. The cases share a database;
// each has a Redis and a web process of its own.
func TestStore_RedisFaults(t *testing.T) {
	t.Parallel()
	d := deployStore(t)
	variant, _ := d.variantWith("kelp-soap", 10_000)
	d.query(`UPDATE flash_sales SET units = 1000 RETURNING 1`)
	exercise := redisExercise{
		page: "/search?q=soap", mark: `id="cart-badge"[^>]*><span`, accepted: "/orders/",
		prepare: func(ada *visitor) (string, url.Values) {
			require.Equal(ada.t, http.StatusOK, ada.add(variant))
			return "/orders", ada.fillIn(workingCard)
		},
		use:      func(t *testing.T, web *appProcess) { goShopping(t, web, variant) },
		families: []string{"cache:", "sale:", "live:"},
	}
	for name, fault := range redisFaults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exercise.suffer(t, *d, fault)
		})
	}
}

// Private

// goShopping does all that there is to do in the store, as new shoppers: an order
// from the front page to the thanks, and a unit of the flash sale.
func goShopping(t *testing.T, web *appProcess, variant int64) {
	t.Helper()
	eve, ben := newVisitorAt(t, web.url), newVisitorAt(t, web.url)
	for _, path := range []string{"/", "/categories/shore", "/products/kelp-soap", "/search?q=soap", "/cart", "/live/fragments"} {
		status, _ := eve.get(path)
		require.Equal(t, http.StatusOK, status, path)
	}
	openEvents(t, eve, "/live").await(t, "retry: ")

	path, form, open := ben.claim()
	require.True(t, open)
	status, at, _ := ben.post(path, form)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "/cart", at)
	require.Equal(t, http.StatusOK, ben.add(variant))
	status, at, body := ben.post("/orders", ben.fillIn(workingCard))
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, at, "/orders/")
	require.Contains(t, body, "LW-")
}
