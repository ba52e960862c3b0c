// Package live sends changes to the pages that are open now. A worker renders a
// fragment and publishes it through Redis to all web processes, and each of them
// sends it to its open pages as a server-sent event.
package live

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// channel is the Redis channel of all events of an installation.
const channel = "live"

// Fragment is a piece of HTML, rendered once for all pages that follow one of
// its topics.
type Fragment struct {
	Topics []string `json:"topics"`
	HTML   string   `json:"html"` // elements with an id; each replaces the element of the page with that id
}

// Private

// event is a fragment with its number, or a change of the status of streams.
// Numbers grow, unless Redis loses its data and its clock is set back.
type event struct {
	number   int64
	previous int64  // number of the event before, 0 when Redis knew of none
	status   status // empty for a fragment
	Fragment
	frame frame // the fragment as streams send it; then HTML is empty
}

// render prepares the frame once for all streams.
func (e *event) render() {
	e.frame = newFrame(appendFragment(nil, e.number, e.HTML))
	e.HTML = ""
}

// status is the status of a stream. The page gets it as an event of that name.
type status string

const (
	// statusResync: events were missed, so the page must reload itself.
	statusResync status = "resync"
	// statusDegraded: no events come for a while. The page should poll for changes
	// until statusResync or statusLive.
	statusDegraded status = "degraded"
	// statusLive: events come from now on.
	statusLive status = "live"
)

// parseEvent reads a message of publishNext: number, space, number of the event
// before, space, payload.
func parseEvent(message string) (event, error) {
	number, rest, _ := strings.Cut(message, " ")
	previous, payload, found := strings.Cut(rest, " ")
	if !found {
		return event{}, fmt.Errorf("read live event: no two numbers in %.40q", message)
	}
	var parsed event
	var err error
	if parsed.number, err = strconv.ParseInt(number, 10, 64); err != nil {
		return event{}, fmt.Errorf("read number of live event: %w", err)
	}
	if parsed.previous, err = strconv.ParseInt(previous, 10, 64); err != nil {
		return event{}, fmt.Errorf("read number of the live event before: %w", err)
	}
	if err := json.Unmarshal([]byte(payload), &parsed.Fragment); err != nil {
		return event{}, fmt.Errorf("read live event: %w", err)
	}
	return parsed, nil
}
