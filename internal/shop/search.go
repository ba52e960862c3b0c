package shop

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Search reads one page of the products that match query, by default the best match
// first. It tolerates typing errors. An empty query matches nothing. The number of all
// results is there before Do, which returns ErrNotFound when there is no such page.
func (r *Reads) Search(ctx context.Context, query string, sort Sort, page int) *Listing {
	query = searchable(query)
	var found searchPage
	if query == "" {
		page = 1
	} else {
		var err error
		key := fmt.Sprintf("%s:%d:%s", sort, page, query)
		found, err = searchesCache.Fetch(ctx, r.shop.cache, key, func(ctx context.Context) (searchPage, error) {
			return r.shop.find(ctx, query, sort, page)
		})
		if err != nil {
			r.fail(err)
			return &Listing{}
		}
	}
	listing, err := newListing(sort, page, found.Total)
	if err != nil {
		r.fail(err)
		return &Listing{}
	}
	return r.list(listing, found.IDs)
}

// Private

// maxQuery is the largest number of characters of a query; the rest is ignored.
const maxQuery = 100

// find reads one page of search results.
func (s *Shop) find(ctx context.Context, query string, sort Sort, page int) (searchPage, error) {
	// A match of words ranks above a similarity of letters.
	const matches = `
		JOIN LATERAL (
			SELECT ts_rank(p.search, websearch_to_tsquery('english', $1)) AS words,
			       word_similarity($1, p.words) AS letters
		) AS match ON p.search @@ websearch_to_tsquery('english', $1) OR match.letters >= 0.5`
	var total int
	err := s.db.QueryRow(ctx, `SELECT count(*) FROM products p`+matches, query).Scan(&total)
	if err != nil {
		return searchPage{}, fmt.Errorf("count search results: %w", err)
	}
	listing, err := newListing(sort, page, total)
	if err != nil {
		return searchPage{}, err
	}
	cards, err := s.cards(ctx, "search results",
		matches+` ORDER BY `+listing.Sort.orderBy("(match.words > 0) DESC, match.words + match.letters DESC")+` LIMIT $2 OFFSET $3`,
		query, PageSize, (listing.Page-1)*PageSize)
	return searchPage{Total: total, IDs: idsOf(cards)}, err
}

// searchable turns typed text into a query that PostgreSQL accepts.
func searchable(query string) string {
	query = strings.ReplaceAll(strings.ToValidUTF8(query, ""), "\x00", "")
	query = strings.Join(strings.Fields(query), " ")
	if utf8.RuneCountInString(query) > maxQuery {
		query = strings.TrimSpace(string([]rune(query)[:maxQuery]))
	}
	return query
}
