package main

import (
	"testing"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/shop"
)

// deployStore prepares the store with its sample data on a migrated database.
// The PostgreSQL server is shared with other tests.
func deployStore(t *testing.T) *deployment {
	t.Helper()
	d := deployStoreOn(t, pgtest.URL(t, shop.Migrations())).patient()
	d.command("seed")
	return d
}

// deployStoreAlone prepares the store with its sample data on a PostgreSQL server
// that the test may stop.
func deployStoreAlone(t *testing.T) (*deployment, *devstack.Postgres) {
	t.Helper()
	postgres := stacktest.Postgres(t)
	d := deployStoreOn(t, postgres.URL())
	d.command("migrate")
	d.command("seed")
	return d, postgres
}

func deployStoreOn(t *testing.T, databaseURL string) *deployment {
	t.Helper()
	d := newDeployment(t, isNewApplication, databaseURL)
	d.environment["BASE_URL"] = "http://leeward.example"
	d.environment["ORDER_LIMIT"] = "0" // tests order often, and from one address
	return d
}

// variantWith is the first variant of a product, with its stock set.
func (d *deployment) variantWith(slug string, stock int) (variant, product int64) {
	d.t.Helper()
	variant = d.query(`
		UPDATE variants SET stock = $2
		WHERE id = (SELECT v.id FROM variants v JOIN products p ON p.id = v.product_id WHERE p.slug = $1 ORDER BY v.position LIMIT 1)
		RETURNING id`, slug, stock)
	return variant, d.query(`SELECT product_id FROM variants WHERE id = $1`, variant)
}
