package httpcache

import (
	"strconv"
	"strings"
)

// byteRange is a part of a body: the positions of its first and last byte.
type byteRange struct{ first, last int64 }

func (b byteRange) length() int64 { return b.last - b.first + 1 }

// rangeOutcome says what a Range field asks of a body.
type rangeOutcome int

const (
	wholeBody     rangeOutcome = iota // no range, or one that is ignored
	partOfBody                        // one range
	unsatisfiable                     // nothing of the body is in the range
)

// parseRange reads a Range field for a body of size bytes (RFC 9110 section 14.2).
// Several ranges, other units and malformed fields are ignored, as the RFC allows.
func parseRange(lines []string, size int64) (byteRange, rangeOutcome) {
	if len(lines) != 1 {
		return byteRange{}, wholeBody
	}
	unit, spec, found := strings.Cut(lines[0], "=")
	if !found || !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return byteRange{}, wholeBody
	}
	from, to, found := strings.Cut(strings.TrimSpace(spec), "-")
	if !found {
		return byteRange{}, wholeBody
	}
	if from == "" {
		length, ok := parsePosition(to)
		switch {
		case !ok:
			return byteRange{}, wholeBody
		case length == 0 || size == 0:
			return byteRange{}, unsatisfiable
		}
		return byteRange{max(size-length, 0), size - 1}, partOfBody
	}
	first, ok := parsePosition(from)
	if !ok {
		return byteRange{}, wholeBody
	}
	last := size - 1
	if to != "" {
		if last, ok = parsePosition(to); !ok || last < first {
			return byteRange{}, wholeBody
		}
	}
	if first >= size {
		return byteRange{}, unsatisfiable
	}
	return byteRange{first, min(last, size-1)}, partOfBody
}

// contentRange is the field that goes with a part of a body.
func contentRange(b byteRange, size int64) string {
	return "bytes " + strconv.FormatInt(b.first, 10) + "-" + strconv.FormatInt(b.last, 10) + "/" + strconv.FormatInt(size, 10)
}

// parseContentRange reads the Content-Range of a 206. It reports false for one
// that is invalid or does not tell the size of the whole (RFC 9110 section 14.4).
func parseContentRange(text string) (_ byteRange, size int64, ok bool) {
	text, found := strings.CutPrefix(text, "bytes ")
	positions, whole, cut := strings.Cut(text, "/")
	from, to, dash := strings.Cut(positions, "-")
	if !found || !cut || !dash {
		return byteRange{}, 0, false
	}
	first, ok1 := parsePosition(from)
	last, ok2 := parsePosition(to)
	size, ok3 := parsePosition(whole)
	return byteRange{first, last}, size, ok1 && ok2 && ok3 && first <= last && last < size
}

// Private

// parsePosition reads a number of digits alone.
func parsePosition(digits string) (int64, bool) {
	if digits == "" || !digit(digits[0]) {
		return 0, false
	}
	number, err := strconv.ParseInt(digits, 10, 64)
	return number, err == nil
}
