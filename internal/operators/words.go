package operators

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The layouts of a moment: for programs, and to the millisecond for people.
const (
	MachineTime = "2006-01-02T15:04:05.000Z07:00"
	ExactTime   = "2006-01-02 15:04:05.000 MST"
)

// Relative is a moment as people say it. Clocks of machines differ, so a moment that
// was just now may seem to be in the future for a second.
func Relative(now, at time.Time) string {
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

// Plural is a count with its noun.
func Plural[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Number(n) + " " + many
}

// Address is a path with parameters, in pairs of a name and a value. Empty values are
// left out.
func Address(path string, parameters ...string) string {
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

// FirstLine is text up to its first line break.
func FirstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// Clip shortens text to a number of characters.
func Clip(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	runes := []rune(text)
	return string(runes[:most-1]) + "…"
}

// Amount is a figure of a chart in few characters.
func Amount(v float64) string {
	switch {
	case v >= 10_000_000:
		return Short(v/1e6) + "M"
	case v >= 10_000:
		return Number(int64(v/1e3)) + "k"
	case v != math.Trunc(v):
		return Short(v)
	}
	return Number(int64(v))
}

// Seconds is a length of time in seconds as a figure of a chart.
func Seconds(v float64) string {
	if v == 0 {
		return "0"
	}
	return Duration(time.Duration(v * float64(time.Second)))
}

// Lines are the lines of text.
func Lines(text string) []string { return strings.Split(text, "\n") }

// Private

func twoUnits(d, large time.Duration, ofLarge string, small time.Duration, ofSmall string) string {
	text := fmt.Sprintf("%d %s", d/large, ofLarge)
	if rest := d % large / small; rest > 0 && d/large < 10 {
		text += fmt.Sprintf(" %d %s", rest, ofSmall)
	}
	return text
}
