package httpcache

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// Structured fields by RFC 9651: dictionaries and lists. A field that breaks one
// rule is refused as a whole, as its section 4.2 demands.

// member is one member of a dictionary or a list. Its value is an int64, float64,
// string, token, []byte, bool, date or []member (an inner list). Parameters are
// checked and dropped: no field that the cache reads has any.
type member struct {
	name  string // empty in a list
	value any
}

type (
	token string // a Token
	date  int64  // a Date, in seconds since 1970
)

var errStructured = errors.New("the structured field is malformed")

// parseDictionary reads all lines of a dictionary. Of a name that occurs twice
// only the last member is returned.
func parseDictionary(lines []string) ([]member, error) {
	p := parser(strings.Trim(strings.Join(lines, ","), " "))
	var members []member
	for p != "" {
		name, ok := p.key()
		if !ok {
			return nil, errStructured
		}
		var value any = true
		if p.take('=') {
			if value, ok = p.item(); !ok {
				return nil, errStructured
			}
		} else if !p.parameters() {
			return nil, errStructured
		}
		members = append(without(members, name), member{name, value})
		if !p.next() {
			return nil, errStructured
		}
	}
	return members, nil
}

// parseList reads all lines of a list.
func parseList(lines []string) ([]member, error) {
	p := parser(strings.Trim(strings.Join(lines, ","), " "))
	var members []member
	for p != "" {
		value, ok := p.item()
		if !ok || !p.next() {
			return nil, errStructured
		}
		members = append(members, member{value: value})
	}
	return members, nil
}

// Private

// parser is what remains to be read. Every method reports whether it read what it
// was asked for.
type parser string

func (p *parser) take(character byte) bool {
	if *p == "" || (*p)[0] != character {
		return false
	}
	*p = (*p)[1:]
	return true
}

// next skips the comma before another member. A comma at the end is an error.
func (p *parser) next() bool {
	*p = parser(strings.TrimLeft(string(*p), " \t"))
	if *p == "" {
		return true
	}
	if !p.take(',') {
		return false
	}
	*p = parser(strings.TrimLeft(string(*p), " \t"))
	return *p != ""
}

func (p *parser) key() (string, bool) {
	if *p == "" || !lower((*p)[0]) && (*p)[0] != '*' {
		return "", false
	}
	return p.span(func(c byte) bool { return lower(c) || digit(c) || strings.IndexByte("_-.*", c) >= 0 }), true
}

// span takes the longest prefix whose characters are all of one kind.
func (p *parser) span(kind func(byte) bool) string {
	end := 0
	for end < len(*p) && kind((*p)[end]) {
		end++
	}
	text := string((*p)[:end])
	*p = (*p)[end:]
	return text
}

// item reads an item or an inner list with its parameters.
func (p *parser) item() (value any, ok bool) {
	if p.take('(') {
		value, ok = p.inner()
	} else {
		value, ok = p.bare()
	}
	return value, ok && p.parameters()
}

// inner reads an inner list, whose bracket has been taken.
func (p *parser) inner() (any, bool) {
	members := []member{}
	for {
		*p = parser(strings.TrimLeft(string(*p), " "))
		if p.take(')') {
			return members, true
		}
		value, ok := p.bare()
		if !ok || !p.parameters() || *p == "" || (*p)[0] != ' ' && (*p)[0] != ')' {
			return nil, false
		}
		members = append(members, member{value: value})
	}
}

func (p *parser) parameters() bool {
	for p.take(';') {
		*p = parser(strings.TrimLeft(string(*p), " "))
		if _, ok := p.key(); !ok {
			return false
		}
		if p.take('=') {
			if _, ok := p.bare(); !ok {
				return false
			}
		}
	}
	return true
}

func (p *parser) bare() (any, bool) {
	if *p == "" {
		return nil, false
	}
	switch first := (*p)[0]; {
	case first == '-' || digit(first):
		return p.number()
	case first == '"':
		*p = (*p)[1:]
		return p.text()
	case first == '*' || lower(first) || first >= 'A' && first <= 'Z':
		return token(p.span(func(c byte) bool { return c == ':' || c == '/' || tokenCharacter(c) })), true
	case first == ':':
		*p = (*p)[1:]
		return p.bytes()
	case first == '?':
		*p = (*p)[1:]
		if p.take('1') {
			return true, true
		}
		return false, p.take('0')
	case first == '@':
		*p = (*p)[1:]
		seconds, ok := p.number()
		whole, isWhole := seconds.(int64)
		return date(whole), ok && isWhole
	case first == '%':
		*p = (*p)[1:]
		return p.display()
	}
	return nil, false
}

func (p *parser) number() (any, bool) {
	sign := ""
	if p.take('-') {
		sign = "-"
	}
	whole := p.span(digit)
	if whole == "" || len(whole) > 15 {
		return nil, false
	}
	if !p.take('.') {
		number, err := strconv.ParseInt(sign+whole, 10, 64)
		return number, err == nil
	}
	fraction := p.span(digit)
	if len(whole) > 12 || fraction == "" || len(fraction) > 3 {
		return nil, false
	}
	number, err := strconv.ParseFloat(sign+whole+"."+fraction, 64)
	return number, err == nil
}

// text reads a String, whose opening quote has been taken.
func (p *parser) text() (any, bool) {
	var text strings.Builder
	for *p != "" {
		character := (*p)[0]
		*p = (*p)[1:]
		switch {
		case character == '"':
			return text.String(), true
		case character == '\\':
			if *p == "" || (*p)[0] != '"' && (*p)[0] != '\\' {
				return nil, false
			}
			character = (*p)[0]
			*p = (*p)[1:]
		case character < 0x20 || character > 0x7e:
			return nil, false
		}
		text.WriteByte(character)
	}
	return nil, false
}

// bytes reads a Byte Sequence, whose opening colon has been taken.
func (p *parser) bytes() (any, bool) {
	encoded, rest, closed := strings.Cut(string(*p), ":")
	if !closed {
		return nil, false
	}
	*p = parser(rest)
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
	return decoded, err == nil
}

// display reads a Display String, whose percent sign has been taken.
func (p *parser) display() (any, bool) {
	if !p.take('"') {
		return nil, false
	}
	var text strings.Builder
	for *p != "" {
		character := (*p)[0]
		*p = (*p)[1:]
		switch {
		case character == '"':
			return text.String(), true
		case character == '%':
			if len(*p) < 2 || strings.ToLower(string((*p)[:2])) != string((*p)[:2]) {
				return nil, false
			}
			code, err := strconv.ParseUint(string((*p)[:2]), 16, 8)
			if err != nil {
				return nil, false
			}
			character = byte(code)
			*p = (*p)[2:]
		case character < 0x20 || character > 0x7e:
			return nil, false
		}
		text.WriteByte(character)
	}
	return nil, false
}

func without(members []member, name string) []member {
	for i, one := range members {
		if one.name == name {
			return append(members[:i], members[i+1:]...)
		}
	}
	return members
}

func lower(c byte) bool { return c >= 'a' && c <= 'z' }

func digit(c byte) bool { return c >= '0' && c <= '9' }

// tokenCharacter reports whether c is a tchar (RFC 9110 section 5.6.2).
func tokenCharacter(c byte) bool {
	return lower(c) || digit(c) || c >= 'A' && c <= 'Z' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
