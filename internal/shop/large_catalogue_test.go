package shop_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// grow adds products to the category deck. Each has the word "quoddy", every tenth also
// "tenthly" and every thousandth "thousandth". Half of them have "portside", the others
// "starboard".
func (s store) grow(t testing.TB, products int) {
	t.Helper()
	for _, statement := range []string{
		`ALTER TABLE products DISABLE TRIGGER expire_catalogue`,
		`ALTER TABLE variants DISABLE TRIGGER expire_pages_of_another`,
	} {
		_, err := s.db.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	_, err := s.db.Exec(t.Context(), `
		INSERT INTO products (category_id, slug, name, tagline, description, details, picture, position, featured, created_at, words)
		SELECT (SELECT id FROM categories WHERE slug = 'deck'), 'grown-' || n, name, CASE n % 2 WHEN 0 THEN 'Portside.' ELSE 'Starboard.' END,
		       'One of many.', '{}', (SELECT min(key) FROM pictures), n % 700, n % 900, now() - make_interval(mins => n % 800), name
		FROM generate_series(1, $1::int) AS n, LATERAL (
			SELECT 'Quoddy ' || CASE WHEN n % 1000 = 0 THEN 'Thousandth ' WHEN n % 10 = 0 THEN 'Tenthly ' ELSE '' END || n % 600 AS name
		) AS named`, products)
	require.NoError(t, err)
	_, err = s.db.Exec(t.Context(), `
		INSERT INTO variants (product_id, sku, name, price_cents, stock, position)
		SELECT id, 'GROWN-' || id, '', 100 + id % 300, 5, 0 FROM products WHERE slug LIKE 'grown-%'`)
	require.NoError(t, err)
	_, err = s.db.Exec(t.Context(), `VACUUM ANALYZE products, variants, product_prices, search_words`)
	require.NoError(t, err)
}
