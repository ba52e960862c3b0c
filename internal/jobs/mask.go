package jobs

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"slipway/internal/telemetry"
)

// Mask hides secrets from operators: the values of the args that each kind
// declares as Masked, and of args whose names suggest a secret, such as password,
// token or pin.
type Mask map[string][]string // names of args by kind

// Mask returns the mask of the kinds in h.
func (h Handlers) Mask() Mask {
	m := Mask{}
	for _, handler := range h {
		m[handler.Kind] = handler.Masked
	}
	return m
}

// Args returns the args of a kind with *** in place of secret values. Args that
// are not JSON are masked as a whole.
func (m Mask) Args(kind string, args []byte) json.RawMessage {
	value, err := decode(args)
	if err != nil {
		return json.RawMessage(`"***"`)
	}
	var shown bytes.Buffer
	encoder := json.NewEncoder(&shown)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(m.walk(m.names(kind, args), value, nil)) // no error: the value was decoded from JSON
	return bytes.TrimSpace(shown.Bytes())
}

// Text returns a text about a run, such as its error, with *** in place of the
// secret values among its args and of everything that telemetry.Scrub replaces.
// It does not find values of one or two characters.
func (m Mask) Text(kind string, args []byte, text string) string {
	value, err := decode(args)
	if err == nil {
		var secrets []string
		m.walk(m.names(kind, args), value, func(secret string) { secrets = append(secrets, spellings(secret)...) })
		slices.SortFunc(secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // a secret may contain another
		for _, secret := range secrets {
			text = hide(text, secret)
		}
	}
	return telemetry.Scrub(text)
}

// Unmask returns edited args of a kind with the stored value wherever a secret still
// is *** as Args has shown it. It returns an error for a *** that no stored value
// belongs to for certain: in a list, one of its entries may be changed, and in place.
// Numbers stay as they are written.
func (m Mask) Unmask(kind string, stored, edited []byte) (json.RawMessage, error) {
	written, err := decode(edited)
	if err != nil {
		return nil, fmt.Errorf("read the arguments of %s as JSON: %w", kind, err)
	}
	known, err := decode(stored)
	if err != nil {
		known = nil
	}
	shown, _ := decode(m.Args(kind, stored)) // no error: Args returns JSON
	restored, err := m.restore(m.names(kind, stored), known, shown, written)
	if err != nil {
		return nil, fmt.Errorf("read the arguments of %s: %w", kind, err)
	}
	return json.Marshal(restored)
}

// Hides reports whether the value at a path of the args of a kind is secret. Nobody
// may search for it, because a search would tell it.
func (m Mask) Hides(kind string, path []string) bool {
	return slices.ContainsFunc(path, func(name string) bool {
		return slices.Contains(m[kind], name) || secretName.MatchString(name)
	})
}

// HiddenIn returns the kinds for which the value at a path is secret, and whether
// it is for every kind. An outbox job hides what any kind of task hides.
func (m Mask) HiddenIn(path []string) (kinds []string, everywhere bool) {
	for kind := range m {
		if m.Hides(kind, path) {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) > 0 {
		kinds = append(kinds, OutboxKind)
	}
	return kinds, m.Hides("", path)
}

// Private

// secretName matches names of args whose values are always masked: words within a
// name, and short words that must be whole.
var secretName = regexp.MustCompile(`(?i:password|passwd|passphrase|secret|token|api_?key|card|cvc|iban|authorization|cookie)|` +
	`(?:^|[^a-zA-Z])(?i:pin|otp|cvv|ssn)(?:$|[^a-z])|(?:[a-z0-9](?:Pin|Otp|Cvv|Ssn|PIN|OTP|CVV|SSN)|^(?i:pin|otp|cvv|ssn))(?:$|[^a-z])|` +
	`(?i:pin|otp)_?(?i:code)`)

// names are the masked args of a kind. An outbox job has the args of its task.
func (m Mask) names(kind string, args []byte) []string {
	var outbox struct {
		Task struct {
			Kind string `json:"kind"`
		} `json:"task"`
	}
	if kind == OutboxKind && json.Unmarshal(args, &outbox) == nil {
		kind = outbox.Task.Kind
	}
	return m[kind]
}

// walk masks a value and calls found, which may be nil, with each secret in it.
func (m Mask) walk(names []string, value any, found func(secret string)) any {
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			if slices.Contains(names, name) || secretName.MatchString(name) {
				leaves(inner, found)
				value[name] = "***"
			} else {
				value[name] = m.walk(names, inner, found)
			}
		}
	case []any:
		for n, inner := range value {
			value[n] = m.walk(names, inner, found)
		}
	}
	return value
}

