package main

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"slipway/internal/mail"
)

// variantWith is the first variant of a product, with its stock set.
func (d *deployment) variantWith(slug string, stock int) (variant, product int64) {
	d.t.Helper()
	variant = d.query(`
		UPDATE variants SET stock = $2
		WHERE id = (SELECT v.id FROM variants v JOIN products p ON p.id = v.product_id WHERE p.slug = $1 ORDER BY v.position LIMIT 1)
		RETURNING id`, slug, stock)
	return variant, d.query(`SELECT product_id FROM variants WHERE id = $1`, variant)
}

func (d *deployment) mails() []mail.Kept {
	d.t.Helper()
	kept, err := mail.NewDirectory(d.mailDir, "").List(100)
	require.NoError(d.t, err)
	return kept
}

// ask returns the one number that a statement answers with.
func (d *deployment) ask(t *testing.T, statement string) int {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), d.databaseURL)
	require.NoError(t, err)
	defer connection.Close(t.Context())
	var number int64
	require.NoError(t, connection.QueryRow(t.Context(), statement).Scan(&number))
	return int(number)
}
