package coding

import "strings"

// Negotiate returns the offered coding that a client wants most, by all lines of its
// Accept-Encoding (RFC 9110, section 12.5.3). Offers are in the order in which the
// server prefers them, which decides between equal weights. Identity is always on
// offer, after all others.
//
// The result is Identity when the client accepts no offer. That holds even for a
// client that refuses identity: a body that it can probably read serves it better
// than status 406, and section 12.4.1 permits to disregard its wish.
func Negotiate(accept []string, offers []Coding) Coding {
	if len(accept) == 0 {
		return Identity
	}
	return parse(accept).choose(offers)
}

// Private

// preferences are what a client says in Accept-Encoding.
type preferences struct {
	weights [Codings]weight
	others  weight // of the codings without a weight of their own, from *
}

// weight is a quality value in thousandths, plus 1. 0 means that none is given.
type weight int16

const (
	notGiven weight = 0
	refused  weight = 1
	full     weight = 1001
)

// parse reads all lines of Accept-Encoding. When a coding is named twice, the first
// counts. An element whose weight is malformed refuses its coding, because that can
// only lead to identity, which every client reads.
func parse(accept []string) preferences {
	var p preferences
	for _, line := range accept {
		for line != "" {
			var element string
			element, line, _ = strings.Cut(line, ",")
			name, parameter, weighted := strings.Cut(element, ";")
			given := full
			if weighted {
				given = parseWeight(trim(parameter))
			}
			if slot := p.slot(trim(name)); slot != nil && *slot == notGiven {
				*slot = given
			}
		}
	}
	return p
}

// slot returns where the weight of a coding is kept, and nil for an unknown coding.
// x-gzip is gzip (RFC 9110, section 8.4.1.3).
func (p *preferences) slot(name string) *weight {
	switch len(name) {
	case 1:
		if name == "*" {
			return &p.others
		}
	case 2:
		if strings.EqualFold(name, "br") {
			return &p.weights[Brotli]
		}
	case 3:
		if strings.EqualFold(name, "dcz") {
			return &p.weights[DCZ]
		}
	case 4:
		if strings.EqualFold(name, "gzip") {
			return &p.weights[Gzip]
		}
		if strings.EqualFold(name, "zstd") {
			return &p.weights[Zstd]
		}
	case 6:
		if strings.EqualFold(name, "x-gzip") {
			return &p.weights[Gzip]
		}
	case 8:
		if strings.EqualFold(name, "identity") {
			return &p.weights[Identity]
		}
	}
	return nil
}

// choose returns the offer with the largest weight.
func (p preferences) choose(offers []Coding) Coding {
	best, most := Identity, refused
	for _, offer := range offers {
		if given := p.of(offer); given > most {
			best, most = offer, given
		}
	}
	if p.of(Identity) > most {
		return Identity
	}
	return best
}

// of returns the weight of a coding, from its own element or from *.
func (p preferences) of(c Coding) weight {
	if given := p.weights[c]; given != notGiven {
		return given
	}
	return p.others
}

func (p preferences) accept(c Coding) bool { return p.of(c) > refused }

// parseWeight reads "q=" and a quality value: 0 or 1, with up to three decimals, not
// more than 1 (RFC 9110, section 12.4.2). It returns refused for anything else.
func parseWeight(parameter string) weight {
	if len(parameter) < 3 || len(parameter) > 7 || parameter[0]|0x20 != 'q' || parameter[1] != '=' {
		return refused
	}
	whole, decimals := parameter[2], parameter[3:]
	if whole != '0' && whole != '1' || decimals != "" && decimals[0] != '.' {
		return refused
	}
	given := weight(whole-'0') * 1000
	scale := weight(100)
	for i := 1; i < len(decimals); i++ {
		digit := decimals[i]
		if digit < '0' || digit > '9' {
			return refused
		}
		given += weight(digit-'0') * scale
		scale /= 10
	}
	if given > 1000 {
		return refused
	}
	return given + 1
}

// trim removes optional whitespace (RFC 9110, section 5.6.3).
func trim(text string) string {
	for text != "" && (text[0] == ' ' || text[0] == '\t') {
		text = text[1:]
	}
	for text != "" && (text[len(text)-1] == ' ' || text[len(text)-1] == '\t') {
		text = text[:len(text)-1]
	}
	return text
}
