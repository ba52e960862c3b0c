package main

import (
	"net/http"
	"net/url"

	"github.com/stretchr/testify/require"
)

const workingCard = "4242424242424242"

func (s *shopper) add(variant int64) (status int) {
	s.t.Helper()
	status, _, _ = s.post("/cart/lines", url.Values{"variant_id": {itoa(variant)}, "quantity": {"1"}})
	return status
}

// fillIn completes the checkout of a cart and returns the form that pays.
func (s *shopper) fillIn(card string) url.Values {
	s.t.Helper()
	_, at, body := s.post("/checkout", url.Values{
		"email": {"ada@example.com"}, "name": {"Ada"}, "street": {"Quay 1"}, "postal_code": {"1"}, "city": {"Vienna"}, "country": {"AT"},
	})
	require.Equal(s.t, "/checkout/review", at, body)
	return url.Values{"checkout_key": {field(s.t, body, "checkout_key")}, "reviewed": {field(s.t, body, "reviewed")}, "card": {card}}
}

// claim is the form on the front page that puts a unit of the flash sale into
// the cart. There is none once all are taken.
func (s *shopper) claim() (path string, form url.Values, found bool) {
	s.t.Helper()
	status, home := s.get("/")
	require.Equal(s.t, http.StatusOK, status)
	action := saleForm.FindStringSubmatch(home)
	if action == nil {
		return "", nil, false
	}
	return action[1], url.Values{"claim_id": {field(s.t, home, "claim_id")}}, true
}
