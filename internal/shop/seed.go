package shop

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"slipway/internal/shop/sample"
)

// Seed stores the sample catalogue and returns how many products that are. It
// may run again at any time: words, pictures and prices become those of the
// sample, while the stock of variants that are there already stays as it is.
func (s *Shop) Seed(ctx context.Context) (int, error) {
	products := 0
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		// Two seeds at once take turns.
		if _, err := tx.Exec(ctx, `LOCK TABLE categories IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return fmt.Errorf("lock catalogue: %w", err)
		}
		for shelf, category := range sample.Categories() {
			categoryID, err := seedCategory(ctx, tx, category, shelf)
			if err != nil {
				return fmt.Errorf("seed category %s: %w", category.Slug, err)
			}
			for i, product := range category.Products {
				// The front page goes round the shelves, one product of each.
				place := place{categoryID: categoryID, position: i, featured: i*100 + shelf, ageInDays: (i*5+shelf*3)%60 + 1}
				if err := seedProduct(ctx, tx, product, place); err != nil {
					return fmt.Errorf("seed product %s: %w", product.Slug, err)
				}
				products++
			}
		}
		return nil
	})
	return products, err
}

// Private

// place is where a product stands in the store.
type place struct {
	categoryID int64
	position   int
	featured   int
	ageInDays  int
}

func seedCategory(ctx context.Context, tx pgx.Tx, category sample.Category, position int) (int64, error) {
	var id int64
	err := tx.QueryRow(ctx, `
		INSERT INTO categories (slug, name, tagline, position) VALUES ($1, $2, $3, $4)
		ON CONFLICT (slug) DO UPDATE SET name = excluded.name, tagline = excluded.tagline, position = excluded.position
		RETURNING id`, category.Slug, category.Name, category.Tagline, position,
	).Scan(&id)
	return id, err
}

func seedProduct(ctx context.Context, tx pgx.Tx, product sample.Product, place place) error {
	sum := sha256.Sum256([]byte(product.Picture))
	picture := product.Slug + "-" + hex.EncodeToString(sum[:6])
	words := strings.Join([]string{product.Name, product.Tagline}, " ")

	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO pictures (key, svg) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING`, picture, product.Picture)
	batch.Queue(`
		INSERT INTO products (category_id, slug, name, tagline, description, details, picture, position, featured, created_at, words)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now() - make_interval(days => $10), $11)
		ON CONFLICT (slug) DO UPDATE
		SET category_id = excluded.category_id, name = excluded.name, tagline = excluded.tagline, description = excluded.description,
		    details = excluded.details, picture = excluded.picture, position = excluded.position, featured = excluded.featured,
		    words = excluded.words`,
		place.categoryID, product.Slug, product.Name, product.Tagline, product.Description, product.Details, picture,
		place.position, place.featured, place.ageInDays, words)
	for i, variant := range product.Variants {
		batch.Queue(`
			INSERT INTO variants (product_id, sku, name, price_cents, stock, position)
			VALUES ((SELECT id FROM products WHERE slug = $1), $2, $3, $4, $5, $6)
			ON CONFLICT (sku) DO UPDATE
			SET product_id = excluded.product_id, name = excluded.name, price_cents = excluded.price_cents, position = excluded.position`,
			product.Slug, variant.SKU, variant.Name, variant.PriceCents, variant.Stock, i)
	}
	return tx.SendBatch(ctx, batch).Close()
}
