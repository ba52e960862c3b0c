-- +goose Up

-- Recurring work that an operator has paused. The file may switch it off too: see
-- the column enabled.
ALTER TABLE recurring_tasks ADD COLUMN paused_at timestamptz;

-- +goose Down
ALTER TABLE recurring_tasks DROP COLUMN paused_at;
