package jobs

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/riverqueue/river/rivertype"
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
// what cannot be read is left out.
func metadataOf(job *rivertype.JobRow) (m metadata) {
	if bytes.Contains(job.Metadata, []byte(`"slipway:`)) { // spares the other jobs the reading
		_ = json.Unmarshal(job.Metadata, &m)
	}
	return m
}
