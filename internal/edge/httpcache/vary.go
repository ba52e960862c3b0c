package httpcache

import (
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// selector is one field of a request by which a stored response was selected.
type selector struct {
	name  string
	value string // normalised
	raw   string // the one line of it, to compare the same client's next request fast; empty when there are several
}

// varyNames are the names in all lines of Vary, canonical, sorted and once each.
// The response varies on more than fields (onMore is true) when one of them is "*"
// (RFC 9111 section 4.1).
func varyNames(header http.Header) (names []string, onMore bool) {
	for _, line := range header["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			switch name = strings.TrimSpace(name); name {
			case "":
			case "*":
				return nil, true
			default:
				names = append(names, textproto.CanonicalMIMEHeaderKey(name))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), false
}

// selectors are the values that a request has for the names in Vary.
func selectors(names []string, request http.Header) []selector {
	selected := make([]selector, len(names))
	for i, name := range names {
		lines := request[name]
		selected[i] = selector{name: name, value: normalise(name, lines)}
		if len(lines) == 1 {
			selected[i].raw = lines[0]
		}
	}
	return selected
}

// selects reports whether a request selects the stored response (RFC 9111 section
// 4.1). A client whose first choice of language is that of the response selects it
// too: a server that has this language would send it.
func (e *entry) selects(request http.Header) bool {
	for _, one := range e.selectors {
		lines := request[one.name]
		if len(lines) == 0 && one.value == "" || len(lines) == 1 && lines[0] == one.raw && one.raw != "" {
			continue
		}
		if normalise(one.name, lines) == one.value {
			continue
		}
		if one.name == "Accept-Language" && e.language != "" && firstChoice(lines) == e.language {
			continue
		}
		return false
	}
	return true
}

// sameSelection reports whether the same requests select two responses.
func sameSelection(a, b []selector) bool {
	return slices.EqualFunc(a, b, func(a, b selector) bool { return a.name == b.name && a.value == b.value })
}

// normalise writes the lines of a field so that values of one meaning are one
// text: lines joined, no optional spaces, and the Accept fields sorted by weight.
// An absent field is the empty text; an empty one is not.
func normalise(name string, lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	switch name {
	case "Accept", "Accept-Encoding", "Accept-Language", "Accept-Charset":
		return joinWeighted(weigh(lines))
	}
	if len(lines) == 1 && !strings.ContainsAny(lines[0], ", \t") && lines[0] != "" {
		return lines[0]
	}
	var joined strings.Builder
	for i, line := range lines {
		if i > 0 {
			joined.WriteByte(',')
		}
		writeCompact(&joined, line)
	}
	if joined.Len() == 0 {
		return ","
	}
	return joined.String()
}

// Private

// writeCompact writes a line without the spaces around its commas, except in
// quoted strings.
func writeCompact(to *strings.Builder, line string) {
	line = strings.Trim(line, " \t")
	quoted, comma := false, true
	for i := 0; i < len(line); i++ {
		c := line[i]
		if !quoted && (c == ' ' || c == '\t') {
			end := i
			for line[end] == ' ' || line[end] == '\t' {
				end++
			}
			if !comma && line[end] != ',' {
				to.WriteString(line[i:end])
			}
			i = end - 1
			continue
		}
		comma = !quoted && c == ','
		to.WriteByte(c)
		if quoted && c == '\\' && i+1 < len(line) {
			i++
			to.WriteByte(line[i])
		} else if c == '"' {
			quoted = !quoted
		}
	}
}

// weighted is one item of an Accept field.
type weighted struct {
	item   string // lower case, with its parameters other than q
	weight int    // q in thousandths; 1000 when absent, 0 when it cannot be read
}

// weigh reads an Accept field. The items are in order of weight and then of their
// text, because their order in the field has no meaning.
func weigh(lines []string) []weighted {
	var items []weighted
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			one := weighted{weight: 1000}
			var kept []string
			for parameter := range strings.SplitSeq(strings.ToLower(part), ";") {
				parameter = strings.TrimSpace(parameter)
				if q, is := strings.CutPrefix(parameter, "q="); is {
					one.weight = thousandths(q)
				} else if parameter != "" {
					kept = append(kept, parameter)
				}
			}
			if len(kept) > 0 {
				one.item = strings.Join(kept, ";")
				items = append(items, one)
			}
		}
	}
	slices.SortFunc(items, func(a, b weighted) int {
		if a.weight != b.weight {
			return b.weight - a.weight
		}
		return strings.Compare(a.item, b.item)
	})
	return slices.Compact(items)
}

func joinWeighted(items []weighted) string {
	var joined strings.Builder
	joined.WriteByte(',') // tells an empty field from an absent one
	for _, one := range items {
		joined.WriteString(one.item)
		if one.weight != 1000 {
			joined.WriteString(";q=")
			joined.WriteString(strconv.Itoa(one.weight))
		}
		joined.WriteByte(',')
	}
	return joined.String()
}

// firstChoice is the one language of the largest weight, in lower case. It is
// empty when there are several, or none.
func firstChoice(lines []string) string {
	items := weigh(lines)
	if len(items) == 0 || items[0].weight == 0 || items[0].item == "*" {
		return ""
	}
	if len(items) > 1 && items[1].weight == items[0].weight {
		return ""
	}
	return items[0].item
}

// thousandths reads a weight (RFC 9110 section 12.4.2).
func thousandths(q string) int {
	number, err := strconv.ParseFloat(q, 64)
	if err != nil || number < 0 || number > 1 {
		return 0
	}
	return int(number*1000 + 0.5)
}
