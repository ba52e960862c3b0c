package shop

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5"

	"slipway/internal/postgres"
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

// FrontPage are the products of the front page.
type FrontPage struct {
	Featured []Card
	Newest   []Card // of the others
}

// FrontPage reads featured products, and the newest of the others.
func (r *Reads) FrontPage(ctx context.Context, featured, newest int) *FrontPage {
	first, err := r.shop.listed(ctx, fmt.Sprintf("featured:%d", featured), func(ctx context.Context) ([]Card, error) {
		return r.shop.cards(ctx, "featured products", `ORDER BY p.featured, p.id LIMIT $1`, featured)
	})
	if err != nil {
		r.fail(err)
		return &FrontPage{}
	}
	var second []int64
	if newest > 0 {
		second, err = r.shop.listed(ctx, fmt.Sprintf("newest:%d:%d", newest, featured), func(ctx context.Context) ([]Card, error) {
			return r.shop.cards(ctx, "newest products", `
				WHERE p.id NOT IN (SELECT id FROM products ORDER BY featured, id LIMIT $2)
				ORDER BY p.created_at DESC, p.id DESC LIMIT $1`, newest, featured)
		})
		if err != nil {
			r.fail(err)
			return &FrontPage{}
		}
	}
	return read(r, as(listsStatement(first, second), func(lists [][]Card) FrontPage {
		return FrontPage{Featured: lists[0], Newest: lists[1]}
	}))
}

// Category reads one page of a category, or of Everything. Do returns ErrNotFound when
// there is no such category or page, and when the cursor of place is none of this list.
func (r *Reads) Category(ctx context.Context, slug string, sort Sort, place Place) (Category, *Listing) {
	if !validSlug(slug) || place.Page < 1 || place.Page > mostPages {
		r.fail(ErrNotFound)
		return Category{}, &Listing{}
	}
	pages, key := categoryPagesCache, fmt.Sprintf("%s:%s:%d", slug, sort, place.Page)
	if place.After != "" {
		pages, key = continuedPagesCache, fmt.Sprintf("%s:%s:%d:%s", slug, sort, place.Page, place.After)
	}
	cached, err := pages.Fetch(ctx, r.shop.cache, key, func(ctx context.Context) (categoryPage, error) {
		return r.shop.readCategoryPage(ctx, slug, sort, place)
	})
	if err != nil {
		r.fail(err)
		return Category{}, &Listing{}
	}
	listing := Listing{Sort: sort, Page: place.Page, Total: cached.Total, More: cached.More, Next: cached.Next, Last: cached.Last}
	if !cached.More {
		// Products that were added after the first page move the last one.
		listing.Pages = max(1, (cached.Total+PageSize-1)/PageSize, place.Page)
	}
	return cached.Category, r.list(listing, cached.IDs)
}

// Related reads other products of the category of a product: those that come next in its
// order, and after the last one those at its beginning. They are none for a product that
// does not exist.
func (r *Reads) Related(ctx context.Context, slug string, limit int) *[]Card {
	related, err := listsCache.Fetch(ctx, r.shop.cache, fmt.Sprintf("related:%d:%s", limit, slug), func(ctx context.Context) ([]int64, error) {
		ids, err := r.shop.productsBeside(ctx, slug, limit)
		if err == nil && len(ids) == 0 {
			err = ErrNotFound // the product may be invented, and must not fill Redis
		}
		return ids, err
	})
	if errors.Is(err, ErrNotFound) {
		return &[]Card{}
	}
	if err != nil {
		r.fail(err)
		return &[]Card{}
	}
	return read(r, as(listsStatement(related), func(lists [][]Card) []Card { return lists[0] }))
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

// productsBeside reads the products that follow a product in its category.
func (s *Shop) productsBeside(ctx context.Context, slug string, limit int) (ids []int64, err error) {
	// Both parts read the index of the category from its product, or from its beginning.
	const part = `
		(SELECT near.id, near.position, %d AS round
		 FROM products this
		 JOIN LATERAL (
			SELECT p.id, p.position
			FROM products p
			WHERE p.category_id = this.category_id AND (p.position, p.id) %s (this.position, this.id)
			  AND EXISTS (SELECT FROM product_prices price WHERE price.product_id = p.id)
			ORDER BY p.position, p.id
			LIMIT $2
		 ) AS near ON true
		 WHERE this.slug = $1)`
	statement := fmt.Sprintf(`SELECT id FROM (`+part+` UNION ALL `+part+`) AS near ORDER BY round, position, id LIMIT $2`, 1, ">", 2, "<")
	err = postgres.ByIndex(ctx, s.db, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, statement, slug, limit)
		if err != nil {
			return err
		}
		ids, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list products beside %s: %w", slug, err)
	}
	return ids, nil
}

// mostPages bounds page numbers, so that no sum of products overflows.
const mostPages = 1 << 30

// readCategoryPage reads one page of a category.
func (s *Shop) readCategoryPage(ctx context.Context, slug string, sort Sort, place Place) (categoryPage, error) {
	category, err := s.findCategory(ctx, slug)
	if err != nil {
		return categoryPage{}, err
	}
	page, err := s.pageOfShelf(ctx, shelf{category: category.ID, sort: sort}, place)
	page.Category = category
	return page, err
}

// findCategory returns a category, or ErrNotFound.
func (s *Shop) findCategory(ctx context.Context, slug string) (Category, error) {
	if slug == Everything.Slug {
		return Everything, nil
	}
	var category Category
	row := s.db.QueryRow(ctx, `SELECT id, slug, name, tagline FROM categories WHERE slug = $1`, slug)
	err := row.Scan(&category.ID, &category.Slug, &category.Name, &category.Tagline)
	if errors.Is(err, pgx.ErrNoRows) {
		return Category{}, ErrNotFound
	}
	if err != nil {
		return Category{}, fmt.Errorf("find category %s: %w", slug, err)
	}
	return category, nil
}
