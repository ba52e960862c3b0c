package inspect

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"slipway/internal/jobs"
)

// MaxFilter is the most characters of the text of a filter.
const MaxFilter = 1000

// ErrFilter means that a text is no filter.
var ErrFilter = errors.New("the filter cannot be read")

// ParseFilter reads a filter that an operator wrote, such as
//
//	state:failed kind:send_mail args.user.name:"Ann Lee" since:2h
//
// A word alone is an id, when it looks like one, or else a kind. The error names
// every word that cannot be read.
func ParseFilter(text string) (Filter, error) {
	if len(text) > MaxFilter*utf8.UTFMax || utf8.RuneCountInString(text) > MaxFilter {
		return Filter{}, fmt.Errorf("%w: it is longer than %d characters: write a shorter one", ErrFilter, MaxFilter)
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return Filter{}, fmt.Errorf("%w: it has bytes that are no text: write it again", ErrFilter)
	}
	var filter Filter
	var problems []error
	seen := map[string]bool{}
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		var w word
		var err error
		w, rest, err = cutWord(rest)
		if err == nil && !w.isArgs() && seen[w.field()] {
			err = fmt.Errorf("%s is there twice: leave one out", w.field())
		}
		if err == nil {
			seen[w.field()] = true
			err = filter.set(w)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%w: %w", ErrFilter, err))
		}
	}
	if since, until := filter.Since, filter.Until; len(problems) == 0 && !since.before(until) {
		problems = append(problems, fmt.Errorf("%w: since:%s is not before until:%s: exchange them", ErrFilter, since, until))
	}
	if len(problems) > 0 {
		return Filter{}, errors.Join(problems...)
	}
	return filter, nil
}

// String returns the filter as ParseFilter reads it, without Limit and After.
func (f Filter) String() string {
	var words []string
	add := func(name, value string) {
		if value != "" {
			words = append(words, name+":"+quoted(value))
		}
	}
	add("backend", string(f.Backend))
	add("queue", f.Queue)
	add("kind", f.Kind)
	add("state", string(f.State))
	add("id", f.ID)
	add("tag", f.Tag)
	for _, term := range f.Args {
		words = append(words, term.String())
	}
	add("since", f.Since.String())
	add("until", f.Until.String())
	add("cause", f.Cause)
	add("batch", f.Batch)
	return strings.Join(words, " ")
}

// String returns the term as ParseFilter reads it.
func (t ArgsTerm) String() string {
	name := "args"
	for _, part := range t.Path {
		name += "." + quotedPart(part)
	}
	return name + ":" + quoted(t.Value)
}

// Private

// word is one word of a filter. Name is empty for a word alone.
type word struct {
	name  string
	path  []string // of args
	value string
}

func (w word) isArgs() bool { return w.name == "args" }

// field is the name of the field that a word sets.
func (w word) field() string {
	switch {
	case w.name != "":
		return w.name
	case looksLikeID(w.value):
		return "id"
	}
	return "kind"
}

// filterWords are the names of the words, as errors list them.
const filterWords = "backend:, queue:, kind:, state:, id:, tag:, args.NAME:, since:, until:, cause:, batch:"

// cutWord reads the first word of a text and returns the rest.
func cutWord(text string) (w word, rest string, err error) {
	end, open := endOfWord(text)
	whole, rest := text[:end], text[end:]
	if open {
		return w, rest, fmt.Errorf(`%s has a quote that does not end: write "…"`, shown(whole))
	}
	if bare, is := unquote(whole); is {
		return word{value: bare}, rest, checkValue(whole, bare)
	}
	if wholeID.MatchString(whole) {
		return word{value: whole}, rest, nil
	}
	if strings.HasPrefix(whole, "args.") || strings.HasPrefix(whole, "args:") || whole == "args" {
		w, err = readArgsWord(whole)
		return w, rest, err
	}
	name, value, named := strings.Cut(whole, ":")
	if !named {
		value, err = readValue(whole, whole)
		return word{value: value}, rest, err
	}
	if !slices.Contains(strings.Split(filterWords, ", "), name+":") {
		return w, rest, fmt.Errorf(`%s: there is no word %s: write one of %s, or quote a kind`, shown(whole), shown(name+":"), filterWords)
	}
	value, err = readValue(whole, value)
	return word{name: name, value: value}, rest, err
}

// endOfWord returns where a word ends: at the first space that is not quoted. It is
// open when a quote in it does not end.
func endOfWord(text string) (end int, open bool) {
	inQuotes, escaped := false, false
	for n, r := range text {
		switch {
		case escaped:
			escaped = false
		case inQuotes && r == '\\':
			escaped = true
		case r == '"':
			inQuotes = !inQuotes
		case !inQuotes && unicode.IsSpace(r):
			return n, false
		}
	}
	return len(text), inQuotes
}

