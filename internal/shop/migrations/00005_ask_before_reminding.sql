-- +goose Up
ALTER TABLE carts ADD COLUMN reminder_consent_at timestamptz; -- when the shopper asked for a reminder of this cart

-- Addresses that got a reminder. They are kept longer than carts, so that the link
-- in a reminder works, and those that want no more reminders are kept for good.
CREATE TABLE reminder_recipients (
    email           text PRIMARY KEY,     -- in lower case
    token           text NOT NULL UNIQUE, -- unguessable, part of the link that ends reminders
    reminded_at     timestamptz NOT NULL DEFAULT now(),
    unsubscribed_at timestamptz           -- no reminder is sent any more
);

-- +goose Down
DROP TABLE reminder_recipients;
ALTER TABLE carts DROP COLUMN reminder_consent_at;
