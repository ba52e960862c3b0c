package shop

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Search returns one page of the products that match query, the best match
// first. A typing error or two does no harm. An empty query matches nothing.
func (s *Shop) Search(ctx context.Context, query string, sort Sort, page int) (Listing, error) {
	query = searchable(query)
	if query == "" {
		return newListing(sort, 1, 0)
	}
	kept, err := keptSearches.Fetch(ctx, s.cache, fmt.Sprintf("%s:%d:%s", sort, page, query), func(ctx context.Context) (found, error) {
		return s.find(ctx, query, sort, page)
	})
	if err != nil {
		return Listing{}, err
	}
	listing, err := newListing(sort, page, kept.Total)
	if err != nil {
		return Listing{}, err
	}
	cards, err := s.cardsOf(ctx, kept.IDs)
	if err != nil {
		return Listing{}, err
	}
	listing.Cards = cards[0]
	return listing, nil
}

// Private

// maxQuery is how many characters of a search are looked at.
const maxQuery = 100

// find looks for one page of results.
func (s *Shop) find(ctx context.Context, query string, sort Sort, page int) (found, error) {
	// A match of the words counts before a likeness of the letters.
	const matches = `
		JOIN LATERAL (
			SELECT ts_rank(p.search, websearch_to_tsquery('english', $1)) AS words,
			       word_similarity($1, p.words) AS letters
		) AS match ON p.search @@ websearch_to_tsquery('english', $1) OR match.letters >= 0.5`
	var total int
	err := s.db.QueryRow(ctx, `SELECT count(*) FROM products p`+matches, query).Scan(&total)
	if err != nil {
		return found{}, fmt.Errorf("count search results: %w", err)
	}
	listing, err := newListing(sort, page, total)
	if err != nil {
		return found{}, err
	}
	cards, err := s.cards(ctx, "search results",
		matches+` ORDER BY `+listing.Sort.orderBy("(match.words > 0) DESC, match.words + match.letters DESC")+` LIMIT $2 OFFSET $3`,
		query, PageSize, (listing.Page-1)*PageSize)
	return found{Total: total, IDs: idsOf(cards)}, err
}

// searchable makes of what was typed something that PostgreSQL can look for.
func searchable(query string) string {
	query = strings.ReplaceAll(strings.ToValidUTF8(query, ""), "\x00", "")
	query = strings.Join(strings.Fields(query), " ")
	if utf8.RuneCountInString(query) > maxQuery {
		query = strings.TrimSpace(string([]rune(query)[:maxQuery]))
	}
	return query
}
