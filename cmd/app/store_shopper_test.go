package main

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

const workingCard = "4242424242424242"

func (v *visitor) add(variant int64) (status int) {
	v.t.Helper()
	status, _, _ = v.post("/cart/lines", url.Values{"variant_id": {itoa(variant)}, "quantity": {"1"}})
	return status
}

// fillIn completes the checkout of a cart and returns the form that pays.
func (v *visitor) fillIn(card string) url.Values {
	v.t.Helper()
	_, at, body := v.post("/checkout", url.Values{
		"email": {"ada@example.com"}, "name": {"Ada"}, "street": {"Quay 1"}, "postal_code": {"1"}, "city": {"Vienna"}, "country": {"AT"},
	})
	require.Equal(v.t, "/checkout/review", at, body)
	return url.Values{"checkout_key": {field(v.t, body, "checkout_key")}, "reviewed": {field(v.t, body, "reviewed")}, "card": {card}}
}

// claim is the form on the front page that puts a unit of the flash sale into the
// cart. Found is false once all units are taken.
func (v *visitor) claim() (path string, form url.Values, found bool) {
	v.t.Helper()
	status, home := v.get("/")
	require.Equal(v.t, http.StatusOK, status)
	action := saleForm.FindStringSubmatch(home)
	if action == nil {
		return "", nil, false
	}
	return action[1], url.Values{"claim_id": {field(v.t, home, "claim_id")}}, true
}

// saleForm finds the address of the form that claims a unit.
var saleForm = regexp.MustCompile(`action="(/sales/\d+/holds)"`)

// field is the value of a hidden field of a form.
func field(t *testing.T, body, name string) string {
	t.Helper()
	found := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(body)
	require.Len(t, found, 2)
	return found[1]
}

func itoa(number int64) string { return strconv.FormatInt(number, 10) }
