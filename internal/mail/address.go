package mail

import (
	"errors"
	"regexp"
	"strings"

	"golang.org/x/net/idna"
)

// Reasons for which Address refuses an address.
var (
	ErrAddress       = errors.New("not a complete mail address")
	ErrAddressLocal  = errors.New("a mail address with a letter beyond ASCII before the @")
	ErrAddressDomain = errors.New("a mail address with an IP address in place of a domain")
	ErrAddressCoded  = errors.New("a mail address with an encoded word of RFC 2047")
	ErrAddressLength = errors.New("a mail address longer than RFC 5321 allows")
)

// Address returns a mail address without a name in the form that every mail
// server can carry: its domain is in ASCII (IDNA) and in lower case, so that two
// spellings of one domain are equal. It refuses what only some servers can carry:
// letters beyond ASCII before the @ need the extension SMTPUTF8 (RFC 6531), and
// quotes and address literals reach few mailboxes.
func Address(text string) (string, error) {
	at := strings.LastIndex(text, "@")
	if at < 1 || at == len(text)-1 {
		return "", ErrAddress
	}
	local, domain := text[:at], text[at+1:]
	switch {
	case strings.HasPrefix(domain, "["), numericDomain.MatchString(domain):
		return "", ErrAddressDomain
	case strings.Contains(local, "=?"), strings.Contains(local, "?="):
		return "", ErrAddressCoded
	case !internationalLocal.MatchString(local):
		return "", ErrAddress
	case !asciiLocal.MatchString(local):
		return "", ErrAddressLocal
	}
	domain, err := domains.ToASCII(domain)
	if err != nil || !completeDomain.MatchString(domain) {
		return "", ErrAddress
	}
	if len(local) > longestLocal || len(local)+1+len(domain) > longestAddress {
		return "", ErrAddressLength
	}
	return local + "@" + domain, nil
}

// Private

// The limits of RFC 5321, 4.5.3.1. A path of 256 characters includes its brackets.
const (
	longestLocal   = 64
	longestAddress = 254
)

const asciiLetter = "A-Za-z0-9!#$%&'*+/=?^_`{|}~-"

var (
	// asciiLocal is the dot-string of RFC 5321, internationalLocal that of RFC 6531.
	asciiLocal         = regexp.MustCompile(`^[` + asciiLetter + `]+(\.[` + asciiLetter + `]+)*$`)
	internationalLocal = regexp.MustCompile(`^[\x{80}-\x{10FFFF}` + asciiLetter + `]+(\.[\x{80}-\x{10FFFF}` + asciiLetter + `]+)*$`)
	// numericDomain is an IPv4 address, of which IDNA knows nothing.
	numericDomain = regexp.MustCompile(`^[0-9.]+$`)
	// completeDomain has two labels or more.
	completeDomain = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z0-9-]*[a-z][a-z0-9-]*$`)
)

var domains = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckHyphens(true), idna.CheckJoiners(true),
	idna.VerifyDNSLength(true), idna.Transitional(false))
