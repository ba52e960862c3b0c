package shop

import (
	"context"
	"fmt"
)

// How many products the front page shows.
const (
	FeaturedInFront = 8
	NewestInFront   = 4
)

// WarmCache fills the cache that all processes share with what most shoppers
// ask for first: the front page and the first page of every category. The
// shop's own cache is to be one that makes values anew (cache.Options.Renew),
// so that they never get too old.
func (s *Shop) WarmCache(ctx context.Context) error {
	categories, err := s.Categories(ctx)
	if err != nil {
		return fmt.Errorf("warm cache: %w", err)
	}
	if _, _, err := s.FrontPage(ctx, FeaturedInFront, NewestInFront); err != nil {
		return fmt.Errorf("warm cache: %w", err)
	}
	for _, category := range append([]Category{Everything}, categories...) {
		if _, _, err := s.Category(ctx, category.Slug, SortFeatured, 1); err != nil {
			return fmt.Errorf("warm cache with %s: %w", category.Slug, err)
		}
	}
	return nil
}
