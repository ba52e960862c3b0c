-- +goose NO TRANSACTION
-- +goose Up
-- The store goes on while this runs: it blocks no reader and no writer of products and
-- variants. Each statement commits by itself, and the file may run again after it was
-- interrupted. An index waits until all transactions that are older have ended, and
-- nobody waits for it meanwhile.
SET lock_timeout = '5min';

INSERT INTO search_words (word, lexeme)
SELECT DISTINCT found.word, found.lexeme
FROM (
    SELECT lower(unaccent(word)) AS word, unnest(tsvector_to_array(to_tsvector('english', word))) AS lexeme
    FROM ts_stat($$ SELECT to_tsvector('simple', concat_ws(' ', name, tagline, description)) FROM products $$)
    WHERE length(word) <= 40 AND word !~ '[-./@:_]'
) AS found
WHERE NOT EXISTS (SELECT FROM search_words AS known WHERE known.word = found.word AND known.lexeme = found.lexeme);

-- In small transactions, because whoever changes a product or its price waits for the one
-- that has just stored its price. Products that have a price keep it: a trigger or an
-- earlier run stored it.
SET enable_seqscan = off; -- the plans are made while product_prices is empty

-- +goose StatementBegin
DO $$
DECLARE
    done    bigint := 0;
    next    bigint;
    missing bigint[];
BEGIN
    LOOP
        SELECT max(id), array_agg(id) FILTER (WHERE (SELECT true FROM product_prices WHERE product_id = part.id) IS NULL)
        INTO next, missing
        FROM (SELECT id FROM products WHERE id > done ORDER BY id LIMIT 500) AS part;
        EXIT WHEN next IS NULL;
        PERFORM set_product_prices(missing) WHERE missing IS NOT NULL;
        COMMIT;
        done := next;
    END LOOP;
END $$;
-- +goose StatementEnd

RESET enable_seqscan;

ANALYZE search_words;
ANALYZE product_prices;

-- An interrupted CREATE INDEX CONCURRENTLY leaves an invalid index. It gets another name,
-- because only a statement of its own can drop it while the store goes on. Indexes that
-- are complete stay.
-- +goose StatementBegin
DO $$
DECLARE
    leftover text;
BEGIN
    FOR leftover IN
        SELECT c.relname
        FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid
        WHERE NOT i.indisvalid AND c.relname IN (
            'variants_search_sku', 'products_search_name', 'products_by_featured',
            'products_by_name', 'products_by_age', 'products_of_category_by_position',
            'products_of_category_by_name', 'products_of_category_by_age')
    LOOP
        EXECUTE format('ALTER INDEX %I RENAME TO %I', leftover, leftover || '_invalid');
    END LOOP;
END $$;
-- +goose StatementEnd

DROP INDEX CONCURRENTLY IF EXISTS variants_search_sku_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS variants_search_sku ON variants (upper(sku) COLLATE "C", product_id);
DROP INDEX CONCURRENTLY IF EXISTS products_search_name_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_search_name ON products (lower(name));

-- The orders of lists, of the whole catalogue and of a category.
DROP INDEX CONCURRENTLY IF EXISTS products_by_featured_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_by_featured ON products (featured, id);
DROP INDEX CONCURRENTLY IF EXISTS products_by_name_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_by_name ON products (name, id);
DROP INDEX CONCURRENTLY IF EXISTS products_by_age_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_by_age ON products (created_at, id);
DROP INDEX CONCURRENTLY IF EXISTS products_of_category_by_position_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_of_category_by_position ON products (category_id, position, id);
DROP INDEX CONCURRENTLY IF EXISTS products_of_category_by_name_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_of_category_by_name ON products (category_id, name, id);
DROP INDEX CONCURRENTLY IF EXISTS products_of_category_by_age_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_of_category_by_age ON products (category_id, created_at, id);

-- products_of_category_by_position begins with its columns.
DROP INDEX CONCURRENTLY IF EXISTS products_category;

RESET lock_timeout;

-- +goose Down
DROP INDEX IF EXISTS products_category;
CREATE INDEX products_category ON products (category_id, position);
DROP INDEX products_of_category_by_age;
DROP INDEX products_of_category_by_name;
DROP INDEX products_of_category_by_position;
DROP INDEX products_by_age;
DROP INDEX products_by_name;
DROP INDEX products_by_featured;
DROP INDEX products_search_name;
DROP INDEX variants_search_sku;
