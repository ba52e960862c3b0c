-- +goose Up
-- Pages read boards; only the form and its work use notes.
CREATE TABLE boards (title text PRIMARY KEY);
INSERT INTO boards VALUES ('The board');

CREATE TABLE notes (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key          text NOT NULL UNIQUE, -- of the form, so that sending it twice makes one note
    body         text NOT NULL CHECK (body <> ''),
    confirmed_at timestamptz,          -- by the job confirm_note
    archived_at  timestamptz           -- by the durable task archive_note
);

-- +goose Down
DROP TABLE notes, boards;
