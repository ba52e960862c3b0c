package shop

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"golang.org/x/text/unicode/norm"
)

// Search reads one page of the products that match query, by default the best match
// first. It tolerates typing errors and missing accents, and finds beginnings of words
// and of SKUs. An empty query matches nothing. Of a query that matches very many
// products, the results are some of them, and Listing.More is set. The number of all
// results is there before Do, which returns ErrNotFound when there is no such page.
func (r *Reads) Search(ctx context.Context, query string, sort Sort, page int) *Listing {
	if page < 1 || page > mostFound/PageSize {
		r.fail(ErrNotFound)
		return &Listing{}
	}
	query = searchable(query)
	var found searchResults
	if query == "" {
		page = 1
	} else {
		var err error
		found, err = searchesCache.Fetch(ctx, r.shop.cache, string(sort)+":"+query, func(ctx context.Context) (searchResults, error) {
			return r.shop.search(ctx, query, sort)
		})
		if err != nil {
			r.fail(err)
			return &Listing{}
		}
	}
	listing := Listing{Sort: sort, Page: page, Pages: max(1, (len(found.IDs)+PageSize-1)/PageSize), Total: len(found.IDs), More: found.More}
	if page > listing.Pages {
		r.fail(ErrNotFound)
		return &Listing{}
	}
	listing.Last = page == listing.Pages
	return r.list(listing, found.IDs[(page-1)*PageSize:min(page*PageSize, len(found.IDs))])
}

// Private

const (
	// maxQuery is the largest number of characters of a query; the rest is ignored.
	maxQuery = 100
	// maxTerms is the largest number of words of a query that are corrected and completed.
	maxTerms = 8
)

// searchable turns typed text into a query that PostgreSQL accepts.
func searchable(query string) string {
	query = strings.ReplaceAll(strings.ToValidUTF8(query, ""), "\x00", "")
	query = norm.NFC.String(strings.Join(strings.Fields(query), " "))
	if utf8.RuneCountInString(query) > maxQuery {
		query = strings.TrimSpace(string([]rune(query)[:maxQuery]))
	}
	return query
}

// validText reports whether PostgreSQL accepts a text.
func validText(text string) bool { return utf8.ValidString(text) && !strings.Contains(text, "\x00") }

// search finds the products that match a query. It reads a bounded number of products
// whatever the query is: see finder.
func (s *Shop) search(ctx context.Context, query string, sort Sort) (searchResults, error) {
	f := finder{query: query, sort: sort, found: map[int64]bool{}}
	err := pgx.BeginTxFunc(ctx, s.db, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, searchSettings); err != nil {
			return fmt.Errorf("prefer the indexes of the search: %w", err)
		}
		return f.run(ctx, tx)
	})
	if err != nil {
		return searchResults{}, fmt.Errorf("search: %w", err)
	}
	return f.results, nil
}

// searchSettings make PostgreSQL plan each statement for its own arguments and by index.
// Their costs are bounded, which its estimates do not know. Words are similar when half
// of their letters are.
const searchSettings = `
	SET LOCAL enable_seqscan = off;
	SET LOCAL plan_cache_mode = force_custom_plan;
	SET LOCAL max_parallel_workers_per_gather = 0;
	SET LOCAL jit = off;
	SET LOCAL pg_trgm.word_similarity_threshold = 0.5`
