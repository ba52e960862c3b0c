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

-- In small transactions, because whoever changes a price waits for the one that has just
-- stored the price of its product.
-- +goose StatementBegin
DO $$
DECLARE
    done bigint := 0;
    next bigint;
BEGIN
    LOOP
        SELECT max(id) INTO next FROM (SELECT id FROM products WHERE id > done ORDER BY id LIMIT 2000) AS part;
        EXIT WHEN next IS NULL;
        INSERT INTO product_prices (product_id, category_id, low_cents)
        SELECT p.id, p.category_id, min(v.price_cents)
        FROM products p
        JOIN variants v ON v.product_id = p.id
        WHERE p.id > done AND p.id <= next
        GROUP BY p.id
        ON CONFLICT DO NOTHING; -- a trigger stored a newer price
        COMMIT;
        done := next;
    END LOOP;
END $$;
-- +goose StatementEnd

ANALYZE search_words;
ANALYZE product_prices;

-- An interrupted CREATE INDEX CONCURRENTLY leaves an invalid index.
DROP INDEX CONCURRENTLY IF EXISTS variants_search_sku;
CREATE INDEX CONCURRENTLY variants_search_sku ON variants (upper(sku) COLLATE "C", product_id);

DROP INDEX CONCURRENTLY IF EXISTS products_search_name;
CREATE INDEX CONCURRENTLY products_search_name ON products (lower(name));

-- The orders of lists, of the whole catalogue and of a category.
DROP INDEX CONCURRENTLY IF EXISTS products_by_featured;
CREATE INDEX CONCURRENTLY products_by_featured ON products (featured, id);
DROP INDEX CONCURRENTLY IF EXISTS products_by_name;
CREATE INDEX CONCURRENTLY products_by_name ON products (name, id);
DROP INDEX CONCURRENTLY IF EXISTS products_by_age;
CREATE INDEX CONCURRENTLY products_by_age ON products (created_at, id);
DROP INDEX CONCURRENTLY IF EXISTS products_of_category_by_position;
CREATE INDEX CONCURRENTLY products_of_category_by_position ON products (category_id, position, id);
DROP INDEX CONCURRENTLY IF EXISTS products_of_category_by_name;
CREATE INDEX CONCURRENTLY products_of_category_by_name ON products (category_id, name, id);
DROP INDEX CONCURRENTLY IF EXISTS products_of_category_by_age;
CREATE INDEX CONCURRENTLY products_of_category_by_age ON products (category_id, created_at, id);

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
