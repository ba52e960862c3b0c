// Package live carries changes to the pages that are open right now: from the
// worker that rendered them, through Redis, to every web process, and on as
// server-sent events.
package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// channel is where all processes of the store meet.
const channel = "slipway:live"

// Fragment is a piece of a page, rendered once for all who look at it.
type Fragment struct {
	Topics []string `json:"topics"` // a page that follows any of them gets it
	HTML   string   `json:"html"`   // elements with an id, which replace those of the page
}

// Private

// event is a fragment with its number, or news about the stream itself.
// Numbers only grow.
type event struct {
	number int64
	news   news // empty for a fragment
	Fragment
}

// news is what a stream tells about itself.
type news string

const (
	// resync: events went by unheard, and the page must fetch itself anew.
	resync news = "resync"
	// degraded: no events will come for a while. The page had better ask by
	// itself what has changed, until it hears resync or live.
	degraded news = "degraded"
	// live: this stream begins, and events come.
	live news = "live"
)

// parseEvent reads a message of publishNext: number, space, payload.
func parseEvent(message string) (event, error) {
	number, payload, found := bytes.Cut([]byte(message), []byte(" "))
	if !found {
		return event{}, fmt.Errorf("read live event: no number in %.40q", message)
	}
	var parsed event
	var err error
	if parsed.number, err = strconv.ParseInt(string(number), 10, 64); err != nil {
		return event{}, fmt.Errorf("read number of live event: %w", err)
	}
	if err := json.Unmarshal(payload, &parsed.Fragment); err != nil {
		return event{}, fmt.Errorf("read live event: %w", err)
	}
	return parsed, nil
}
