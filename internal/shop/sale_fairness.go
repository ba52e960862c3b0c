package shop

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// SaleFairness limits how much of a sale one client can keep from others without
// paying. Carts cost nothing, so clients are told apart by their address.
type SaleFairness struct {
	// PerAddress is the largest number of unpaid units that the carts of one address
	// may hold; 0 is no limit. It is never more than a fifth of the units of a sale,
	// and never less than one cart may have.
	PerAddress int
	// ShortestHold ends the shortening of holds. Each hold that ends unpaid halves the
	// next one of its cart, and each PerAddress of them those of its address.
	ShortestHold time.Duration
}

// Private

// mayHold returns ErrSaleAddressLimit when the carts of a holder have the largest
// allowed number of unpaid units of a sale. It is exact only in a transaction that
// has updated the row of the sale, because that row is locked then.
func (s *Shop) mayHold(ctx context.Context, db querier, sale Sale, holder string) error {
	if holder == "" || s.saleFairness.PerAddress == 0 {
		return nil
	}
	var held int
	err := db.QueryRow(ctx, `
		SELECT count(*) FROM sale_holds
		WHERE sale_id = $1 AND holder = $2 AND state = 'held' AND expires_at > now() - interval '`+saleGrace+`'`, sale.ID, holder,
	).Scan(&held)
	if err != nil {
		return fmt.Errorf("count holds of address: %w", err)
	}
	if held >= max(s.saleLimit, min(s.saleFairness.PerAddress, sale.Units/5)) {
		return ErrSaleAddressLimit
	}
	return nil
}

// holdLife is how long the next hold of a cart lasts.
func (s *Shop) holdLife(ctx context.Context, tx pgx.Tx, saleID int64, cartID, holder string) (time.Duration, error) {
	var ofCart, ofHolder int
	err := tx.QueryRow(ctx, `
		SELECT coalesce(sum(lapses) FILTER (WHERE subject = $2), 0), coalesce(sum(lapses) FILTER (WHERE subject = $3), 0)
		FROM sale_lapses
		WHERE sale_id = $1 AND subject IN ($2, $3)`, saleID, cartSubject(cartID), holderSubject(holder),
	).Scan(&ofCart, &ofHolder)
	if err != nil {
		return 0, fmt.Errorf("count lapses: %w", err)
	}
	halvings := ofCart
	if s.saleFairness.PerAddress > 0 {
		halvings = max(halvings, ofHolder/s.saleFairness.PerAddress)
	}
	return max(s.saleHold>>min(halvings, 62), min(s.saleFairness.ShortestHold, s.saleHold)), nil
}

// countLapse counts that a hold ended unpaid. The row of the sale must be locked.
func countLapse(ctx context.Context, tx pgx.Tx, saleID int64, cartID, holder string) error {
	subjects := []string{cartSubject(cartID)}
	if holder != "" {
		subjects = append(subjects, holderSubject(holder))
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO sale_lapses (sale_id, subject)
		SELECT $1, unnest($2::text[])
		ON CONFLICT (sale_id, subject) DO UPDATE SET lapses = sale_lapses.lapses + 1`, saleID, subjects)
	if err != nil {
		return fmt.Errorf("count lapse: %w", err)
	}
	return nil
}

func cartSubject(cartID string) string   { return "cart:" + cartID }
func holderSubject(holder string) string { return "holder:" + holder }
