package shop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Hold is one unit of a sale in a cart, at the sale's price.
type Hold struct {
	ClaimID   string
	SaleID    int64
	ExpiresAt time.Time
}

// saleGrace is how long a hold lasts after its displayed end, so that an order in
// the last second still gets its unit.
const saleGrace = "15 seconds"

// Reasons for which a unit of a sale cannot be held.
var (
	ErrSaleSoldOut = errors.New("all units of the sale are taken")
	ErrSaleClosed  = errors.New("the sale is not open")
	ErrSaleLimit   = errors.New("the cart has the largest allowed number of units of the sale")
	ErrClaimID     = errors.New("the claim's id cannot be used")

	ErrSaleAddressLimit = errors.New("carts of this address hold the largest allowed number of unpaid units of the sale")
)

// Claim asks for one unit of a sale.
type Claim struct {
	ID     string // a UUID, the idempotency key: one claim makes one hold
	CartID string
	SaleID int64
	Holder string // stands for the client's address, see SaleFairness; empty: not limited
}

// HoldSaleUnit puts one unit of a sale into a cart and holds it for some minutes.
// The error is ErrSaleSoldOut, ErrSaleClosed, ErrSaleLimit, ErrSaleAddressLimit,
// ErrClaimID or ErrNotFound when no unit can be held.
//
// PostgreSQL decides. Redis is called first and only refuses claims that would
// get no unit, so that they do not wait for the lock of the one row of the sale.
func (s *Shop) HoldSaleUnit(ctx context.Context, claim Claim) error {
	if !isUUID(claim.ID) || claim.CartID == "" {
		return ErrClaimID
	}
	member := claim.CartID + ":" + claim.ID
	byRedis := s.claims.claim(ctx, claim.SaleID, member, s.saleHold)
	if byRedis == claimSoldOut {
		s.metrics.claims.WithLabelValues("turned_away").Inc()
		return ErrSaleSoldOut
	}

	sale, repeated, err := s.claimUnit(ctx, claim)
	s.metrics.claims.WithLabelValues(claimLabel(repeated, err)).Inc()
	if err != nil {
		s.claims.unclaim(ctx, claim.SaleID, member)
	}
	// When both granted the claim, the count in Redis is right already.
	if sale.ID != 0 && (err != nil || byRedis == claimUnknown) {
		s.storeUnits(ctx, sale)
	}
	return err
}

// GiveBackHold removes a held unit from a cart. It does nothing when the cart does
// not hold it.
func (s *Shop) GiveBackHold(ctx context.Context, cartID, claimID string) error {
	if !isUUID(claimID) || cartID == "" {
		return ErrNotFound
	}
	var sale Sale
	err := s.changeCart(ctx, cartID, func(tx pgx.Tx) error {
		var saleID int64
		var holder string
		err := tx.QueryRow(ctx, `
			DELETE FROM sale_holds
			WHERE cart_id = $1 AND claim_id = $2 AND state = 'held'
			RETURNING sale_id, holder`, cartID, claimID,
		).Scan(&saleID, &holder)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("give hold back: %w", err)
		}
		if err := freeUnit(ctx, tx, saleID); err != nil {
			return err
		}
		if err := countLapse(ctx, tx, saleID, cartID, holder); err != nil {
			return err
		}
		sale, err = readSale(ctx, tx, saleID)
		return err
	})
	if err == nil && sale.ID != 0 {
		s.storeUnits(ctx, sale)
	}
	return err
}

// Private

// claimUnit holds a unit in PostgreSQL. It returns the sale as it was last read, or
// the zero Sale when it could not be read. Repeated says that the claim already
// had its unit.
func (s *Shop) claimUnit(ctx context.Context, claim Claim) (sale Sale, repeated bool, err error) {
	// A plain read refuses most claims without a lock and without a new cart.
	sale, err = readSale(ctx, s.db, claim.SaleID)
	if err != nil {
		return sale, false, err
	}
	if sale.Left() == 0 && sale.expired {
		if err := s.ReleaseHolds(ctx); err != nil {
			return sale, false, err
		}
		if sale, err = readSale(ctx, s.db, claim.SaleID); err != nil {
			return sale, false, err
		}
	}
	refusal := refusedBy(sale)
	if refusal == nil {
		refusal = s.mayHold(ctx, s.db, sale, claim.Holder)
	}
	if refusal != nil {
		held, err := hasHold(ctx, s.db, claim)
		if err != nil || held {
			return sale, held, err
		}
		return sale, false, refusal
	}

	err = s.changeCart(ctx, claim.CartID, func(tx pgx.Tx) error {
		var err error
		if repeated, err = hasHold(ctx, tx, claim); repeated || err != nil {
			return err
		}
		if sale, err = readSale(ctx, tx, claim.SaleID); err != nil {
			return err
		}
		if err := s.holdUnit(ctx, tx, sale, claim); err != nil {
			return err
		}
		sale, err = readSale(ctx, tx, claim.SaleID)
		return err
	})
	if errors.Is(err, ErrSaleSoldOut) {
		// The last unit was taken since the read above, so Redis has an old number.
		if now, readErr := readSale(ctx, s.db, claim.SaleID); readErr == nil {
			sale = now
		}
	}
	return sale, repeated, err
}

