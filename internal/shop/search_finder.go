package shop

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// Private

// The limits of one search.
const (
	// mostFound is the largest number of results.
	mostFound = 20 * PageSize
	// enough is the number of results from which on similar words are not looked up.
	enough = 2 * PageSize
	// gathered is the largest number of matches that are ranked.
	gathered = 3 * mostFound
	// The words of a query are first looked up in the sampled first products of Everything.
	// When many of them have the words, the query is looked up in the firstLooked ones, one
	// by one. Otherwise the index is asked, which first collects all products with the words.
	sampled     = 240
	firstLooked = 6 * mostFound
	// examined is the largest number of products that the index finds. They are looked at
	// for words that follow each other, and for similar ones in their name or tagline.
	examined = 60 * mostFound
	// nearWords and longerWords are the largest numbers of words of the catalogue that
	// correct and complete a word of the query.
	nearWords   = 8
	longerWords = 12
	// likeWords is the largest number of words of the catalogue that are compared with a word
	// of the query.
	likeWords = 2000
	// shortTerm is the length in characters below which the index is not searched for all
	// words that begin with a word of the query. Below correctable, and when it is a number,
	// it is not corrected: too many words have letters of it.
	shortTerm   = 3
	correctable = 4
)

// finder finds the products of one query: those that match it as it is, and while these
// are not enough, those with words that it may mean.
type finder struct {
	query string
	sort  Sort

	terms   []term
	ids     []int64 // in the order in which they were found
	found   map[int64]bool
	exact   int  // how many of ids were found by their SKU or their whole name
	sure    int  // how many of ids match each word of the query
	cut     bool // products that were not looked at may match each word of the query
	results searchResults
}

// term is a word of the query with the words of the catalogue that it may mean.
type term struct {
	text    string   // in lower case, without accents
	stop    bool     // a word such as "the", which is in no index
	same    []string // lexemes of the word itself, also of its spellings with accents
	similar []string // lexemes of words that it begins or misspells
}

func (f *finder) run(ctx context.Context, tx pgx.Tx) error {
	if err := f.findSKUs(ctx, tx); err != nil {
		return fmt.Errorf("find SKUs: %w", err)
	}
	if err := f.findNames(ctx, tx); err != nil {
		return fmt.Errorf("find names: %w", err)
	}
	if err := f.findWords(ctx, tx); err != nil {
		return fmt.Errorf("find words: %w", err)
	}
	if len(f.ids) < enough && !literal(f.query) {
		if err := f.findSimilarWords(ctx, tx); err != nil {
			return fmt.Errorf("find similar words: %w", err)
		}
	}
	if err := f.rank(ctx, tx); err != nil {
		return fmt.Errorf("rank products: %w", err)
	}
	return nil
}

// findSKUs finds the products of variants whose SKU is the query or begins with it.
func (f *finder) findSKUs(ctx context.Context, tx pgx.Tx) error {
	if len(f.query) < shortTerm || strings.Contains(f.query, " ") || !strings.ContainsFunc(f.query, isOfCode) {
		return nil
	}
	rows, err := tx.Query(ctx, `
		SELECT product_id
		FROM variants
		WHERE upper(sku) COLLATE "C" BETWEEN upper($1) AND upper($1) || '~'
		ORDER BY upper(sku) COLLATE "C", product_id
		LIMIT $2`, f.query, mostFound+1)
	return f.addExact(rows, err)
}

// isOfCode reports whether a character is one that codes have and words have not.
func isOfCode(r rune) bool { return r == '-' || unicode.IsDigit(r) }

// findNames finds the products whose name is the query. Many others may have its words.
func (f *finder) findNames(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `SELECT id FROM products WHERE lower(name) = lower($1) ORDER BY id LIMIT $2`, f.query, mostFound+1)
	return f.addExact(rows, err)
}

// addExact adds the products of a statement, which come before all that match less well.
func (f *finder) addExact(rows pgx.Rows, err error) error {
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	f.add(ids...)
	f.exact, f.sure = len(f.ids), len(f.ids)
	return err
}

// findWords finds the products that match the query as it is.
func (f *finder) findWords(ctx context.Context, tx pgx.Tx) error {
	s := search{queries: []string{""}, anywhere: []string{""}, operator: " AND "}
	// A query that only says which words are not meant is no work for the index. Words that
	// follow each other are found by the index as words that are there, whatever words are
	// not meant.
	err := tx.QueryRow(ctx, `
		SELECT query::text, querytree(query) <> 'T',
		       regexp_replace(querytree(query), ' <(-|[0-9]+)> ', ' & ', 'g')
		FROM websearch_to_tsquery('english', $1) AS query`, f.query).Scan(&s.queries[0], &s.indexed, &s.anywhere[0])
	if err != nil {
		return err
	}
	err = f.find(ctx, tx, s)
	f.sure = len(f.ids)
	return err
}

