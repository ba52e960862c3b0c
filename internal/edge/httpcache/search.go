package httpcache

import (
	"net/http"
	"slices"
	"strings"
)

// searchRule says which parameters of a query select no other page: the field
// No-Vary-Search of a response. A nil rule ignores nothing.
type searchRule struct {
	text     string   // the rule in one form, to compare rules
	anyOrder bool     // key-order: the order of different parameters has no meaning
	all      bool     // every parameter is ignored but those in names
	names    []string // ignored parameters, or with all the others
}

// parseSearchRule reads No-Vary-Search. It returns nil for an absent field, one
// that is malformed and one that ignores nothing.
func parseSearchRule(header http.Header) *searchRule {
	lines := header["No-Vary-Search"]
	if len(lines) == 0 {
		return nil
	}
	members, err := parseDictionary(lines)
	if err != nil {
		return nil
	}
	rule := &searchRule{}
	var except []string
	excepts := false
	for _, one := range members {
		names, isList := textsOf(one.value)
		whole, isBool := one.value.(bool)
		switch {
		case one.name == "key-order" && isBool:
			rule.anyOrder = whole
		case one.name == "params" && isBool:
			rule.all = whole
		case one.name == "params" && isList:
			rule.names = names
		case one.name == "except" && isList:
			except, excepts = names, true
		case one.name == "key-order" || one.name == "params" || one.name == "except":
			return nil
		}
	}
	if excepts {
		if !rule.all {
			return nil
		}
		rule.names = except
	}
	if !rule.anyOrder && !rule.all && len(rule.names) == 0 {
		return nil
	}
	rule.text = strings.Join(lines, ",")
	return rule
}

// canonical is the query without the ignored parameters. Names are compared as
// they are written, not decoded, so that a parameter that is written in another way
// only makes another key.
func (s *searchRule) canonical(query string) string {
	if s == nil || query == "" {
		return query
	}
	var kept []string
	for parameter := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(parameter, "=")
		if slices.Contains(s.names, name) == s.all {
			kept = append(kept, parameter)
		}
	}
	if s.anyOrder {
		slices.SortStableFunc(kept, func(a, b string) int {
			nameA, _, _ := strings.Cut(a, "=")
			nameB, _, _ := strings.Cut(b, "=")
			return strings.Compare(nameA, nameB)
		})
	}
	return strings.Join(kept, "&")
}

// same reports whether two rules are written alike.
func (s *searchRule) same(other *searchRule) bool {
	return s == other || s != nil && other != nil && s.text == other.text
}

// Private

// textsOf are the strings of an inner list. It reports false for anything else.
func textsOf(value any) ([]string, bool) {
	members, is := value.([]member)
	if !is {
		return nil, false
	}
	texts := make([]string, 0, len(members))
	for _, one := range members {
		text, is := one.value.(string)
		if !is {
			return nil, false
		}
		texts = append(texts, text)
	}
	return texts, true
}
