-- +goose Up
CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE categories (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug     text NOT NULL UNIQUE,
    name     text NOT NULL,
    tagline  text NOT NULL,
    position integer NOT NULL
);

-- A picture's key is the hash of its content, so its address never goes stale.
CREATE TABLE pictures (
    key text PRIMARY KEY,
    svg text NOT NULL
);

CREATE TABLE products (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    category_id bigint NOT NULL REFERENCES categories,
    slug        text NOT NULL UNIQUE,
    name        text NOT NULL,
    tagline     text NOT NULL,
    description text NOT NULL,
    details     text[] NOT NULL,
    picture     text NOT NULL REFERENCES pictures,
    position    integer NOT NULL, -- within the category
    featured    integer NOT NULL, -- rank on the front page
    created_at  timestamptz NOT NULL DEFAULT now(),
    words       text NOT NULL,    -- what a typing error is compared with
    search      tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('english', name), 'A') ||
        setweight(to_tsvector('english', tagline), 'B') ||
        setweight(to_tsvector('english', description), 'C')
    ) STORED
);
CREATE INDEX products_category ON products (category_id, position);
CREATE INDEX products_search ON products USING gin (search);
CREATE INDEX products_words ON products USING gin (words gin_trgm_ops);

-- Stock never falls below zero: whatever a program does, the database refuses.
CREATE TABLE variants (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id  bigint NOT NULL REFERENCES products,
    sku         text NOT NULL UNIQUE,
    name        text NOT NULL,
    price_cents bigint NOT NULL CHECK (price_cents > 0),
    currency    text NOT NULL DEFAULT 'EUR' CHECK (currency ~ '^[A-Z]{3}$'),
    stock       integer NOT NULL CHECK (stock >= 0),
    position    integer NOT NULL
);
CREATE INDEX variants_product ON variants (product_id, position);

CREATE TABLE carts (
    id         uuid PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- what the shopper has typed at the checkout so far
    email       text NOT NULL DEFAULT '',
    name        text NOT NULL DEFAULT '',
    street      text NOT NULL DEFAULT '',
    postal_code text NOT NULL DEFAULT '',
    city        text NOT NULL DEFAULT '',
    country     text NOT NULL DEFAULT '',
    note        text NOT NULL DEFAULT ''
);
CREATE INDEX carts_updated ON carts (updated_at);

CREATE TABLE cart_lines (
    cart_id    uuid NOT NULL REFERENCES carts ON DELETE CASCADE,
    variant_id bigint NOT NULL REFERENCES variants,
    quantity   integer NOT NULL CHECK (quantity BETWEEN 1 AND 20),
    added_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cart_id, variant_id)
);

CREATE TABLE orders (
    id             bigint GENERATED ALWAYS AS IDENTITY (START WITH 100001) PRIMARY KEY,
    token          text NOT NULL UNIQUE,
    cart_id        uuid NOT NULL,        -- that it was; carts are deleted some day
    checkout_key   uuid NOT NULL UNIQUE, -- one key, one order, however often a form is sent
    state          text NOT NULL DEFAULT 'placed' CHECK (state IN ('placed', 'paid')),
    email          text NOT NULL,
    name           text NOT NULL,
    street         text NOT NULL,
    postal_code    text NOT NULL,
    city           text NOT NULL,
    country        text NOT NULL,
    note           text NOT NULL,
    subtotal_cents bigint NOT NULL CHECK (subtotal_cents > 0),
    shipping_cents bigint NOT NULL CHECK (shipping_cents >= 0),
    total_cents    bigint NOT NULL CHECK (total_cents = subtotal_cents + shipping_cents),
    currency       text NOT NULL,
    payment_id     text NOT NULL, -- the gateway's authorization
    placed_at      timestamptz NOT NULL DEFAULT now(),
    paid_at        timestamptz,
    confirmed_at   timestamptz -- the confirmation has been mailed
);

CREATE TABLE order_lines (
    order_id     bigint NOT NULL REFERENCES orders,
    position     integer NOT NULL,
    variant_id   bigint NOT NULL REFERENCES variants,
    product_slug text NOT NULL,
    product_name text NOT NULL,
    variant_name text NOT NULL,
    sku          text NOT NULL,
    picture      text NOT NULL,
    quantity     integer NOT NULL CHECK (quantity > 0),
    price_cents  bigint NOT NULL CHECK (price_cents > 0),
    PRIMARY KEY (order_id, position)
);
CREATE INDEX order_lines_variant ON order_lines (variant_id);

-- Authorizations that were given back. None of them may pay an order.
CREATE TABLE voided_payments (
    payment_id text PRIMARY KEY,
    voided_at  timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE voided_payments, order_lines, orders, cart_lines, carts, variants, products, pictures, categories;
