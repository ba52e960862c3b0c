package shop

import (
	"context"
	"fmt"
)

// The numbers of products on the front page.
const (
	FeaturedInFront = 8
	NewestInFront   = 4
)

// WarmCache fills the shared cache with the front page and the first page of every
// category. The store must have a cache with the option Renew, which loads
// the value at every read and so replaces it before it expires.
func (s *Shop) WarmCache(ctx context.Context) error {
	categories, err := s.Categories(ctx)
	if err != nil {
		return fmt.Errorf("warm cache: %w", err)
	}
	pages := s.Reads()
	pages.FrontPage(ctx, FeaturedInFront, NewestInFront)
	for _, category := range append([]Category{Everything}, categories...) {
		pages.Category(ctx, category.Slug, SortFeatured, Place{Page: 1})
	}
	if err := pages.Do(ctx); err != nil {
		return fmt.Errorf("warm cache: %w", err)
	}
	return nil
}