// findSimilarWords finds the products that match each word of the query, or one that it
// may mean, and while these are not enough, any of them.
func (f *finder) findSimilarWords(ctx context.Context, tx pgx.Tx) error {
	if err := f.readTerms(ctx, tx); err != nil {
		return err
	}
	each := search{operator: " AND ", indexed: true}
	for _, t := range f.terms {
		if !t.stop || len(f.terms) == 1 {
			each.queries = append(each.queries, t.meant(":AB"))
			each.anywhere = append(each.anywhere, t.meant(""))
			each.indexed = each.indexed && utf8.RuneCountInString(t.text) >= shortTerm
		}
	}
	err := f.find(ctx, tx, each)
	f.sure = len(f.ids)
	if err == nil && len(each.queries) > 1 && len(f.ids) < enough {
		each.operator = " OR "
		err = f.find(ctx, tx, each)
	}
	return err
}

// readTerms reads which words of the catalogue the words of the query may mean.
func (f *finder) readTerms(ctx context.Context, tx pgx.Tx) error {
	words := strings.FieldsFunc(f.query, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
	words = words[:min(len(words), maxTerms)]
	if len(words) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, `
		SELECT term.text, term.own = '{}', term.own || ARRAY(
			SELECT lexeme
			FROM search_words
			WHERE word = term.text
			LIMIT $3
		), ARRAY(
			SELECT lexeme
			FROM search_words
			WHERE word > term.text AND word < term.text || U&'\+10FFFF'
			ORDER BY word
			LIMIT $3
		) || ARRAY(
			SELECT lexeme
			FROM (
				-- No other index than that of letters can be read for a ctid.
				SELECT word, lexeme
				FROM search_words
				WHERE length(term.text) >= $4 AND term.text !~ '^[0-9]+$' AND term.text <% word AND ctid IS NOT NULL
				LIMIT $5
			) AS alike
			ORDER BY word_similarity(term.text, word) DESC, similarity(term.text, word) DESC, word
			LIMIT $2
		)
		FROM (
			SELECT n, lower(unaccent(word)) COLLATE "C" AS text, tsvector_to_array(to_tsvector('english', word)) AS own
			FROM unnest($1::text[]) WITH ORDINALITY AS typed (word, n)
		) AS term
		WHERE term.text <> '' -- unaccent leaves nothing of an accent without a letter
		ORDER BY term.n`, words, nearWords, longerWords, correctable, likeWords)
	if err != nil {
		return err
	}
	f.terms, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (term, error) {
		var t term
		err := row.Scan(&t.text, &t.stop, &t.same, &t.similar)
		return t, err
	})
	return err
}

// literal reports whether a query has signs by which it is meant word for word.
func literal(query string) bool {
	return strings.Contains(query, `"`) || strings.HasPrefix(query, "-") || strings.Contains(query, " -")
}

// meant is the tsquery of the words that a term may mean. Words that are only similar
// count in texts with these weights alone: ":AB" are the name and the tagline, "" all.
func (t term) meant(weights string) string {
	var meanings []string
	for _, lexeme := range t.same {
		meanings = append(meanings, quoted(lexeme))
	}
	for _, lexeme := range t.similar {
		if !slices.Contains(t.same, lexeme) {
			meanings = append(meanings, quoted(lexeme)+weights)
		}
	}
	slices.Sort(meanings)
	return strings.Join(append(slices.Compact(meanings), quoted(t.text)+":*"+strings.TrimPrefix(weights, ":")), " | ")
}

// search is a condition that products match all or any of some tsqueries.
type search struct {
	queries  []string
	anywhere []string // the same for words anywhere, which the index finds
	operator string   // of SQL
	indexed  bool     // the index may be searched
}

// where is the condition in SQL. Its arguments are queries, and then anywhere.
func (s search) where(queries []string, first int) string {
	var conditions []string
	for i := range queries {
		conditions = append(conditions, fmt.Sprintf("search @@ $%d::tsquery", first+i))
	}
	return strings.Join(conditions, s.operator)
}

// quoted is a lexeme in the syntax of tsquery.
func quoted(lexeme string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(lexeme) + "'"
}

// find adds the products that match a search.
func (f *finder) find(ctx context.Context, tx pgx.Tx, s search) error {
	if len(s.queries) == 0 || s.queries[0] == "" {
		return nil
	}
	cut, err := f.lookUp(ctx, tx, s)
	f.cut = f.cut || cut && s.operator == " AND "
	return err
}

// lookUp adds the products that match a search, and reports whether it did not look at all
// products that may match.
func (f *finder) lookUp(ctx context.Context, tx pgx.Tx, s search) (cut bool, err error) {
	common := true
	if s.indexed {
		if common, err = s.common(ctx, tx, sampled); err != nil {
			return false, err
		}
	}
	if common {
		if cut, err = f.collectFirst(ctx, tx, s); err != nil || !cut || !s.indexed || len(f.ids) > mostFound {
			return cut, err
		}
		// The sample may have been unlike the others.
		if common, err = s.common(ctx, tx, firstLooked); err != nil || common {
			return cut, err
		}
	}
	return f.collectByIndex(ctx, tx, s)
}

