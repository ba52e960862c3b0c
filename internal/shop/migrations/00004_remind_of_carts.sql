-- +goose Up
ALTER TABLE carts ADD COLUMN reminded_at timestamptz; -- a reminder was mailed, or is just being
CREATE INDEX carts_reminded ON carts (lower(email)) WHERE reminded_at IS NOT NULL;

ALTER TABLE orders ADD COLUMN confirming_at timestamptz; -- a worker began to mail the confirmation

-- +goose Down
ALTER TABLE orders DROP COLUMN confirming_at;
ALTER TABLE carts DROP COLUMN reminded_at;
