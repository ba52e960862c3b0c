package shop

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Product is one product with everything that its page shows.
type Product struct {
	ID          int64
	Slug        string
	Name        string
	Tagline     string
	Description string
	Details     []string
	Picture     string // key for Shop.Picture
	Category    Category
	Variants    []Variant
	OnSale      bool // one of the variants has a sale that pages show
}

// Stock is the number of units left of all variants.
func (p Product) Stock() int {
	units := 0
	for _, variant := range p.Variants {
		units += variant.Stock
	}
	return units
}

// Variant is a product in one colour or size. Shoppers buy variants.
type Variant struct {
	ID        int64
	ProductID int64
	SKU       string
	Name      string // empty when it is the only variant
	Price     Money
	Stock     int
}

// Product reads one product. There may be none: then Do returns ErrNotFound.
func (r *Reads) Product(slug string) *Product {
	if !validSlug(slug) {
		r.fail(ErrNotFound)
		return &Product{}
	}
	return read(r, productStatement(`p.slug = $1`, slug))
}

// ProductOfVariant returns the product of a variant, or ErrNotFound.
func (s *Shop) ProductOfVariant(ctx context.Context, variantID int64) (Product, error) {
	return productStatement(`p.id = (SELECT product_id FROM variants WHERE id = $1)`, variantID).read(ctx, s.db)
}

// Stock returns products with only their ids and the ids and stock of their
// variants. It may be one second old.
func (s *Shop) Stock(ctx context.Context, productIDs []int64) ([]Product, error) {
	if len(productIDs) == 0 {
		return nil, nil
	}
	productIDs = slices.Compact(slices.Sorted(slices.Values(productIDs)))
	return stockCache.Fetch(ctx, s.cache, fmt.Sprint(productIDs), func(ctx context.Context) ([]Product, error) {
		return s.readStock(ctx, productIDs)
	})
}

// Private

func (s *Shop) readStock(ctx context.Context, productIDs []int64) ([]Product, error) {
	rows, err := s.db.Query(ctx, `
		SELECT product_id, id, stock
		FROM variants
		WHERE product_id = ANY($1)
		ORDER BY product_id, position`, productIDs)
	if err != nil {
		return nil, fmt.Errorf("read stock: %w", err)
	}
	var products []Product
	var variant Variant
	_, err = pgx.ForEachRow(rows, []any{&variant.ProductID, &variant.ID, &variant.Stock}, func() error {
		if len(products) == 0 || products[len(products)-1].ID != variant.ProductID {
			products = append(products, Product{ID: variant.ProductID})
		}
		last := &products[len(products)-1]
		last.Variants = append(last.Variants, variant)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read stock: %w", err)
	}
	return products, nil
}

// productStatement reads a product and its variants.
func productStatement(where string, argument any) statement[Product] {
	return statement[Product]{
		doing: "find product",
		sql: `
		SELECT p.id, p.slug, p.name, p.tagline, p.description, p.details, p.picture,
		       c.id, c.slug, c.name, c.tagline,
		       v.id, v.product_id, v.sku, v.name, v.price_cents, v.currency, v.stock,
		       EXISTS (SELECT FROM flash_sales s WHERE ` + nearestSales + `s.variant_id = v.id)
		FROM products p
		JOIN categories c ON c.id = p.category_id
		JOIN variants v ON v.product_id = p.id
		WHERE ` + where + `
		ORDER BY v.position`,
		arguments: []any{argument},
		collect:   collectProduct,
	}
}

func collectProduct(rows pgx.Rows) (product Product, err error) {
	product.Variants, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Variant, error) {
		var variant Variant
		var onSale bool
		err := row.Scan(&product.ID, &product.Slug, &product.Name, &product.Tagline, &product.Description, &product.Details, &product.Picture,
			&product.Category.ID, &product.Category.Slug, &product.Category.Name, &product.Category.Tagline,
			&variant.ID, &variant.ProductID, &variant.SKU, &variant.Name, &variant.Price.Cents, &variant.Price.Currency, &variant.Stock,
			&onSale)
		product.OnSale = product.OnSale || onSale
		return variant, err
	})
	if err == nil && len(product.Variants) == 0 {
		err = ErrNotFound
	}
	return product, err
}
