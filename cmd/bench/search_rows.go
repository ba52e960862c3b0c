package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Private

// catalogueRows adds made-up products to a catalogue. Their words are as unevenly
// frequent as those of a language: few are everywhere, most are rare.
type catalogueRows struct {
	db        *pgx.Conn
	products  int
	words     []string // the commonest first
	sentences []string
}

// The sizes of what names and texts are made of.
const (
	vocabulary   = 30_000
	sentencePool = 20_000
)

func newCatalogueRows(ctx context.Context, db *pgx.Conn) (*catalogueRows, error) {
	r := &catalogueRows{db: db}
	random := rand.New(rand.NewPCG(1, 2)) // the same in each run
	r.words = madeUpWords(random)
	for range sentencePool {
		words := make([]string, 8+random.IntN(8))
		for i := range words {
			words[i] = r.words[int(math.Pow(random.Float64(), 4)*vocabulary)]
		}
		r.sentences = append(r.sentences, strings.Join(words, " ")+".")
	}
	if _, err := db.Exec(ctx, `
		CREATE TEMP TABLE word (n int PRIMARY KEY, text text NOT NULL);
		CREATE TEMP TABLE sentence (n int PRIMARY KEY, text text NOT NULL);
		-- A number from 0 to 1, the same in each run.
		CREATE FUNCTION pg_temp.chance(n bigint, which int) RETURNS float8 LANGUAGE sql IMMUTABLE
			RETURN (hashint8(n * 8 + which)::bigint + 2147483648) / 4294967296.0::float8`); err != nil {
		return nil, err
	}
	if err := db.QueryRow(ctx, `SELECT count(*) FROM products WHERE slug LIKE 'bench-%'`).Scan(&r.products); err != nil {
		return nil, fmt.Errorf("count the products: %w", err)
	}
	for table, texts := range map[string][]string{"word": r.words, "sentence": r.sentences} {
		_, err := db.Exec(ctx, `INSERT INTO `+table+` SELECT n - 1, text FROM unnest($1::text[]) WITH ORDINALITY AS t (text, n)`, texts)
		if err != nil {
			return nil, err
		}
	}
	// Nobody has pages that these would make stale.
	_, err := db.Exec(ctx, `
		ANALYZE word, sentence;
		DO $$
		DECLARE stale record;
		BEGIN
			FOR stale IN SELECT tgname, tgrelid::regclass AS "table" FROM pg_trigger WHERE tgname LIKE 'expire%' LOOP
				EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', stale."table", stale.tgname);
			END LOOP;
		END $$`)
	return r, err
}

// madeUpWords are different words of two to four syllables. Some have accents.
func madeUpWords(random *rand.Rand) []string {
	syllables := strings.Fields("ba be bo bra ca co cre da de do dra el en er fa fi fo ga gi glo ha he in ja ka ki la le li lo ma me mi mo " +
		"na ne no or pa pe po pra qua ra re ri ro sa se si so sta ta te ti to tra un va ve vi wa we win ya zo ström né ül")
	seen, words := map[string]bool{}, []string{"crème"}
	for len(words) < vocabulary {
		var word strings.Builder
		for range 2 + random.IntN(3) {
			word.WriteString(syllables[random.IntN(len(syllables))])
		}
		if len(word.String()) > 4 && !seen[word.String()] {
			seen[word.String()] = true
			words = append(words, word.String())
		}
	}
	return words
}

// A word by how many products have it.
func (r *catalogueRows) commonest(n int) string { return r.plain(1 + n%4) }
func (r *catalogueRows) common(n int) string    { return r.plain(20 + 3*n) }
func (r *catalogueRows) rare(n int) string      { return r.plain(vocabulary*2/3 + 101*n) }

// plain is the first word from the nth on that has only letters of ASCII.
func (r *catalogueRows) plain(n int) string {
	for ; ; n++ {
		if len(r.words[n]) == len([]rune(r.words[n])) {
			return r.words[n]
		}
	}
}

