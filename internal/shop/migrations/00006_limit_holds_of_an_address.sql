-- +goose Up
-- Carts cost nothing, so holds that nobody has paid for are also limited by the
-- address of the client.
ALTER TABLE sale_holds ADD COLUMN holder text NOT NULL DEFAULT ''; -- keyed hash of the address; empty: not limited
CREATE INDEX sale_holds_holder ON sale_holds (sale_id, holder) WHERE state = 'held';

-- How many holds of a sale ended unpaid. The next ones are shorter.
CREATE TABLE sale_lapses (
    sale_id bigint NOT NULL REFERENCES flash_sales,
    subject text NOT NULL, -- "cart:…" or "holder:…"
    lapses  integer NOT NULL DEFAULT 1,
    PRIMARY KEY (sale_id, subject)
);

-- +goose Down
DROP TABLE sale_lapses;
DROP INDEX sale_holds_holder;
ALTER TABLE sale_holds DROP COLUMN holder;
