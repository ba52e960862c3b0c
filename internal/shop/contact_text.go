package shop

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
	"golang.org/x/text/unicode/norm"

	"slipway/internal/mail"
)

// Private

// emailProblem is a sentence about an email address, empty for a good one.
func emailProblem(email string) string {
	if problem := hiddenProblem(email, isHiddenInEmail); problem != "" {
		return problem
	}
	address, err := mail.Address(email)
	for _, known := range emailProblems {
		if errors.Is(err, known.err) {
			return known.words
		}
	}
	if address != email {
		return "Please check this address. We will write to " + address + "."
	}
	return ""
}

var emailProblems = []struct {
	err   error
	words string
}{
	{mail.ErrAddress, "This is not a complete email address, such as ada@example.com."},
	{mail.ErrAddressLocal, "Before the @, this has letters or signs that many mail servers do not accept. " +
		"Please give an address that has only the letters a to z there, such as ada@example.com."},
	{mail.ErrAddressDomain, "This has numbers in place of a domain, so it is not a complete email address. " +
		"Please give one such as ada@example.com."},
	{mail.ErrAddressCoded, "This is an encoded form of an email address. Please type the address itself, such as ada@example.com."},
	{mail.ErrAddressLength, "This is too long for an email address: at most 64 characters fit before the @, and 254 in all."},
}

// mailedProblem is a sentence about a text that is part of a mail, empty for a
// good one. Anyone can type the address of somebody else, so the mail must not
// carry a link of theirs.
func mailedProblem(text string) string {
	if problem := hiddenProblem(text, isHidden); problem != "" {
		return problem
	}
	if address := webAddress(text); address != "" {
		return fmt.Sprintf("This looks like a web address (%s), which we do not print on a parcel. "+
			"If it is none, please put a space after the dot.", address)
	}
	return ""
}

// hiddenProblem names the first character of a text that nobody can see.
func hiddenProblem(text string, hidden func(rune) bool) string {
	at := strings.IndexFunc(text, hidden)
	if at < 0 {
		return ""
	}
	place := "at the beginning"
	if before := []rune(strings.TrimSpace(text[:at])); len(before) > 0 {
		place = fmt.Sprintf("after “%s”", string(before[max(0, len(before)-20):]))
	}
	r := []rune(text[at:])[0]
	return fmt.Sprintf("This has a character that cannot be seen (%s) %s. Please delete it, or type the line again.", nameOf(r), place)
}

func nameOf(r rune) string {
	if name, known := hiddenNames[r]; known {
		return fmt.Sprintf("%s, U+%04X", name, r)
	}
	return fmt.Sprintf("U+%04X", r)
}

var hiddenNames = map[rune]string{
	'\t': "tab", '\u00a0': "no-break space", '\u00ad': "soft hyphen", '\u061c': "Arabic letter mark",
	'\u200b': "zero-width space", '\u200c': "zero-width non-joiner", '\u200d': "zero-width joiner",
	'\u200e': "left-to-right mark", '\u200f': "right-to-left mark",
	'\u202a': "left-to-right embedding", '\u202b': "right-to-left embedding", '\u202c': "end of a text direction",
	'\u202d': "left-to-right override", '\u202e': "right-to-left override", '\u202f': "narrow no-break space",
	'\u2060': "word joiner", '\u2066': "left-to-right isolate", '\u2067': "right-to-left isolate",
	'\u2068': "first strong isolate", '\u2069': "end of an isolate", '\ufeff': "byte-order mark",
}

// isHidden matches characters that change how a text is shown and cannot be seen
// themselves. Joiners are not among them: some scripts and emoji need them.
func isHidden(r rune) bool {
	switch {
	case unicode.Is(unicode.Bidi_Control, r), r >= '\u2060' && r <= '\u2064':
		return true
	}
	return r == '\u00ad' || r == '\u180e' || r == '\u200b' || r == '\ufeff'
}

// isHiddenInEmail matches all characters that cannot be seen, but the blank: an
// address with a blank looks incomplete.
func isHiddenInEmail(r rune) bool { return r != ' ' && unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

// isBlank matches what is often pasted with a text and not part of it.
func isBlank(r rune) bool {
	return unicode.IsSpace(r) || r == '\u200b' || r == '\u2060' || r == '\ufeff'
}

// webAddress returns the part of a text that a mail program may show as a link,
// empty without one. Mail programs know a domain by its ending.
func webAddress(text string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r == '。':
			return '.'
		case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Variation_Selector, r):
			return -1
		}
		return r
	}, norm.NFKC.String(text))
	if found := urlPattern.FindString(plain); found != "" {
		return found
	}
	for _, domain := range domainPattern.FindAllString(plain, -1) {
		ascii, err := idna.Lookup.ToASCII(domain)
		if err != nil {
			ascii = strings.ToLower(domain)
		}
		if suffix, public := publicsuffix.PublicSuffix(ascii); public || strings.Contains(suffix, ".") {
			return domain
		}
	}
	return ""
}

var (
	urlPattern    = regexp.MustCompile(`(?i)\b(?:https?|ftp|mailto|javascript|data):\S*|://\S*|\bwww\.\S*`)
	domainPattern = regexp.MustCompile(`[\pL\pN\pM-]+(?:\.[\pL\pN\pM-]+)+`)
)