// common reports whether many of the first products have the words of a search, anywhere
// in their text: as many as the index would collect.
func (s search) common(ctx context.Context, tx pgx.Tx, first int) (common bool, err error) {
	err = tx.QueryRow(ctx, fmt.Sprintf(`SELECT 6 * count(*) FILTER (WHERE %s) >= count(*) FROM %s AS p`,
		s.where(s.anywhere, 1), firstProducts(first)), arguments(s.anywhere)...).Scan(&common)
	return common, err
}

func arguments(queries ...[]string) (all []any) {
	for _, query := range slices.Concat(queries...) {
		all = append(all, query)
	}
	return all
}

func firstProducts(limit int) string {
	return fmt.Sprintf("(SELECT id, search FROM products ORDER BY featured, id LIMIT %d)", limit)
}

// collectFirst adds the matches among the first products, and reports whether there are
// others.
func (f *finder) collectFirst(ctx context.Context, tx pgx.Tx, s search) (cut bool, err error) {
	rows, err := tx.Query(ctx, f.collecting(s, firstProducts(firstLooked+1), firstLooked), arguments(s.queries)...)
	if err != nil {
		return false, err
	}
	return f.addRows(rows, firstLooked)
}

// collectByIndex adds the matches among the products that the index finds, and reports
// whether it finds more than are looked at.
func (f *finder) collectByIndex(ctx context.Context, tx pgx.Tx, s search) (cut bool, err error) {
	if len(f.ids) > gathered {
		return false, nil
	}
	anywhere := fmt.Sprintf("(SELECT id, search FROM products WHERE %s LIMIT %d)", s.where(s.anywhere, 1+len(s.queries)), examined+1)
	rows, err := tx.Query(ctx, f.collecting(s, anywhere, examined), arguments(s.queries, s.anywhere)...)
	if err != nil {
		return false, err
	}
	return f.addRows(rows, examined)
}

// collecting is the SQL that selects the products of a table that match, and at most one
// beyond the limit of products that are looked at, with their number in the table.
func (f *finder) collecting(s search, table string, limit int) string {
	return fmt.Sprintf(`
		SELECT id, n
		FROM (SELECT id, search, row_number() OVER () AS n FROM %s AS t) AS p
		WHERE n > %d OR (%s)
		LIMIT %d`, table, limit, s.where(s.queries, 1), gathered+1+len(f.ids))
}

// addRows adds products with their numbers, and reports whether one is beyond the limit.
func (f *finder) addRows(rows pgx.Rows, limit int64) (beyond bool, err error) {
	var id, n int64
	_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error {
		if n > limit {
			beyond = true
		} else {
			f.add(id)
		}
		return nil
	})
	return beyond, err
}

func (f *finder) add(ids ...int64) {
	for _, id := range ids {
		if !f.found[id] {
			f.found[id] = true
			f.ids = append(f.ids, id)
		}
	}
}

// rank sorts what was found into the results. Of the products that lack some of the
// words of the query, it takes those whose name and tagline have half of its letters.
// Matches by SKU and whole name come first, then matches of words, then similar letters.
func (f *finder) rank(ctx context.Context, tx pgx.Tx) error {
	best := fmt.Sprintf("(found.n <= %d) DESC, (match.words > 0) DESC, match.words + match.letters DESC, p.id", f.exact)
	rows, err := tx.Query(ctx, `
		SELECT p.id
		FROM unnest($2::bigint[]) WITH ORDINALITY AS found (id, n)
		JOIN products p ON p.id = found.id
		JOIN product_prices price ON price.product_id = p.id
		JOIN LATERAL (
			SELECT ts_rank(p.search, websearch_to_tsquery('english', $1)) AS words,
			       word_similarity($1, p.words) AS letters
			OFFSET 0 -- computes each once, not at each place where it is used
		) AS match ON found.n <= $3 OR match.letters >= 0.5
		ORDER BY `+f.sort.byMatch(best)+`
		LIMIT $4`, f.query, f.ids, f.sure, mostFound+1)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	f.results = searchResults{IDs: ids[:min(len(ids), mostFound)], More: f.cut || len(ids) > mostFound}
	return err
}

// byMatch is the SQL of the order of search results. Best is the SQL of SortFeatured.
func (s Sort) byMatch(best string) string {
	switch s {
	case SortPriceLow:
		return "price.low_cents, p.id"
	case SortPriceHigh:
		return "price.low_cents DESC, p.id DESC"
	case SortName:
		return "p.name, p.id"
	case SortNewest:
		return "p.created_at DESC, p.id DESC"
	default:
		return best
	}
}
