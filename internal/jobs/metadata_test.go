package jobs

import (
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"
)

func TestMetadata_AreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()

	for _, stored := range []metadata{
		{}, {Run: "recurring:tick:1"}, {Request: `a"b\ü`, Parent: "redis:low:x:y"}, {Batch: 1 << 60}, {Callback: 7},
		{ExpiresAt: time.Date(2026, 12, 1, 0, 0, 0, 123456000, time.UTC), Request: "r-1"},
	} {
		require.Equal(t, stored, metadataOf(&rivertype.JobRow{Metadata: stored.json()}))
	}
}

func TestMetadata_LeaveOutWhatOtherProgramsWrite(t *testing.T) {
	t.Parallel()

	for written, read := range map[string]metadata{
		`{"slipway:request": 5, "slipway:batch": "x", "slipway:expires_at": "soon", "slipway:parent": "pg:1"}`:           {Parent: "pg:1"},
		`{"other": {"slipway:request": "inner"}, "slipway:more": "x", "slipway:request": "r-1", "slipway:batch": ["1"]}`: {Request: "r-1"},
		`{"slipway:request": "r-1"`: {Request: "r-1"}, `["slipway:request", "r-1"]`: {}, `"slipway:`: {}, `{"note": "\"slipway:"}`: {},
	} {
		require.Equal(t, read, metadataOf(&rivertype.JobRow{Metadata: []byte(written)}), written)
	}
}

func BenchmarkMetadataOf(b *testing.B) {
	caused := metadata{Request: "0197f3c2d1e87a4b9c3d5e6f7a8b9c0d", Parent: "pg:8123"}
	job := &rivertype.JobRow{Metadata: caused.json()}
	for b.Loop() {
		metadataOf(job)
	}
}
