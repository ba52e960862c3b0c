package inspect

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// String returns the moment as a filter has it: 2h30m, 2026-11-30T10:00Z or "".
func (m Moment) String() string {
	switch {
	case m.Ago > 0:
		return agoText(m.Ago)
	case m.At.IsZero():
		return ""
	}
	at := m.At.UTC()
	if at.Second() == 0 && at.Nanosecond() == 0 {
		return at.Format("2006-01-02T15:04Z")
	}
	return at.Format(time.RFC3339Nano)
}

// ParseWhen reads when work shall run: a delay from now such as 10m or 1d12h, or a time
// such as 2026-11-30T10:00:00Z. An empty text is the zero time. The error says what is
// wrong and what to write.
func ParseWhen(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	switch delay, fits := parseAgo(text); {
	case text == "":
		return time.Time{}, nil
	case agoPattern.MatchString(text) && !fits:
		return time.Time{}, fmt.Errorf("%s is no delay or too long: write at most 3650d", shown(text))
	case agoPattern.MatchString(text):
		return now.Add(delay), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil || at.Year() > 9999:
		return time.Time{}, fmt.Errorf("%s is neither a delay, such as 10m or 1d12h, nor a time, such as 2026-11-30T10:00:00Z", shown(text))
	case at.Before(now):
		return time.Time{}, fmt.Errorf("%s is over: leave the time out to enqueue work that runs now", shown(text))
	}
	return at, nil
}

// Private

// errMoment means that a text is no moment.
var errMoment = errors.New("is no time: write how long ago, such as 30m, 2h or 7d, or a time such as 2026-11-30T10:00Z")

// longestAgo bounds how long ago a moment may be.
const longestAgo = 10 * 365 * 24 * time.Hour

// before reports whether two moments can bound a time. Of a time before now and a
// point in time, it depends on the time of the question.
func (m Moment) before(until Moment) bool {
	switch {
	case m.Ago > 0 && until.Ago > 0:
		return m.Ago > until.Ago
	case !m.At.IsZero() && !until.At.IsZero():
		return m.At.Before(until.At)
	}
	return true
}

// momentLayouts are the ways to write a point in time. A time without a zone is in
// UTC.
var momentLayouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02",
}

func parseMoment(w word) (Moment, error) {
	if agoPattern.MatchString(w.value) {
		if ago, fits := parseAgo(w.value); fits {
			return Moment{Ago: ago}, nil
		}
		return Moment{}, fmt.Errorf("%s:%s is too long ago or no time at all: write at most 3650d", w.name, shown(w.value))
	}
	for _, layout := range momentLayouts {
		at, err := time.Parse(layout, w.value)
		if at = at.UTC().Truncate(time.Microsecond); err == nil && at.Year() >= 1970 && at.Year() <= 9999 {
			return Moment{At: at}, nil
		}
	}
	return Moment{}, fmt.Errorf("%s:%s %w", w.name, shown(w.value), errMoment)
}

var (
	agoPattern = regexp.MustCompile(`^(?:\d{1,9}[dhms])+$`)
	agoParts   = regexp.MustCompile(`\d+[dhms]`)
	agoUnits   = []struct {
		letter string
		length time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}
)

// parseAgo reads a time such as 1d12h. It does not fit when it is zero or longer
// than longestAgo.
func parseAgo(text string) (ago time.Duration, fits bool) {
	for _, part := range agoParts.FindAllString(text, -1) {
		number, _ := strconv.ParseInt(part[:len(part)-1], 10, 64) // no error: it has at most nine digits
		for _, unit := range agoUnits {
			if strings.HasSuffix(part, unit.letter) && number <= int64(longestAgo/unit.length) {
				ago += time.Duration(number) * unit.length
				number = -1
			}
		}
		if number >= 0 || ago > longestAgo {
			return 0, false
		}
	}
	return ago, ago > 0
}

func agoText(ago time.Duration) string {
	var text strings.Builder
	for _, unit := range agoUnits {
		if number := ago / unit.length; number > 0 {
			fmt.Fprintf(&text, "%d%s", number, unit.letter)
			ago -= number * unit.length
		}
	}
	return text.String()
}