// growTo adds products until there are as many, and returns for how long it did.
func (r *catalogueRows) growTo(ctx context.Context, products int) (time.Duration, error) {
	began := time.Now()
	restore := func() error { return nil }
	if products-r.products > 50_000 { // indexes are made faster than they grow
		var err error
		if restore, err = r.dropIndexes(ctx); err != nil {
			return 0, err
		}
	}
	for r.products < products {
		most := min(products, r.products+100_000)
		if err := r.add(ctx, r.products+1, most); err != nil {
			return 0, err
		}
		r.products = most
	}
	if err := restore(); err != nil {
		return 0, err
	}
	_, err := r.db.Exec(ctx, `VACUUM ANALYZE`)
	return time.Since(began), err
}

// add adds products with numbers from first to last, with one to three variants each.
func (r *catalogueRows) add(ctx context.Context, first, last int) error {
	_, err := r.db.Exec(ctx, fmt.Sprintf(`
		WITH drawn AS (
			SELECT n, pg_temp.chance(n, 0) AS a, pg_temp.chance(n, 1) AS b, pg_temp.chance(n, 2) AS c,
			       pg_temp.chance(n, 3) AS d, pg_temp.chance(n, 4) AS e, pg_temp.chance(n, 5) AS f
			FROM generate_series(%d::bigint, %d) AS n
		)
		INSERT INTO products (category_id, slug, name, tagline, description, details, picture, position, featured, created_at, words)
		SELECT (SELECT min(id) FROM categories) + (f * (SELECT count(*) FROM categories))::int %% (SELECT count(*) FROM categories)::int,
		       'bench-' || drawn.n, initcap(w1.text || ' ' || w2.text || ' ' || w3.text), s1.text, s2.text || ' ' || s3.text, '{}',
		       (SELECT min(key) FROM pictures), drawn.n, (a * 1000000)::int, now() - make_interval(secs => b * 100000000),
		       initcap(w1.text || ' ' || w2.text || ' ' || w3.text) || ' ' || s1.text
		FROM drawn
		JOIN word w1 ON w1.n = floor(a * a * a * %[3]d)
		JOIN word w2 ON w2.n = floor(b * b * %[3]d)
		JOIN word w3 ON w3.n = floor(c * %[3]d)
		JOIN sentence s1 ON s1.n = floor(d * %[4]d)
		JOIN sentence s2 ON s2.n = floor(e * %[4]d)
		JOIN sentence s3 ON s3.n = floor(f * %[4]d)`, first, last, vocabulary, sentencePool))
	if err != nil {
		return err
	}
	_, err = r.db.Exec(ctx, fmt.Sprintf(`
		INSERT INTO variants (product_id, sku, name, price_cents, stock, position)
		SELECT p.id, 'BN-' || lpad(n::text, 7, '0') || '-' || chr(64 + v), 'Size ' || v, (pg_temp.chance(n, 6) * 50000)::int + v * 100, 5, v
		FROM generate_series(%d::bigint, %d) AS n
		JOIN products p ON p.slug = 'bench-' || n, generate_series(1, 1 + n::int %% 3) AS v`, first, last))
	return err
}

// dropIndexes drops the indexes of products and variants that no constraint needs, and
// returns a function that makes them again.
func (r *catalogueRows) dropIndexes(ctx context.Context) (restore func() error, err error) {
	rows, err := r.db.Query(ctx, `
		SELECT i.indexdef, format('DROP INDEX %I.%I', i.schemaname, i.indexname)
		FROM pg_indexes i
		WHERE i.tablename IN ('products', 'variants') AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conname = i.indexname)`)
	if err != nil {
		return nil, err
	}
	type index struct{ Make, Drop string }
	indexes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[index])
	if err != nil {
		return nil, err
	}
	for _, one := range indexes {
		if _, err := r.db.Exec(ctx, one.Drop); err != nil {
			return nil, err
		}
	}
	return func() error {
		if _, err := r.db.Exec(ctx, `SET maintenance_work_mem = '512MB'`); err != nil {
			return err
		}
		for _, one := range indexes {
			if _, err := r.db.Exec(ctx, one.Make); err != nil {
				return err
			}
		}
		return nil
	}, nil
}
