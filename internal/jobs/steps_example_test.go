package jobs_test

import (
	"context"
	"errors"
	"os"
	"regexp"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/jobs"
	"slipway/internal/jobs/jobstest"
)

// ImportCatalogue is the job of the guide.
type ImportCatalogue struct {
	ImportID int64 `json:"import_id"`
}

func (ImportCatalogue) Declare() jobs.Declaration { return jobs.Declaration{Kind: "import_catalogue"} }

// example is the application of the guide.
type example struct{ downloads, rows, published atomic.Int64 }

func (e *example) importCatalogue(ctx context.Context, job ImportCatalogue) error {
	err := jobs.Step(ctx, "download", func(ctx context.Context) error { return e.download(ctx, job.ImportID) })
	if err != nil {
		return err
	}
	err = jobs.StepCursor(ctx, "rows", func(ctx context.Context, cursor *jobs.Cursor[int64]) error {
		for {
			last, err := e.importRowsAfter(ctx, job.ImportID, cursor.At())
			if err != nil || last == 0 {
				return err
			}
			if err := cursor.Set(ctx, last); err != nil { // the worker stops: go on here in another one
				return err
			}
		}
	})
	if err != nil {
		return err
	}
	return jobs.Step(ctx, "publish", func(ctx context.Context) error { return e.publish(ctx, job.ImportID) })
}

func TestStep_TheExampleOfTheGuideRuns(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("steps_example_test.go")
	require.NoError(t, err)
	guide, err := os.ReadFile("../../docs/jobs.md")
	require.NoError(t, err)
	e := &example{}

	require.NoError(t, jobstest.Run(t, jobs.Handlers{jobs.Handle(e.importCatalogue)}, ImportCatalogue{ImportID: 7}))

	require.EqualValues(t, []int64{1, 5, 1}, []int64{e.downloads.Load(), e.rows.Load(), e.published.Load()})
	require.Contains(t, string(guide), regexp.MustCompile(`(?s)func \(e \*example\) importCatalogue.*?\n}\n`).FindString(string(source)))
}

// Private

func (e *example) download(context.Context, int64) error { e.downloads.Add(1); return nil }
func (e *example) publish(context.Context, int64) error  { e.published.Add(1); return nil }

func (e *example) importRowsAfter(_ context.Context, _, row int64) (last int64, err error) {
	switch {
	case row > 5:
		return 0, errors.New("there is no such row")
	case row == 5:
		return 0, nil
	}
	e.rows.Add(1)
	return row + 1, nil
}
