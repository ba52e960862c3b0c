package main

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStore_PostgreSQLFaults lives through the catalogue of faults: what shoppers
// and operators see while each lasts, and that a checkout that failed can be sent
// again and makes one order.
func TestStore_PostgreSQLFaults(t *testing.T) {
	d, postgres := deployStoreAlone(t)
	f := newFaultyPostgres(t, d, postgres)
	f.readTables, f.writtenTable = []string{"products", "pictures", "categories", "carts"}, "orders"
	exercise := postgresExercise{
		page: "/products/kelp-soap", mark: `id="cart-badge"[^>]*><span`, reads: []string{"/cart", "/search?q=soap"}, crowd: "/search?q=soap",
		prepare: func(ada *visitor) (string, url.Values) {
			variant, _ := d.variantWith("kelp-soap", 5)
			require.Equal(ada.t, http.StatusOK, ada.add(variant))
			return "/orders", ada.fillIn(workingCard)
		},
	}

	exercise.run(t, f)
}
