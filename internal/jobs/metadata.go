package jobs

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"github.com/riverqueue/river/rivertype"
	"github.com/tidwall/gjson"
)

// Private

// metadata is what this package stores with a job beside its args.
type metadata struct {
	Run       string    `json:"slipway:run,omitempty"` // the name of a recurring run or of one by hand
	ExpiresAt time.Time `json:"slipway:expires_at,omitzero"`
	Request   string    `json:"slipway:request,omitempty"` // see Cause
	Parent    string    `json:"slipway:parent,omitempty"`
	Batch     int64     `json:"slipway:batch,string,omitempty"`    // that the job belongs to
	Callback  int64     `json:"slipway:callback,string,omitempty"` // the batch that the job is a callback of
}

// The names under which the metadata of a job hold what the fields of the struct
// metadata say.
const (
	RunKey       = "slipway:run"
	ExpiresAtKey = "slipway:expires_at"
	RequestKey   = "slipway:request"
	ParentKey    = "slipway:parent"
	BatchKey     = "slipway:batch"
	callbackKey  = "slipway:callback"
)

// recurringRun is in the metadata of recurring runs, in PostgreSQL's spelling of
// JSON.
var recurringRun = []byte(`"` + RunKey + `": "` + RecurringPrefix)

// json returns the metadata as River stores them, nil when there are none.
func (m metadata) json() []byte {
	if m == (metadata{}) {
		return nil
	}
	written, _ := json.Marshal(m) // no error: it has texts, numbers and a time
	return written
}

// metadataOf reads the metadata of a job. Other programs may write there too, so
// what cannot be read is left out. Every run pays for it, and encoding/json takes five
// to ten times as long.
func metadataOf(job *rivertype.JobRow) (m metadata) {
	if !bytes.Contains(job.Metadata, []byte(`"slipway:`)) { // spares the other jobs the reading
		return m
	}
	gjson.ParseBytes(job.Metadata).ForEach(func(name, value gjson.Result) bool {
		m.set(name.Str, value.Str) // empty for what is no text
		return true
	})
	return m
}

// set sets one field of the stored metadata.
func (m *metadata) set(name, text string) {
	switch name {
	case RunKey:
		m.Run = text
	case ExpiresAtKey:
		m.ExpiresAt, _ = time.Parse(time.RFC3339, text) // zero: it does not expire
	case RequestKey:
		m.Request = text
	case ParentKey:
		m.Parent = text
	case BatchKey:
		m.Batch, _ = strconv.ParseInt(text, 10, 64) // zero: none
	case callbackKey:
		m.Callback, _ = strconv.ParseInt(text, 10, 64)
	}
}
