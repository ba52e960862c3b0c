// Package screens holds the screens of the jobs dashboard: a struct that is also the
// JSON of the screen, and a template for each.
package screens

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"slipway/internal/jobs/inspect"
)

// Frame is what all screens share.
type Frame struct {
	Title    string
	Section  string // of the navigation; empty: none
	Operator string
	MayAct   bool
	Host     string // of BASE_URL
	Version  string
	Now      time.Time
	Said     string   // what an action that just ended did
	Down     []string // what this screen could not read, and why

	Stylesheet, Script Resource
	Icon               string
}

// Resource is a file that a screen loads.
type Resource struct{ Path, Integrity string }

// Private

const (
	machineTime = "2006-01-02T15:04:05.000Z07:00"
	exactTime   = "2006-01-02 15:04:05.000 MST"
)

// section is an entry of the navigation. The key opens it, after g.
type section struct{ name, path, key string }

var sections = []section{
	{"Overview", "/jobs", "o"},
	{"Work", "/jobs/work", "w"},
	{"Failures", "/jobs/failures", "f"},
	{"Queues", "/jobs/queues", "q"},
	{"Workers", "/jobs/workers", "p"},
	{"Recurring", "/jobs/recurring", "r"},
	{"Batches", "/jobs/batches", "b"},
	{"Actions", "/jobs/actions", "a"},
}

// relative is a moment as people say it. Clocks of machines differ, so a moment that
// was just now may seem to be in the future for a second.
func relative(now, at time.Time) string {
	switch since := now.Sub(at); {
	case since > -2*time.Second && since < 2*time.Second:
		return "now"
	case since < 0:
		return "in " + Duration(-since)
	default:
		return Duration(since) + " ago"
	}
}

// Duration is a length of time in one unit, or two where the second one matters.
func Duration(d time.Duration) string {
	d = max(0, d)
	switch {
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + " µs"
	case d < 10*time.Millisecond:
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 1, 64) + " ms"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < time.Hour:
		return twoUnits(d, time.Minute, "min", time.Second, "s")
	case d < 48*time.Hour:
		return twoUnits(d, time.Hour, "h", time.Minute, "min")
	}
	return twoUnits(d, 24*time.Hour, "d", time.Hour, "h")
}

func twoUnits(d, large time.Duration, ofLarge string, small time.Duration, ofSmall string) string {
	text := fmt.Sprintf("%d %s", d/large, ofLarge)
	if rest := d % large / small; rest > 0 && d/large < 10 {
		text += fmt.Sprintf(" %d %s", rest, ofSmall)
	}
	return text
}

// Number is a count with its thousands apart.
func Number[N int | int64](n N) string {
	text := strconv.FormatInt(int64(n), 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// Capped is a count, with a plus when there are more.
func Capped[N int | int64](n N, more bool) string {
	if more {
		return Number(n) + "+"
	}
	return Number(n)
}

// plural is a count with its noun.
func plural[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Number(n) + " " + many
}

// address is a path with parameters, in pairs of a name and a value. Empty values are
// left out.
func address(path string, parameters ...string) string {
	query := url.Values{}
	for i := 0; i+1 < len(parameters); i += 2 {
		if parameters[i+1] != "" {
			query.Set(parameters[i], parameters[i+1])
		}
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// ItemPath is the address of the screen of one job or task.
func ItemPath(id inspect.ID) string { return address("/jobs/item", "id", id.String()) }

// WorkPath is the address of the list of what a filter selects.
func WorkPath(filter inspect.Filter) string { return address("/jobs/work", "q", filter.String()) }

func lines(text string) []string { return strings.Split(text, "\n") }
