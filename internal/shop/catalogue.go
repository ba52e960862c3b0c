package shop

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Category is a shelf of the store.
type Category struct {
	ID      int64
	Slug    string
	Name    string
	Tagline string
}

// Everything is the whole catalogue as one category. It has no row in the
// database.
var Everything = Category{Slug: "everything", Name: "Everything", Tagline: "All that we stock, from the first mug to the last kite."}

// Product is one product with all that its page shows.
type Product struct {
	ID          int64
	Slug        string
	Name        string
	Tagline     string
	Description string
	Details     []string
	Picture     string // key of its picture, see Picture
	Category    Category
	Variants    []Variant
}

// Stock is the number of units left over all variants.
func (p Product) Stock() int {
	units := 0
	for _, variant := range p.Variants {
		units += variant.Stock
	}
	return units
}

// Variant is what a shopper buys: a product in one colour or size.
type Variant struct {
	ID        int64
	ProductID int64
	SKU       string
	Name      string // empty where the product has only one
	Price     Money
	Stock     int
}

// Categories lists all categories in their order.
func (s *Shop) Categories(ctx context.Context) ([]Category, error) {
	return keptCategories.Fetch(ctx, s.cache, "", s.readCategories)
}

// Featured lists the products of the front page.
func (s *Shop) Featured(ctx context.Context, limit int) ([]Card, error) {
	featured, _, err := s.FrontPage(ctx, limit, 0)
	return featured, err
}

// FrontPage lists the featured products and the newest of the others.
func (s *Shop) FrontPage(ctx context.Context, featured, newest int) (picked, new []Card, err error) {
	first, err := s.listed(ctx, fmt.Sprintf("featured:%d", featured), func(ctx context.Context) ([]Card, error) {
		return s.cards(ctx, "featured products", `ORDER BY p.featured, p.id LIMIT $1`, featured)
	})
	if err != nil {
		return nil, nil, err
	}
	var second []int64
	if newest > 0 {
		second, err = s.listed(ctx, fmt.Sprintf("newest:%d:%d", newest, featured), func(ctx context.Context) ([]Card, error) {
			return s.cards(ctx, "newest products", `
				WHERE p.id NOT IN (SELECT id FROM products ORDER BY featured, id LIMIT $2)
				ORDER BY p.created_at DESC, p.id DESC LIMIT $1`, newest, featured)
		})
		if err != nil {
			return nil, nil, err
		}
	}
	cards, err := s.cardsOf(ctx, first, second)
	if err != nil {
		return nil, nil, err
	}
	return cards[0], cards[1], nil
}

// Category returns one page of a category, or of Everything. It is ErrNotFound
// when there is no such category or no such page.
func (s *Shop) Category(ctx context.Context, slug string, sort Sort, page int) (Category, Listing, error) {
	if !validSlug(slug) || page < 1 {
		return Category{}, Listing{}, ErrNotFound
	}
	kept, err := keptShelves.Fetch(ctx, s.cache, fmt.Sprintf("%s:%s:%d", slug, sort, page), func(ctx context.Context) (shelf, error) {
		return s.readShelf(ctx, slug, sort, page)
	})
	if err != nil {
		return Category{}, Listing{}, err
	}
	listing, err := newListing(sort, page, kept.Total)
	if err != nil {
		return Category{}, Listing{}, err
	}
	cards, err := s.cardsOf(ctx, kept.IDs)
	if err != nil {
		return Category{}, Listing{}, err
	}
	listing.Cards = cards[0]
	return kept.Category, listing, nil
}

// Product returns one product. It is ErrNotFound when there is none.
func (s *Shop) Product(ctx context.Context, slug string) (Product, error) {
	if !validSlug(slug) {
		return Product{}, ErrNotFound
	}
	return readProduct(ctx, s.db, `p.slug = $1`, slug)
}

// ProductOfVariant returns the product that a variant belongs to. It is
// ErrNotFound when there is none.
func (s *Shop) ProductOfVariant(ctx context.Context, variantID int64) (Product, error) {
	return readProduct(ctx, s.db, `p.id = (SELECT product_id FROM variants WHERE id = $1)`, variantID)
}

// Stock returns products with nothing but their ids and the stock of their
// variants, as it was within the last second.
func (s *Shop) Stock(ctx context.Context, productIDs []int64) ([]Product, error) {
	if len(productIDs) == 0 {
		return nil, nil
	}
	productIDs = slices.Compact(slices.Sorted(slices.Values(productIDs)))
	return keptStock.Fetch(ctx, s.cache, fmt.Sprint(productIDs), func(ctx context.Context) ([]Product, error) {
		return s.readStock(ctx, productIDs)
	})
}

