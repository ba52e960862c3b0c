package shop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// The terms of the sample flash sale.
const (
	sampleSaleSKU   = "LW-KNF-WAL"
	sampleSaleUnits = 50
	sampleSaleTime  = 6 * time.Hour
	sampleSaleOff   = 35 // percent
)

// SeedSale creates a sample flash sale unless an unclosed one exists. It raises the
// stock of the variant if there are too few units. Made reports whether it has
// created one.
func (s *Shop) SeedSale(ctx context.Context) (sale Sale, made bool, err error) {
	// The last sale may have ended while no worker ran to close it.
	if err := errors.Join(s.ReleaseHolds(ctx), s.CloseSales(ctx)); err != nil {
		return Sale{}, false, fmt.Errorf("close the last sale: %w", err)
	}
	err = pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		var variantID int64
		var price Money
		err := tx.QueryRow(ctx, `
			UPDATE variants
			SET stock = greatest(stock, $2 + 10)
			WHERE sku = $1 AND NOT EXISTS (SELECT FROM flash_sales WHERE closed_at IS NULL)
			RETURNING id, price_cents, currency`, sampleSaleSKU, sampleSaleUnits,
		).Scan(&variantID, &price.Cents, &price.Currency)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("raise stock: %w", err)
		}
		price.Cents = price.Cents * (100 - sampleSaleOff) / 100
		now := time.Now()
		sale, err = createSale(ctx, tx, SaleTerms{
			VariantID: variantID, Price: price, Units: sampleSaleUnits, StartsAt: now, EndsAt: now.Add(sampleSaleTime).Truncate(time.Minute),
		})
		made = err == nil
		return err
	})
	if errors.Is(err, ErrSaleExists) {
		return Sale{}, false, nil // another process has just created it
	}
	if err != nil {
		return Sale{}, false, fmt.Errorf("seed sale: %w", err)
	}
	return sale, made, nil
}
