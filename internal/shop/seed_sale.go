package shop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// What the sample store's flash sale is.
const (
	sampleSaleSKU   = "LW-KNF-WAL"
	sampleSaleUnits = 50
	sampleSaleTime  = 6 * time.Hour
	sampleSaleOff   = 35 // percent
)

// SeedSale makes a flash sale for people to try, unless there is one that is
// not over. Its units are a delivery of their own where stock has too few.
func (s *Shop) SeedSale(ctx context.Context) (sale Sale, made bool, err error) {
	// The last one may have ended while no worker ran.
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
			return fmt.Errorf("deliver units: %w", err)
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
		return Sale{}, false, nil // two seeds at once
	}
	if err != nil {
		return Sale{}, false, fmt.Errorf("seed sale: %w", err)
	}
	return sale, made, nil
}
