package httpcache

import (
	"net/textproto"
	"strings"
	"time"
)

// directives are those of Cache-Control that a shared cache acts on (RFC 9111
// section 5.2), of a request or of a response. Unknown ones are ignored.
type directives struct {
	noStore, noCache, private, public, onlyIfCached bool
	mustRevalidate, proxyRevalidate, mustUnderstand bool
	maxAge, sharedMaxAge, minFresh, maxStale        delta
	staleWhileRevalidate, staleIfError              delta
	noCacheFields, privateFields                    []string // of the qualified forms no-cache="…" and private="…"
}

// delta is a number of seconds, or absent. A value that cannot be read counts as
// zero, so that a response with it is stale (RFC 9111 section 4.2.1).
type delta time.Duration

const (
	absent delta = -1
	// RFC 9111 section 1.2.2 lets a cache take any larger number for this one.
	maxDelta = delta((1 << 31) * time.Second)
)

func (d delta) given() bool { return d != absent }

func (d delta) duration() time.Duration { return time.Duration(d) }

// noDirectives has every duration absent.
var noDirectives = directives{
	maxAge: absent, sharedMaxAge: absent, minFresh: absent, maxStale: absent,
	staleWhileRevalidate: absent, staleIfError: absent,
}

// parseDirectives reads all lines of Cache-Control. Of a directive that is given
// twice the shorter duration counts.
func parseDirectives(lines []string) directives {
	parsed := noDirectives
	for _, line := range lines {
		for line != "" {
			var name, value string
			var quoted bool
			name, value, quoted, line = cutDirective(line)
			parsed.set(name, value, quoted)
		}
	}
	return parsed
}

// Private

func (d *directives) set(name, value string, quoted bool) {
	switch strings.ToLower(name) {
	case "no-store":
		d.noStore = true
	case "no-cache":
		d.setQualified(&d.noCache, &d.noCacheFields, value, quoted)
	case "private":
		d.setQualified(&d.private, &d.privateFields, value, quoted)
	case "public":
		d.public = true
	case "only-if-cached":
		d.onlyIfCached = true
	case "must-revalidate":
		d.mustRevalidate = true
	case "proxy-revalidate":
		d.proxyRevalidate = true
	case "must-understand":
		d.mustUnderstand = true
	case "max-age":
		d.maxAge = shorter(d.maxAge, parseDelta(value))
	case "s-maxage":
		d.sharedMaxAge = shorter(d.sharedMaxAge, parseDelta(value))
	case "min-fresh":
		d.minFresh = max(d.minFresh, parseDelta(value))
	case "max-stale":
		if value == "" {
			d.maxStale = maxDelta // any staleness
		} else {
			d.maxStale = shorter(d.maxStale, parseDelta(value))
		}
	case "stale-while-revalidate":
		d.staleWhileRevalidate = shorter(d.staleWhileRevalidate, parseDelta(value))
	case "stale-if-error":
		d.staleIfError = shorter(d.staleIfError, parseDelta(value))
	}
}

// setQualified sets a directive that forbids the whole response, or with a list
// of field names only those fields. An unquoted value is no list and forbids all.
func (d *directives) setQualified(whole *bool, fields *[]string, value string, quoted bool) {
	if !quoted || value == "" {
		*whole = true
		return
	}
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.TrimSpace(name); name != "" {
			*fields = append(*fields, textproto.CanonicalMIMEHeaderKey(name))
		}
	}
}

// cutDirective cuts the first directive off a list. The value is without quotes
// and escapes.
func cutDirective(list string) (name, value string, quoted bool, rest string) {
	end := strings.IndexAny(list, ",=")
	if end < 0 {
		return strings.Trim(list, " \t"), "", false, ""
	}
	name = strings.TrimLeft(list[:end], " \t")
	if list[end] == ',' {
		return strings.TrimRight(name, " \t"), "", false, list[end+1:]
	}
	list = list[end+1:]
	if strings.HasPrefix(list, `"`) {
		value, list = cutQuoted(list[1:])
		_, rest, _ = strings.Cut(list, ",")
		return name, value, true, rest
	}
	value, rest, _ = strings.Cut(list, ",")
	return name, strings.TrimRight(value, " \t"), false, rest
}

// cutQuoted cuts a quoted string, whose opening quote has been read, off a text.
func cutQuoted(text string) (value, rest string) {
	var unescaped strings.Builder
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			return unescaped.String(), text[i+1:]
		case '\\':
			if i++; i == len(text) {
				return unescaped.String(), ""
			}
		}
		unescaped.WriteByte(text[i])
	}
	return unescaped.String(), ""
}

// parseDelta reads delta-seconds (RFC 9111 section 1.2.2).
func parseDelta(digits string) delta {
	if digits == "" {
		return 0
	}
	var seconds int64
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0
		}
		if seconds < int64(1<<31) {
			seconds = seconds*10 + int64(digits[i]-'0')
		}
	}
	if seconds >= 1<<31 {
		return maxDelta
	}
	return delta(time.Duration(seconds) * time.Second)
}

func shorter(one, other delta) delta {
	if !one.given() {
		return other
	}
	return min(one, other)
}
