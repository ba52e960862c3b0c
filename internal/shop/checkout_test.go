package shop_test

import (
	"strings"
	"testing"
	"time"

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

func TestContact_SaysWhatIsWrongWithAnAddress(t *testing.T) {
	t.Parallel()

	for email, words := range map[string]string{
		"ada@example.com":                        "",
		"ada+store@mail.example.co.uk":           "",
		"\u00a0 ada@example.com\u200b\r\n":       "", // as pasted from a page
		"\ufeffada@example.com":                  "",
		"ada":                                    "not a complete email address",
		"ada@":                                   "not a complete email address",
		"@example.com":                           "not a complete email address",
		"ada@example":                            "not a complete email address",
		"ada@example.":                           "not a complete email address",
		"Ada <ada@example.com>":                  "not a complete email address",
		"ada@example.com, eve@evil.com":          "not a complete email address",
		`"a b"@example.com`:                      "not a complete email address",
		"ada@exa mple.com":                       "not a complete email address",
		"ada@-example.com":                       "not a complete email address",
		"ada@example..com":                       "not a complete email address",
		"ada@[192.0.2.1]":                        "not a complete email address",
		"jürgen@example.com":                     "Before the @",
		"=?utf-8?q?ada?=@example.com":            "encoded form",
		strings.Repeat("a", 65) + "@example.com": "at most 64 characters",
		"ada\u200b@example.com":                  "(zero-width space, U+200B) after “ada”",
		"ada@exam\u00adple.com":                  "(soft hyphen, U+00AD) after “ada@exam”",
		"ada\u00a0@example.com":                  "(no-break space, U+00A0) after “ada”",
		"ada@\ufeffexample.com":                  "(byte-order mark, U+FEFF) after “ada@”",
		"\u202eada@example.com":                  "(right-to-left override, U+202E) at the beginning",
		"ada@example\u200d.com":                  "(zero-width joiner, U+200D) after “ada@example”",
		"ada@example.com\nBcc: e@e.com":          "cannot be seen (U+000A) after “ada@example.com”",
	} {
		candidate := contact()
		candidate.Email = email
		problem := candidate.Cleaned().Problems()["email"]
		if words == "" {
			require.Empty(t, problem, "%q", email)
			continue
		}
		require.Contains(t, problem, words, "%q", email)
	}
}

func TestContact_RefusesLinksInWhatIsMailed(t *testing.T) {
	t.Parallel()

	for text, refused := range map[string]bool{
		"Claim now at http://prize.example.net/claim": true,
		"HTTPS://192.0.2.1/x":                         true,
		"see prize.com":                               true,
		"prize.example.co.uk/claim":                   true,
		"www.prize":                                   true,
		"ｗｗｗ．prize．com":                               true,
		"prize。com":                                   true,
		"приз.рф":                                     true,
		"mailto:eve@evil":                             true,
		"eve@evil.com":                                true,
		"shop.github.io":                              true,
		"pri\u200dze.com":                             true,
		"pri\u200bze.c\u200bom":                       true,
		"Ada\u202e":                                   true,
		"Ada\u2066":                                   true,
		"Ada Lovelace":                                false,
		"J.R.R. Tolkien":                              false,
		"J.R.R.Tolkien":                               false,
		"Dr.Müller":                                   false,
		"St.Gallen":                                   false,
		"St.Pölten":                                   false,
		"Hauptstr.5/2.OG":                             false,
		"Straße des 17. Juni":                         false,
		"c/o Smith & Co., Ltd.":                       false,
		"No. 3, Flat 2a":                              false,
		"SW1A 1AA":                                    false,
		"می\u200cخواهم":                               false, // Persian is written with this joiner
		"👩\u200d🚀 عربي 🌊":                             false,
		"O’Brien-Smith, jr.":                          false,
	} {
		fields := shop.Contact{Email: "ada@example.com", Name: text, Street: text, PostalCode: "1010", City: text, Country: "AT"}
		problems := fields.Cleaned().Problems()
		require.Equal(t, refused, problems != nil, text)
		if refused {
			require.Len(t, problems, 3, text)
		}
	}
	note := contact()
	note.Note = "The way: https://maps.example.com/x" // it is not mailed
	require.Nil(t, note.Cleaned().Problems())
	note.Note = "Ring\u202e twice"
	require.Contains(t, note.Cleaned().Problems()["note"], "right-to-left override")
}

func TestSaveContact_StoresTheDomainInASCII(t *testing.T) {
	t.Parallel()
	s := newStore(t, func(options *shop.Options) { options.OrderLimit = shop.OrderLimit{Orders: 1, Period: time.Hour} })
	mug := s.variant(t, "harbour-enamel-mug", 9)
	carts := map[string]string{}
	for _, email := range []string{"info@bücher.example", "INFO@XN--BCHER-KVA.example"} {
		carts[email] = s.filledCart(t, mug, 1)
		typed := contact()
		typed.Email = email
		require.NoError(t, s.SaveContact(t.Context(), carts[email], typed))
	}
	stored, err := s.Contact(t.Context(), carts["info@bücher.example"])
	require.NoError(t, err)
	require.Equal(t, "info@xn--bcher-kva.example", stored.Email)

	_, err = s.PlaceOrder(t.Context(), purchase(carts["info@bücher.example"]))
	require.NoError(t, err)
	_, err = s.PlaceOrder(t.Context(), purchase(carts["INFO@XN--BCHER-KVA.example"]))

	require.ErrorIs(t, err, shop.ErrTooManyOrders, "both spellings are one shopper")
}

func TestSaveContact_KeepsWhenTheShopperAskedForAReminder(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	cart := s.filledCart(t, s.variant(t, "harbour-enamel-mug", 9), 1)
	save := func(email string, remind bool) {
		asking := contact()
		asking.Email, asking.RemindMe = email, remind
		require.NoError(t, s.SaveContact(t.Context(), cart, asking))
	}
	asked := func(condition string) int {
		return s.count(t, `SELECT count(*) FROM carts WHERE reminder_consent_at `+condition)
	}

	require.Equal(t, 1, asked(`IS NULL`), "nobody asked")
	save("ada@example.com", true)
	require.Equal(t, 1, asked(`> now() - interval '1 minute'`))
	stored, err := s.Contact(t.Context(), cart)
	require.NoError(t, err)
	require.True(t, stored.RemindMe)
	s.exec(t, `UPDATE carts SET reminder_consent_at = now() - interval '1 hour'`)
	save("ada@example.com", true)
	require.Equal(t, 1, asked(`< now() - interval '1 minute'`), "the first time counts")
	save("bob@example.com", true)
	require.Equal(t, 1, asked(`> now() - interval '1 minute'`), "another person asks")
	save("bob@example.com", false)
	require.Equal(t, 1, asked(`IS NULL`))

	save("bob@example.com", true)
	_, err = s.PlaceOrder(t.Context(), purchase(cart))
	require.NoError(t, err)
	require.Equal(t, 1, asked(`IS NULL`), "the next lines of the cart are another cart for the shopper")
}