// restore puts stored secrets where edited has ***. Shown is stored as Args shows it.
func (m Mask) restore(names []string, stored, shown, edited any) (any, error) {
	switch written := edited.(type) {
	case map[string]any:
		known, _ := stored.(map[string]any)
		masked, _ := shown.(map[string]any)
		for name, inner := range written {
			secret := slices.Contains(names, name) || secretName.MatchString(name)
			value, has := known[name]
			if secret && inner == "***" {
				if !has {
					return nil, fmt.Errorf("%s is ***, and there is no stored value for it: write the value", name)
				}
				written[name] = value
				continue
			}
			restored, err := m.restore(names, value, masked[name], inner)
			if err != nil {
				return nil, err
			}
			written[name] = restored
		}
	case []any:
		return m.restoreList(names, stored, shown, written)
	}
	return edited, nil
}

// restoreList is restore for a list. When more than one entry is changed, entries may
// have changed their places, so that no *** has a stored value.
func (m Mask) restoreList(names []string, stored, shown any, written []any) (any, error) {
	known, _ := stored.([]any)
	masked, _ := shown.([]any)
	changed := 0
	for n := range min(len(written), len(masked)) {
		if !reflect.DeepEqual(written[n], masked[n]) {
			changed++
		}
	}
	certain := len(written) == len(known) && len(written) == len(masked) && changed <= 1
	for n, inner := range written {
		var value, asShown any
		if certain {
			value, asShown = known[n], masked[n]
		}
		restored, err := m.restore(names, value, asShown, inner)
		if err != nil && !certain {
			return nil, fmt.Errorf("in a list, *** keeps its value only while all other entries are unchanged: %w", err)
		}
		if err != nil {
			return nil, err
		}
		written[n] = restored
	}
	return written, nil
}

// leaves calls found with each text and number within a secret value.
func leaves(value any, found func(secret string)) {
	switch value := value.(type) {
	case map[string]any:
		for _, inner := range value {
			leaves(inner, found)
		}
	case []any:
		for _, inner := range value {
			leaves(inner, found)
		}
	case string:
		if found != nil {
			found(value)
		}
	case json.Number:
		if found != nil {
			found(value.String())
		}
	}
}

// decode reads JSON without losing the last digits of long numbers.
func decode(text []byte) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return value, decoder.Decode(&value)
}

// spellings are the ways in which an error may write a secret: as it is, quoted,
// or in an address.
func spellings(secret string) []string {
	quoted := strconv.Quote(secret)
	all := []string{secret, quoted[1 : len(quoted)-1], url.QueryEscape(secret), url.PathEscape(secret)}
	slices.Sort(all)
	return slices.Compact(all)
}

const (
	shortestSecret = 3 // characters; shorter ones would mask half a text
	shortSecret    = 6 // shorter ones are masked as whole words only: a pin 404 is not a part of 14045
)

// hide replaces a secret in a text by ***.
func hide(text, secret string) string {
	if utf8.RuneCountInString(secret) < shortestSecret {
		return text
	}
	if utf8.RuneCountInString(secret) >= shortSecret {
		return strings.ReplaceAll(text, secret, "***")
	}
	var shown strings.Builder
	for {
		before, after, found := strings.Cut(text, secret)
		shown.WriteString(before)
		if !found {
			return shown.String()
		}
		last, _ := utf8.DecodeLastRuneInString(before)
		next, _ := utf8.DecodeRuneInString(after)
		if isWordRune(last) || isWordRune(next) {
			shown.WriteString(secret)
		} else {
			shown.WriteString("***")
		}
		text = after
	}
}

func isWordRune(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// masked is an error whose text has no secrets. errors.Is and errors.As see the
// error itself.
type masked struct {
	text  string
	cause error
}

func (m *masked) Error() string { return m.text }
func (m *masked) Unwrap() error { return m.cause }

// Error returns err without the secrets among the args of its run, for logs, the
// table of jobs and alerts. A nil err stays nil.
func (m Mask) Error(kind string, args []byte, err error) error {
	if err == nil {
		return nil
	}
	return &masked{m.Text(kind, args, err.Error()), err}
}
