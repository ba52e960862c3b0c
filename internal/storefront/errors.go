package storefront

import (
	"errors"
	"net/http"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"slipway/internal/shop"
	"slipway/internal/storefront/templates"
	"slipway/internal/web"
)

// ErrorStatus is the HTTP status of an error of the shop, 0 for any other error.
func (s *Storefront) ErrorStatus(err error) int {
	for _, known := range shopErrors {
		if errors.Is(err, known.err) {
			return known.status
		}
	}
	return 0
}

// ErrorPage renders the error page of a status. It needs no backend.
func (s *Storefront) ErrorPage(c echo.Context, status int, requestID string) templ.Component {
	words, known := errorWords[status]
	if _, refused := web.Refusal(c); refused && status == http.StatusForbidden {
		words = refusedWords
	}
	if !known {
		words = errorWords[http.StatusInternalServerError]
		if status < 500 {
			words = errorWords[http.StatusBadRequest]
		}
	}
	page := templates.ErrorPage{Layout: s.bareLayout(c, words.heading), Status: status, Heading: words.heading, Detail: words.detail}
	if status >= 500 {
		page.RequestID = requestID
	}
	return templates.Error(page)
}

// Private

var shopErrors = []struct {
	err    error
	status int
}{
	{shop.ErrNotFound, http.StatusNotFound},
	{shop.ErrQuantity, http.StatusUnprocessableEntity},
	{shop.ErrSoldOut, http.StatusConflict},
	{shop.ErrCartEmpty, http.StatusConflict},
	{shop.ErrCartChanged, http.StatusConflict},
	{shop.ErrCheckoutKey, http.StatusUnprocessableEntity},
	{shop.ErrTooManyOrders, http.StatusTooManyRequests},
	{shop.ErrClaimID, http.StatusUnprocessableEntity},
}

// errorWord is the text of an error page.
type errorWord struct{ heading, detail string }

var refusedWords = errorWord{
	"This harbour is closed to you",
	"There was something about requests from your network that we do not allow, so we do not answer them for now. " +
		"If that is a mistake, please come back later or write to us.",
}

var errorWords = map[int]errorWord{
	http.StatusBadRequest: {"We could not read that",
		"The request was not complete or not in a form that we understand. Please go back and try again."},
	http.StatusForbidden: {"That came from somewhere else",
		"For your safety, forms of this store are only taken from the store's own pages. Please open the page here and try again."},
	http.StatusNotFound: {"Nothing washed up here",
		"This page does not exist, or it has sailed on. Have a look around the store instead."},
	http.StatusMethodNotAllowed: {"Not this way",
		"This address does not take that kind of request. Please start again from the store."},
	http.StatusConflict: {"Somebody was quicker",
		"Things have changed since you saw the page. Please have another look at your cart."},
	http.StatusRequestEntityTooLarge: {"That is too much cargo",
		"What was sent is larger than any form of this store. Please send less."},
	http.StatusUnprocessableEntity: {"Something does not add up",
		"Part of what was sent cannot be used. Please go back and check it."},
	http.StatusTooManyRequests: {"Slowly, please",
		"That were too many requests in a short time. Please wait a moment and try again."},
	http.StatusInternalServerError: {"We ran aground",
		"Something broke on our side, and we have been told. Please try again in a moment."},
	http.StatusServiceUnavailable: {"Back in a moment",
		"The store is taking a short break. Your cart is safe. Please try again in a few seconds."},
	http.StatusGatewayTimeout: {"No answer",
		"Somebody whom we asked on your behalf did not answer. Please try again in a moment."},
}
