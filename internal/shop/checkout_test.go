package shop_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/shop"
)

func TestSaveContact_KeepsEveryScript(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	id, err := s.AddToCart(t.Context(), "", s.variant(t, "kelp-soap", 9).ID, 1)
	require.NoError(t, err)
	written := shop.Contact{
		Email: "ada@example.com", Name: "  Ada 🌊   عربي ", Street: "'; DROP TABLE orders; --",
		PostalCode: "1010", City: "<b>Wien</b>", Country: "at", Note: "Ring twice\r\nplease",
	}

	require.NoError(t, s.SaveContact(t.Context(), id, written))

	read, err := s.Contact(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, shop.Contact{
		Email: "ada@example.com", Name: "Ada 🌊 عربي", Street: "'; DROP TABLE orders; --",
		PostalCode: "1010", City: "<b>Wien</b>", Country: "AT", Note: "Ring twice\nplease",
	}, read)
}

func TestContact_ReportsEveryProblem(t *testing.T) {
	t.Parallel()
	good := contact()

	require.Nil(t, good.Problems())
	require.Len(t, shop.Contact{}.Cleaned().Problems(), 6)
	unseen := shop.Contact{Email: "\u200b", Name: "\u200b", Street: "\u2060", PostalCode: "\ufeff", City: "\u00ad", Country: "\u200d"}
	require.Len(t, unseen.Cleaned().Problems(), 6)

	for name, spoil := range map[string]func(*shop.Contact){
		"email":       func(c *shop.Contact) { c.Email = "ada@localhost" },
		"name":        func(c *shop.Contact) { c.Name = strings.Repeat("a", 5000) },
		"street":      func(c *shop.Contact) { c.Street = "Quay\x001" },
		"postal_code": func(c *shop.Contact) { c.PostalCode = strings.Repeat("1", 17) },
		"city":        func(c *shop.Contact) { c.City = "Wi\xffen" },
		"country":     func(c *shop.Contact) { c.Country = "XX" },
		"note":        func(c *shop.Contact) { c.Note = "ring\x1b[31m" },
	} {
		spoiled := good
		spoil(&spoiled)
		problems := spoiled.Cleaned().Problems()
		require.Len(t, problems, 1, name)
		require.NotEmpty(t, problems[name], name)
	}
}

func TestContact_AcceptsOnlyDeliverableAddresses(t *testing.T) {
	t.Parallel()

	for email, good := range map[string]bool{
		"ada@example.com":               true,
		"ada+store@mail.example.co.uk":  true,
		"ada":                           false,
		"ada@":                          false,
		"@example.com":                  false,
		"ada@example":                   false,
		"ada@example.":                  false,
		"Ada <ada@example.com>":         false,
		"ada@example.com, eve@evil.com": false,
		"ada@example.com\nBcc: e@e.com": false,
		`"a b"@example.com`:             false,
		"ada@exa mple.com":              false,
		"ada@-example.com":              false,
		"ada@example..com":              false,
		"ada\u202e@example.com":         false,
	} {
		candidate := contact()
		candidate.Email = email
		require.Equal(t, good, candidate.Problems() == nil, email)
	}
}
