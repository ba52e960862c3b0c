package mail

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAddress_ReturnsTheFormThatEveryServerCarries(t *testing.T) {
	t.Parallel()

	for text, expected := range map[string]string{
		"ada@example.com":                        "ada@example.com",
		"Ada.Lovelace+news@Mail.EXAMPLE.co.uk":   "Ada.Lovelace+news@mail.example.co.uk",
		"info@bücher.example":                    "info@xn--bcher-kva.example",
		"info@BÜCHER.example":                    "info@xn--bcher-kva.example",
		"info@bu\u0308cher.example":              "info@xn--bcher-kva.example",
		"info@xn--bcher-kva.example":             "info@xn--bcher-kva.example",
		"info@XN--BCHER-KVA.example":             "info@xn--bcher-kva.example",
		"post@例え。テスト":                            "post@xn--r8jz45g.xn--zckzah",
		"post@ｅｘａｍｐｌｅ．com":                       "post@example.com",
		strings.Repeat("a", 64) + "@example.com": strings.Repeat("a", 64) + "@example.com",
	} {
		address, err := Address(text)

		require.NoError(t, err, text)
		require.Equal(t, expected, address)
		for _, r := range address {
			require.Less(t, r, rune(0x80))
		}
	}
}

func TestAddress_RefusesWhatSomeServersCannotCarry(t *testing.T) {
	t.Parallel()
	labels := strings.Repeat(strings.Repeat("a", 60)+".", 4)

	for text, reason := range map[string]error{
		"":                  ErrAddress,
		"ada":               ErrAddress,
		"@example.com":      ErrAddress,
		"ada@":              ErrAddress,
		"ada@example":       ErrAddress,
		"ada@example.":      ErrAddress,
		"ada@example.com.":  ErrAddress,
		"ada@example..com":  ErrAddress,
		"ada@-example.com":  ErrAddress,
		"ada@exa_mple.com":  ErrAddress,
		"ada@xn--a.example": ErrAddress,
		"ada@" + strings.Repeat("a", 64) + ".com":      ErrAddress,
		"ada..lovelace@example.com":                    ErrAddress,
		".ada@example.com":                             ErrAddress,
		`"ada"@example.com`:                            ErrAddress,
		"Ada <ada@example.com>":                        ErrAddress,
		"ada@example.com, eve@evil.com":                ErrAddress,
		"ada@example.com\nBcc: e@e.com":                ErrAddress,
		"ada@exa mple.com":                             ErrAddress,
		"jürgen@example.com":                           ErrAddressLocal,
		"ю@example.com":                                ErrAddressLocal,
		"ada@[192.0.2.1]":                              ErrAddressDomain,
		"ada@[IPv6:2001:db8::1]":                       ErrAddressDomain,
		"ada@192.0.2.1":                                ErrAddressDomain,
		"=?utf-8?q?ada?=@example.com":                  ErrAddressCoded,
		strings.Repeat("a", 65) + "@example.com":       ErrAddressLength,
		strings.Repeat("a", 20) + "@" + labels + "com": ErrAddressLength,
	} {
		_, err := Address(text)

		require.ErrorIs(t, err, reason, text)
	}
}
