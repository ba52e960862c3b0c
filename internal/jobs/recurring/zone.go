package recurring

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Private

var (
	// zoneWord matches a word of a schedule that can only be the name of a zone.
	zoneWord = regexp.MustCompile(`^([A-Za-z_]+/[A-Za-z_/+-]+[0-9]*|(?i:utc|gmt|local|est|mst|hst))$`)
	// machineZone matches names that differ between machines, or that are not part of
	// every copy of the time zone database.
	machineZone = regexp.MustCompile(`(?i)^(local|localtime|posixrules|factory|(posix|right)/.*)$`)
	// fixedZone matches names of zones that look as if they followed summer time.
	fixedZone = regexp.MustCompile(`^(EST|MST|HST)$`)
)

// loadZone returns the zone of a name in the time zone database; "" is UTC.
func loadZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	problem := ""
	switch {
	case machineZone.MatchString(name):
		problem = "it can differ between two machines; "
	case fixedZone.MatchString(name):
		problem = "it has no summer time; "
	case err == nil:
		return zone, nil
	}
	return nil, fmt.Errorf("zone %q: %swrite a name of the time zone database, such as Europe/Amsterdam", name, problem)
}

// takeZone removes a zone from the words of a schedule, with an "in" before it. The
// zone is nil when there is none.
func takeZone(words []string) (rest []string, zone *time.Location, err error) {
	i := slices.IndexFunc(words, zoneWord.MatchString)
	if i < 0 {
		return words, nil, nil
	}
	name := words[i]
	if !strings.Contains(name, "/") {
		name = strings.ToUpper(name)
	}
	if zone, err = loadZone(name); err != nil {
		return nil, nil, err
	}
	rest = slices.Concat(words[:i], words[i+1:])
	if i > 0 && strings.EqualFold(words[i-1], "in") {
		rest = slices.Delete(rest, i-1, i)
	}
	return rest, zone, nil
}