// Related lists other products of a product's category.
func (s *Shop) Related(ctx context.Context, product Product, limit int) ([]Card, error) {
	related, err := s.listed(ctx, fmt.Sprintf("related:%d:%d", limit, product.ID), func(ctx context.Context) ([]Card, error) {
		return s.cards(ctx, "products beside "+product.Slug, `
			WHERE p.category_id = $1 AND p.id <> $2
			ORDER BY (p.position - (SELECT position FROM products WHERE id = $2) + 1000) % 1000 LIMIT $3`,
			product.Category.ID, product.ID, limit)
	})
	if err != nil {
		return nil, err
	}
	cards, err := s.cardsOf(ctx, related)
	if err != nil {
		return nil, err
	}
	return cards[0], nil
}

// Picture returns the SVG document of a key. It is ErrNotFound when there is
// none.
func (s *Shop) Picture(ctx context.Context, key string) (string, error) {
	if !validSlug(key) {
		return "", ErrNotFound
	}
	return keptPictures.Fetch(ctx, s.cache, key, func(ctx context.Context) (string, error) {
		var svg string
		err := s.db.QueryRow(ctx, `SELECT svg FROM pictures WHERE key = $1`, key).Scan(&svg)
		if errors.Is(err, pgx.ErrNoRows) {
			return "", ErrNotFound
		}
		if err != nil {
			return "", fmt.Errorf("find picture %s: %w", key, err)
		}
		return svg, nil
	})
}

// Private

var slugPattern = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func validSlug(slug string) bool {
	return len(slug) <= 100 && slugPattern.MatchString(slug)
}

func (s *Shop) readCategories(ctx context.Context) ([]Category, error) {
	rows, err := s.db.Query(ctx, `
		SELECT id, slug, name, tagline
		FROM categories
		ORDER BY position`)
	if err != nil {
		return nil, fmt.Errorf("list categories: %w", err)
	}
	categories, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Category])
	if err != nil {
		return nil, fmt.Errorf("list categories: %w", err)
	}
	return categories, nil
}

// readShelf finds one page of a category.
func (s *Shop) readShelf(ctx context.Context, slug string, sort Sort, page int) (shelf, error) {
	category, total, err := s.findCategory(ctx, slug)
	if err != nil {
		return shelf{}, err
	}
	listing, err := newListing(sort, page, total)
	if err != nil {
		return shelf{}, err
	}
	usual := "p.position"
	if category.ID == Everything.ID {
		usual = "p.featured"
	}
	cards, err := s.cards(ctx, "category "+slug,
		`WHERE ($1::bigint = 0 OR p.category_id = $1) ORDER BY `+listing.Sort.orderBy(usual)+` LIMIT $2 OFFSET $3`,
		category.ID, PageSize, (listing.Page-1)*PageSize)
	return shelf{Category: category, Total: total, IDs: idsOf(cards)}, err
}

// findCategory returns a category with the number of its products.
func (s *Shop) findCategory(ctx context.Context, slug string) (category Category, products int, err error) {
	switch slug {
	case Everything.Slug:
		category = Everything
		err = s.db.QueryRow(ctx, `SELECT count(*) FROM products`).Scan(&products)
	default:
		err = s.db.QueryRow(ctx, `
			SELECT c.id, c.slug, c.name, c.tagline, (SELECT count(*) FROM products p WHERE p.category_id = c.id)
			FROM categories c
			WHERE c.slug = $1`, slug,
		).Scan(&category.ID, &category.Slug, &category.Name, &category.Tagline, &products)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return Category{}, 0, ErrNotFound
	}
	if err != nil {
		return Category{}, 0, fmt.Errorf("find category %s: %w", slug, err)
	}
	return category, products, nil
}

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

// readProduct reads a product with its variants in one round trip.
func readProduct(ctx context.Context, db querier, where string, argument any) (Product, error) {
	rows, err := db.Query(ctx, `
		SELECT p.id, p.slug, p.name, p.tagline, p.description, p.details, p.picture,
		       c.id, c.slug, c.name, c.tagline,
		       v.id, v.product_id, v.sku, v.name, v.price_cents, v.currency, v.stock
		FROM products p
		JOIN categories c ON c.id = p.category_id
		JOIN variants v ON v.product_id = p.id
		WHERE `+where+`
		ORDER BY v.position`, argument)
	if err != nil {
		return Product{}, fmt.Errorf("find product: %w", err)
	}
	var product Product
	variants, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Variant, error) {
		var variant Variant
		err := row.Scan(&product.ID, &product.Slug, &product.Name, &product.Tagline, &product.Description, &product.Details, &product.Picture,
			&product.Category.ID, &product.Category.Slug, &product.Category.Name, &product.Category.Tagline,
			&variant.ID, &variant.ProductID, &variant.SKU, &variant.Name, &variant.Price.Cents, &variant.Price.Currency, &variant.Stock)
		return variant, err
	})
	if err != nil {
		return Product{}, fmt.Errorf("find product: %w", err)
	}
	if len(variants) == 0 {
		return Product{}, ErrNotFound
	}
	product.Variants = variants
	return product, nil
}
