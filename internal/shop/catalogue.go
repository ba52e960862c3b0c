package shop

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5"
)

// Category is a category of products.
type Category struct {
	ID      int64
	Slug    string
	Name    string
	Tagline string
}

// Everything is the whole catalogue as a category. It has no row in the database.
var Everything = Category{Slug: "everything", Name: "Everything", Tagline: "All that we stock, from the first mug to the last kite."}

// Categories lists all categories in display order.
func (s *Shop) Categories(ctx context.Context) ([]Category, error) {
	return categoriesCache.Fetch(ctx, s.cache, "", s.readCategories)
}

// ProductSlugs are the slugs of all products, at most limit.
func (s *Shop) ProductSlugs(ctx context.Context, limit int) ([]string, error) {
	rows, err := s.db.Query(ctx, `SELECT slug FROM products ORDER BY id LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("list products: %w", err)
	}
	slugs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list products: %w", err)
	}
	return slugs, nil
}

// Featured lists the first featured products.
func (s *Shop) Featured(ctx context.Context, limit int) ([]Card, error) {
	featured, _, err := s.FrontPage(ctx, limit, 0)
	return featured, err
}

// FrontPage lists featured products, and the newest of the others.
func (s *Shop) FrontPage(ctx context.Context, featured, newest int) (picked, others []Card, err error) {
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

// Category returns one page of a category, or of Everything. The error is
// ErrNotFound when there is no such category or page.
func (s *Shop) Category(ctx context.Context, slug string, sort Sort, page int) (Category, Listing, error) {
	if !validSlug(slug) || page < 1 {
		return Category{}, Listing{}, ErrNotFound
	}
	key := fmt.Sprintf("%s:%s:%d", slug, sort, page)
	cached, err := categoryPagesCache.Fetch(ctx, s.cache, key, func(ctx context.Context) (categoryPage, error) {
		return s.readCategoryPage(ctx, slug, sort, page)
	})
	if err != nil {
		return Category{}, Listing{}, err
	}
	listing, err := newListing(sort, page, cached.Total)
	if err != nil {
		return Category{}, Listing{}, err
	}
	cards, err := s.cardsOf(ctx, cached.IDs)
	if err != nil {
		return Category{}, Listing{}, err
	}
	listing.Cards = cards[0]
	return cached.Category, listing, nil
}

// Related lists other products of the same category.
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

// Picture returns the SVG document with this key, or ErrNotFound.
func (s *Shop) Picture(ctx context.Context, key string) (string, error) {
	if !validSlug(key) {
		return "", ErrNotFound
	}
	return picturesCache.Fetch(ctx, s.cache, key, func(ctx context.Context) (string, error) {
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

// readCategoryPage reads one page of a category.
func (s *Shop) readCategoryPage(ctx context.Context, slug string, sort Sort, page int) (categoryPage, error) {
	category, total, err := s.findCategory(ctx, slug)
	if err != nil {
		return categoryPage{}, err
	}
	listing, err := newListing(sort, page, total)
	if err != nil {
		return categoryPage{}, err
	}
	usual := "p.position"
	if category.ID == Everything.ID {
		usual = "p.featured"
	}
	cards, err := s.cards(ctx, "category "+slug,
		`WHERE ($1::bigint = 0 OR p.category_id = $1) ORDER BY `+listing.Sort.orderBy(usual)+` LIMIT $2 OFFSET $3`,
		category.ID, PageSize, (listing.Page-1)*PageSize)
	return categoryPage{Category: category, Total: total, IDs: idsOf(cards)}, err
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