// readArgsWord reads args.NAME.NAME:VALUE.
func readArgsWord(whole string) (word, error) {
	w := word{name: "args"}
	rest := strings.TrimPrefix(whole, "args")
	for strings.HasPrefix(rest, ".") {
		part := pathPart.FindString(rest[1:])
		name, isQuoted := unquote(part)
		if !isQuoted {
			name = part
		}
		if name == "" {
			return w, fmt.Errorf("%s has an empty name: write args.NAME:VALUE, such as args.order_id:5", shown(whole))
		}
		w.path, rest = append(w.path, name), rest[1+len(part):]
	}
	if len(w.path) == 0 || !strings.HasPrefix(rest, ":") {
		return w, fmt.Errorf(`%s is no condition on args: write args.NAME:VALUE, such as args.order_id:5, and quote a name with other characters`,
			shown(whole))
	}
	var err error
	w.value, err = readValue(whole, rest[1:])
	return w, err
}

// readValue reads the value of a word, which may be quoted.
func readValue(whole, value string) (string, error) {
	if text, is := unquote(value); is {
		return text, checkValue(whole, text)
	}
	if strings.Contains(value, `"`) {
		return "", fmt.Errorf(`%s has a quote within its value: quote the whole value, and write \" for a quote in it`, shown(whole))
	}
	return value, checkValue(whole, value)
}

func checkValue(whole, value string) error {
	if value == "" {
		return fmt.Errorf("%s has no value: write one after the colon, or leave the word out", shown(whole))
	}
	return nil
}

// set sets the field of one word.
func (f *Filter) set(w word) (err error) {
	switch w.field() {
	case "backend":
		if f.Backend = jobs.Backend(w.value); f.Backend != jobs.PG && f.Backend != jobs.Redis {
			return fmt.Errorf("there is no backend %s: it is pg or redis", shown(w.value))
		}
	case "queue":
		f.Queue = w.value
	case "kind":
		f.Kind = w.value
	case "state":
		if f.State = State(w.value); !slices.Contains(States, f.State) {
			return fmt.Errorf("there is no state %s: it is one of %v", shown(w.value), States)
		}
	case "id":
		f.ID = w.value
	case "tag":
		f.Tag = w.value
	case "args":
		f.Args = append(f.Args, ArgsTerm{w.path, w.value})
	case "since":
		f.Since, err = parseMoment(w)
	case "until":
		f.Until, err = parseMoment(w)
	case "cause":
		if f.Cause = w.value; !isFingerprint.MatchString(w.value) {
			return fmt.Errorf("cause:%s is no fingerprint: it has 16 of the digits 0-9 and a-f, as app jobs causes prints it", shown(w.value))
		}
	case "batch":
		f.Batch = w.value
	}
	return err
}

var (
	// wholeID matches the ids of work that are words alone: jobs, and tasks with
	// their queue.
	wholeID = regexp.MustCompile(`^(?:pg:[1-9]\d{0,18}|redis:[^:"]+:[^"]+)$`)
	// pathPart matches one name of a path, which may be quoted.
	pathPart      = regexp.MustCompile(`^(?:"(?:[^"\\]|\\.)*"|[^".:]*)`)
	isFingerprint = regexp.MustCompile(`^[0-9a-f]{16}$`)
	looseID       = regexp.MustCompile(`^(?:[1-9]\d{0,18}|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})$`)
	plainPart     = regexp.MustCompile(`^[^".:\s]+$`)
)

// looksLikeID reports whether a word alone is an id and no kind.
func looksLikeID(value string) bool { return wholeID.MatchString(value) || looseID.MatchString(value) }

// unquote returns the text within quotes.
func unquote(text string) (string, bool) {
	if len(text) < 2 || text[0] != '"' {
		return "", false
	}
	var inner strings.Builder
	escaped := false
	for n, r := range text[1:] {
		switch {
		case escaped:
			inner.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped = true
		case r == '"':
			return inner.String(), n == len(text)-2
		default:
			inner.WriteRune(r)
		}
	}
	return "", false
}

// quoted returns a value as it stands in a filter, in quotes where it needs them.
func quoted(value string) string {
	if !strings.ContainsFunc(value, unicode.IsSpace) && !strings.ContainsAny(value, `"`) {
		return value
	}
	return inQuotes(value)
}

func quotedPart(part string) string {
	if plainPart.MatchString(part) && !strings.ContainsFunc(part, unicode.IsSpace) {
		return part
	}
	return inQuotes(part)
}

func inQuotes(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// shown is a part of a filter in an error.
func shown(text string) string {
	const most = 60
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most]) + "…"
	}
	return strconv.Quote(text)
}
