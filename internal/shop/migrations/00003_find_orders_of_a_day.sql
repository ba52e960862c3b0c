-- +goose Up
CREATE INDEX orders_placed ON orders (placed_at);

-- +goose Down
DROP INDEX orders_placed;
