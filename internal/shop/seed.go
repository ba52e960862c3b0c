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

// Seed stores the sample catalogue and returns its number of products. It may run
// again at any time: it resets texts, pictures and prices to the sample, and does
// not change the stock of existing variants.
func (s *Shop) Seed(ctx context.Context) (int, error) {
	products := 0
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		// Two runs at once take turns.
		if _, err := tx.Exec(ctx, `LOCK TABLE categories IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return fmt.Errorf("lock catalogue: %w", err)
		}
		for row, category := range sample.Categories() {
			categoryID, err := seedCategory(ctx, tx, category, row)
			if err != nil {
				return fmt.Errorf("seed category %s: %w", category.Slug, err)
			}
			for i, product := range category.Products {
				// The front page shows one product of each category in turn.
				placement := placement{categoryID: categoryID, position: i, featured: i*100 + row, ageInDays: (i*5+row*3)%60 + 1}
				if err := seedProduct(ctx, tx, product, placement); err != nil {
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

// placement is the position of a product in lists.
type placement struct {
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

func seedProduct(ctx context.Context, tx pgx.Tx, product sample.Product, at placement) error {
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
		at.categoryID, product.Slug, product.Name, product.Tagline, product.Description, product.Details, picture,
		at.position, at.featured, at.ageInDays, words)
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
