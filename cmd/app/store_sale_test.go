package main

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestFlashSale_OpenPagesShowTheUnitsLeftAndTheEnd(t *testing.T) {
	t.Parallel()
	d := deployStore(t)
	web, _, _ := d.startAll()
	ada, eve := newVisitor(t, web.url), newVisitor(t, web.url)
	_, home := eve.get("/")
	sale := regexp.MustCompile(`action="(/sales/(\d+)/holds)"`).FindStringSubmatch(home)
	require.Len(t, sale, 3, "app seed makes a sale")
	product := d.query(`SELECT v.product_id FROM flash_sales s JOIN variants v ON v.id = s.variant_id`)
	watching := openEvents(t, eve, fmt.Sprintf("/live?products=%d", product))
	watching.await(t, "retry: ")
	left := fmt.Sprintf(`id="sale-left-%s"`, sale[2])

	status, at, _ := ada.post(sale[1], url.Values{"claim_id": {uuid.NewString()}})
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, at, "/cart")
	require.Contains(t, watching.await(t, "49 of 50 left"), left)

	d.query(`UPDATE flash_sales SET starts_at = now() - interval '2 hours', ends_at = now() - interval '1 second' RETURNING id`)
	require.Contains(t, watching.await(t, "This sale is over"), left)

	d.query(`UPDATE sale_holds SET expires_at = now() - interval '1 minute' RETURNING 1`)
	web.eventually(func() bool {
		return d.query(`SELECT count(*) FROM flash_sales WHERE closed_at IS NOT NULL AND held = 0`) == 1
	}, "saw the sale closed")
	require.Contains(t, metricsOf(t, web), `shop_sale_claims_total{result="held"} 1`)
	_, cart := ada.get("/cart")
	require.Contains(t, cart, "has run out")
}
