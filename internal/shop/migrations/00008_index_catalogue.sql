-- +goose Up
-- Searches and lists read a bounded number of rows of a catalogue of any size.
CREATE EXTENSION IF NOT EXISTS unaccent;

-- The words of the catalogue. A typing error, the beginning of a word and a word
-- without its accents are looked up here and not among the products. A word stays
-- when the last product with it is gone, and then finds nothing. The table has no key:
-- two transactions that add the same word at once both store it, which does no harm,
-- and neither waits for the other.
CREATE TABLE search_words (
    word   text COLLATE "C" NOT NULL, -- in lower case, without accents
    lexeme text COLLATE "C" NOT NULL  -- by which products.search has it
);
CREATE INDEX search_words_word ON search_words (word, lexeme);
CREATE INDEX search_words_letters ON search_words USING gin (word gin_trgm_ops);

-- +goose StatementBegin
CREATE FUNCTION add_search_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search_words (word, lexeme)
    SELECT DISTINCT found.word, found.lexeme
    FROM (
        SELECT lower(unaccent(token)) AS word, unnest(tsvector_to_array(to_tsvector('english', token))) AS lexeme
        FROM (
            SELECT DISTINCT unnest(tsvector_to_array(to_tsvector('simple', concat_ws(' ', name, tagline, description)))) AS token
            FROM changed
        ) AS tokens
        WHERE length(token) <= 40 AND token !~ '[-./@:_]'
    ) AS found
    WHERE NOT EXISTS (SELECT FROM search_words AS known WHERE known.word = found.word AND known.lexeme = found.lexeme);
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER add_search_words_of_another AFTER INSERT ON products
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION add_search_words();
CREATE TRIGGER add_search_words AFTER UPDATE ON products
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION add_search_words();

-- The price of the cheapest variant of each product, for lists by price.
CREATE TABLE product_prices (
    product_id  bigint PRIMARY KEY REFERENCES products ON DELETE CASCADE,
    category_id bigint NOT NULL,
    low_cents   bigint NOT NULL
);
CREATE INDEX product_prices_low ON product_prices (low_cents, product_id);
CREATE INDEX product_prices_category ON product_prices (category_id, low_cents, product_id);

-- +goose StatementBegin
CREATE FUNCTION set_product_prices(products_to_set bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Transactions that change variants of one product take turns here, and the
    -- statements below see what the one before has committed.
    PERFORM FROM products WHERE id = ANY(products_to_set) ORDER BY id FOR NO KEY UPDATE;

    INSERT INTO product_prices AS known (product_id, category_id, low_cents)
    SELECT p.id, p.category_id, min(v.price_cents)
    FROM products p
    JOIN variants v ON v.product_id = p.id
    WHERE p.id = ANY(products_to_set)
    GROUP BY p.id
    ON CONFLICT (product_id) DO UPDATE SET category_id = excluded.category_id, low_cents = excluded.low_cents
    WHERE (known.category_id, known.low_cents) <> (excluded.category_id, excluded.low_cents);

    DELETE FROM product_prices AS known
    WHERE product_id = ANY(products_to_set) AND NOT EXISTS (SELECT FROM variants v WHERE v.product_id = known.product_id);
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION set_prices_of_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_product_prices(array_agg(DISTINCT product_id)) FROM changed HAVING count(*) > 0;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION set_price_of_product() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_product_prices(ARRAY[OLD.product_id, NEW.product_id]);
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION set_category_of_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE product_prices SET category_id = NEW.category_id WHERE product_id = NEW.id;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION delete_prices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM product_prices;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER set_prices_of_another AFTER INSERT ON variants
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION set_prices_of_changed();
CREATE TRIGGER set_prices_without AFTER DELETE ON variants
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION set_prices_of_changed();
CREATE TRIGGER delete_prices AFTER TRUNCATE ON variants FOR EACH STATEMENT EXECUTE FUNCTION delete_prices();
CREATE TRIGGER set_price AFTER UPDATE OF price_cents, product_id ON variants FOR EACH ROW
    WHEN ((OLD.price_cents, OLD.product_id) IS DISTINCT FROM (NEW.price_cents, NEW.product_id))
    EXECUTE FUNCTION set_price_of_product();
CREATE TRIGGER set_category_of_price AFTER UPDATE OF category_id ON products FOR EACH ROW
    WHEN (OLD.category_id <> NEW.category_id) EXECUTE FUNCTION set_category_of_price();

-- +goose Down
DROP TRIGGER set_category_of_price ON products;
DROP TRIGGER set_price ON variants;
DROP TRIGGER delete_prices ON variants;
DROP TRIGGER set_prices_without ON variants;
DROP TRIGGER set_prices_of_another ON variants;
DROP FUNCTION delete_prices;
DROP FUNCTION set_category_of_price;
DROP FUNCTION set_price_of_product;
DROP FUNCTION set_prices_of_changed;
DROP FUNCTION set_product_prices;
DROP TABLE product_prices;
DROP TRIGGER add_search_words ON products;
DROP TRIGGER add_search_words_of_another ON products;
DROP FUNCTION add_search_words;
DROP TABLE search_words;
