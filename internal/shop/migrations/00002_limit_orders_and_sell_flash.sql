-- +goose Up
-- How often a shopper may order. A subject whose time has passed is as good as
-- one that has no row.
CREATE TABLE order_limits (
    subject text PRIMARY KEY,    -- "email:ada@example.com" or "cart:…"
    used_up timestamptz NOT NULL -- until when orders so far use up the allowance
);
CREATE INDEX order_limits_used_up ON order_limits (used_up);

-- A sale's units have been taken out of its variant's stock: neither allotment
-- can sell what is the other's, and no program can sell more than there are.
CREATE TABLE flash_sales (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    variant_id    bigint NOT NULL REFERENCES variants,
    price_cents   bigint NOT NULL CHECK (price_cents > 0),
    units         integer NOT NULL CHECK (units > 0),
    held          integer NOT NULL DEFAULT 0 CHECK (held >= 0), -- in carts
    sold          integer NOT NULL DEFAULT 0 CHECK (sold >= 0),
    starts_at     timestamptz NOT NULL,
    ends_at       timestamptz NOT NULL,
    opened_at     timestamptz, -- open pages were told of the start
    ended_at      timestamptz, -- and of the end
    closed_at     timestamptz, -- what was not sold is back in stock
    version       bigint NOT NULL DEFAULT 1, -- grows with every change that a shopper sees
    shown_version bigint NOT NULL DEFAULT 0, -- that open pages have been told of
    CHECK (held + sold <= units),
    CHECK (starts_at < ends_at),
    CHECK (closed_at IS NULL OR held = 0)
);
CREATE UNIQUE INDEX flash_sales_open_variant ON flash_sales (variant_id) WHERE closed_at IS NULL;
CREATE INDEX flash_sales_ends ON flash_sales (ends_at);

-- One unit of a sale in a cart.
CREATE TABLE sale_holds (
    cart_id    uuid NOT NULL, -- that it was; carts are deleted some day
    claim_id   uuid NOT NULL, -- one claim, one unit, however often a form is sent
    sale_id    bigint NOT NULL REFERENCES flash_sales,
    state      text NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'lapsed', 'sold')),
    held_at    timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (cart_id, claim_id)
);
CREATE INDEX sale_holds_held ON sale_holds (expires_at) WHERE state = 'held';
CREATE INDEX sale_holds_sale ON sale_holds (sale_id);

-- +goose Down
DROP TABLE sale_holds, flash_sales, order_limits;
