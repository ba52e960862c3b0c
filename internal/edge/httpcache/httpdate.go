package httpcache

import (
	"strings"
	"time"
)

// parseDate reads one of the three forms of HTTP-date (RFC 9110 section 5.6.7), in
// any case of letters and with any day of the week. It is strict otherwise, because
// a cache must treat an invalid Expires as past (RFC 9111 section 5.3).
func parseDate(text string) (time.Time, bool) {
	for _, layout := range [...]string{"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC} {
		parsed, err := time.Parse(layout, upperZone(text))
		// time.Parse accepts single digits and repeated spaces.
		if err == nil && strings.EqualFold(afterWeekday(parsed.Format(layout)), afterWeekday(text)) {
			return parsed.UTC(), true
		}
	}
	return time.Time{}, false
}

// Private

func afterWeekday(text string) string {
	_, rest, _ := strings.Cut(text, " ")
	return rest
}

// upperZone writes the zone in capitals, as time.Parse demands.
func upperZone(text string) string {
	if zone := len(text) - 3; zone > 0 && text[zone:] != "GMT" && strings.EqualFold(text[zone:], "GMT") {
		return text[:zone] + "GMT"
	}
	return text
}