// hasHold reports whether a claim already has its unit.
func hasHold(ctx context.Context, db querier, claim Claim) (held bool, err error) {
	err = db.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM sale_holds WHERE cart_id = $1 AND claim_id = $2 AND state IN ('held', 'sold'))`, claim.CartID, claim.ID,
	).Scan(&held)
	if err != nil {
		return false, fmt.Errorf("find hold: %w", err)
	}
	return held, nil
}

// refusedBy is the reason why a sale has no unit to hold, nil when it has one.
func refusedBy(sale Sale) error {
	switch sale.State {
	case SaleOpen:
		return nil
	case SaleUpcoming, SaleOver:
		return ErrSaleClosed
	default:
		return ErrSaleSoldOut
	}
}

// holdUnit holds a unit of a sale for a cart that is locked. The conditional UPDATE
// of the sale decides: however many transactions run at once, it succeeds as
// often as there are units.
func (s *Shop) holdUnit(ctx context.Context, tx pgx.Tx, sale Sale, claim Claim) error {
	var units int
	err := tx.QueryRow(ctx, `
		SELECT count(*) FROM sale_holds
		WHERE cart_id = $1 AND sale_id = $2 AND state IN ('held', 'sold')`, claim.CartID, sale.ID,
	).Scan(&units)
	if err != nil {
		return fmt.Errorf("count holds of cart: %w", err)
	}
	if units >= s.saleLimit {
		return ErrSaleLimit
	}

	taken, err := tx.Exec(ctx, `
		UPDATE flash_sales
		SET held = held + 1, version = version + 1
		WHERE id = $1 AND held + sold < units AND starts_at <= now() AND ends_at > now() AND ended_at IS NULL`, sale.ID)
	if err != nil {
		return fmt.Errorf("take unit of sale %d: %w", sale.ID, err)
	}
	if taken.RowsAffected() == 0 {
		now, err := readSale(ctx, tx, sale.ID)
		if err != nil {
			return err
		}
		return cmp.Or(refusedBy(now), ErrSaleSoldOut) // it may have been open again since the update
	}
	if err := s.mayHold(ctx, tx, sale, claim.Holder); err != nil {
		return err
	}
	if err := takeBackLapsed(ctx, tx, sale, claim); err != nil {
		return err
	}
	life, err := s.holdLife(ctx, tx, sale.ID, claim.CartID, claim.Holder)
	if err != nil {
		return err
	}
	held, err := tx.Exec(ctx, `
		INSERT INTO sale_holds (cart_id, claim_id, sale_id, holder, expires_at) VALUES ($1, $2, $3, $4, now() + $5::interval)
		ON CONFLICT DO NOTHING`, claim.CartID, claim.ID, sale.ID, claim.Holder, life)
	if err != nil {
		return fmt.Errorf("hold unit of sale %d: %w", sale.ID, err)
	}
	if held.RowsAffected() == 0 {
		return ErrClaimID // the id was used for another sale
	}
	return nil
}

// freeUnit makes a held unit available again.
func freeUnit(ctx context.Context, tx pgx.Tx, saleID int64) error {
	if _, err := tx.Exec(ctx, `UPDATE flash_sales SET held = held - 1, version = version + 1 WHERE id = $1`, saleID); err != nil {
		return fmt.Errorf("free unit of sale %d: %w", saleID, err)
	}
	return nil
}

// sellHolds marks the held units of a cart as sold. An expired hold that was not
// ended yet still has its unit. It locks sales in the order of their ids.
func sellHolds(ctx context.Context, tx pgx.Tx, cart Cart) error {
	for _, line := range cart.held() {
		sold, err := tx.Exec(ctx, `
			UPDATE sale_holds
			SET state = 'sold'
			WHERE cart_id = $1 AND claim_id = $2 AND state = 'held'`, cart.ID, line.Hold.ClaimID)
		if err != nil {
			return fmt.Errorf("sell hold: %w", err)
		}
		if sold.RowsAffected() == 0 {
			return ErrCartChanged
		}
		counted, err := tx.Exec(ctx, `
			UPDATE flash_sales
			SET held = held - 1, sold = sold + 1, version = version + 1
			WHERE id = $1 AND held > 0`, line.Hold.SaleID)
		if err != nil {
			return fmt.Errorf("sell unit of sale %d: %w", line.Hold.SaleID, err)
		}
		if counted.RowsAffected() == 0 {
			return ErrCartChanged
		}
	}
	return nil
}

// isRefusal reports whether an error is the refusal of a claim and not a failure.
func isRefusal(err error) bool {
	for _, refusal := range []error{ErrSaleSoldOut, ErrSaleClosed, ErrSaleLimit, ErrSaleAddressLimit, ErrNotFound} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// claimLabel is the result label of a claim in shop_sale_claims_total.
func claimLabel(repeated bool, err error) string {
	switch {
	case err == nil && repeated:
		return "repeated"
	case err == nil:
		return "held"
	case errors.Is(err, ErrSaleSoldOut):
		return "sold_out"
	case errors.Is(err, ErrSaleLimit):
		return "limit"
	case errors.Is(err, ErrSaleAddressLimit):
		return "address_limit"
	case isRefusal(err):
		return "closed"
	default:
		return "error"
	}
}
