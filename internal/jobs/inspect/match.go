package inspect

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/internal/jobs"
	"slipway/internal/jobs/taskqueue"
	"slipway/internal/postgres"
)

// Private

// The conditions of a filter on args and times are met in the same way by jobs and
// archived tasks, which PostgreSQL reads, and by tasks in Redis, which are read here.

// columns are what the conditions of a filter are about in one table.
type columns struct {
	changed string // when work came into its state, or earlier
	cause   string
}

var (
	jobTable     = columns{changed: "coalesce(finalized_at, attempted_at, created_at)", cause: causeOfJob}
	archiveTable = columns{changed: "failed_at", cause: taskqueue.FailedCause}
)

// conditions adds what a filter asks for beside the backend, queue, kind, state and
// id.
func (i *Inspector) conditions(filter Filter, of columns, where *postgres.Conditions) {
	if filter.Tag != "" {
		where.Add("tags @> ARRAY[%s]::varchar[]", filter.Tag)
	}
	for _, term := range filter.Args {
		i.addTerm(term, where)
	}
	if !filter.Since.IsZero() {
		where.Add(of.changed+" >= "+filter.Since.sql(), filter.Since.value())
	}
	if !filter.Until.IsZero() {
		where.Add(of.changed+" < "+filter.Until.sql(), filter.Until.value())
	}
	if filter.Cause != "" {
		where.Add(of.cause+" = %s", causeNumber(filter.Cause))
	}
	if filter.Batch != "" {
		where.Add("metadata @> %s::jsonb", nested([]string{jobs.BatchKey}, quotedJSON(filter.Batch)))
	}
}

// addTerm adds a condition that River's index of args can serve.
func (i *Inspector) addTerm(term ArgsTerm, where *postgres.Conditions) {
	hidden, everywhere := i.mask.HiddenIn(term.Path)
	if everywhere {
		where.Add("false")
		return
	}
	var either []string
	var values []any
	for _, reading := range term.readings() {
		either = append(either, "args @> %s::jsonb")
		values = append(values, nested(term.Path, reading))
	}
	where.Add(strings.Join(either, " OR "), values...)
	if len(hidden) > 0 {
		where.Add("kind <> ALL(%s::text[])", hidden)
	}
}

// readings are the JSON values that the value of a term may mean.
func (t ArgsTerm) readings() []string {
	all := []string{quotedJSON(t.Value)}
	if _, isNumber := readNumber(t.Value); isNumber || slices.Contains([]string{"true", "false", "null"}, t.Value) {
		all = append(all, t.Value)
	}
	return all
}

func quotedJSON(text string) string {
	var written bytes.Buffer
	encoder := json.NewEncoder(&written)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // no error is possible for a string
	return strings.TrimSpace(written.String())
}

// nested returns {"a":{"b":VALUE}} for the path a, b.
func nested(path []string, value string) string {
	for _, name := range slices.Backward(path) {
		value = "{" + quotedJSON(name) + ":" + value + "}"
	}
	return value
}

// sql is the moment as an expression of SQL about its value.
func (m Moment) sql() string {
	if m.Ago > 0 {
		return "now() - %s::interval"
	}
	return "%s::timestamptz"
}

func (m Moment) value() any {
	if m.Ago > 0 {
		return m.Ago
	}
	return m.At
}

// matchesArgs reports whether args of a kind meet all terms.
func (i *Inspector) matchesArgs(terms []ArgsTerm, kind string, args []byte) bool {
	if len(terms) == 0 {
		return true
	}
	decoder := json.NewDecoder(bytes.NewReader(args))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return false
	}
	return !slices.ContainsFunc(terms, func(term ArgsTerm) bool {
		return i.mask.Hides(kind, term.Path) || !term.matches(value)
	})
}

func (t ArgsTerm) matches(value any) bool {
	for _, name := range t.Path {
		object, is := value.(map[string]any)
		if !is {
			return false
		}
		if value, is = object[name]; !is {
			return false
		}
	}
	switch value := value.(type) {
	case string:
		return value == t.Value
	case json.Number:
		number, _ := readNumber(value.String())
		wanted, isNumber := readNumber(t.Value)
		return isNumber && number == wanted
	case bool:
		return strconv.FormatBool(value) == t.Value
	case nil:
		return t.Value == "null"
	}
	return false
}

// matchesTime reports whether a time is within the bounds of a filter.
func (f Filter) matchesTime(changed, now time.Time) bool {
	if f.Since.IsZero() && f.Until.IsZero() {
		return true
	}
	if changed.IsZero() || !f.Since.IsZero() && changed.Before(f.Since.at(now)) {
		return false
	}
	return f.Until.IsZero() || changed.Before(f.Until.at(now))
}

// number is a number of JSON, exactly: 0.digits times ten to the power of exponent.
type number struct {
	negative bool
	digits   string // without zeros at either end; empty for zero
	exponent int
}

// mostExponent bounds the numbers that a filter searches. PostgreSQL refuses those
// with a very large exponent.
const mostExponent = 1000

var jsonNumber = regexp.MustCompile(`^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$`)

// readNumber reads a number as JSON writes it.
func readNumber(text string) (n number, is bool) {
	if !jsonNumber.MatchString(text) {
		return n, false
	}
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	if exponent != "" {
		power, err := strconv.Atoi(exponent)
		if err != nil || power > mostExponent || power < -mostExponent {
			return n, false
		}
		n.exponent = power
	}
	mantissa, n.negative = strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	n.exponent += len(whole) - (len(whole+fraction) - len(digits))
	if n.digits = strings.TrimRight(digits, "0"); n.digits == "" {
		return number{}, true
	}
	return n, true
}
