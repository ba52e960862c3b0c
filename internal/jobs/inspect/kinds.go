package inspect

import (
	"context"
	"fmt"

	"slipway/internal/jobs"
)

// PauseKind stops the workers of a backend from running work of a kind until
// ResumeKind. Running work finishes, and other kinds of its queue go on.
func (i *Inspector) PauseKind(ctx context.Context, backend jobs.Backend, kind string) error {
	if _, known := i.mask[kind]; !known {
		return fmt.Errorf("this application has no kind %q", kind)
	}
	if backend == jobs.Redis && i.tasks == nil {
		return ErrNoRedis
	}
	return jobs.PauseKind(ctx, i.db, backend, kind)
}

// ResumeKind ends a pause, also that of a kind which this release does not know.
func (i *Inspector) ResumeKind(ctx context.Context, backend jobs.Backend, kind string) error {
	return jobs.ResumeKind(ctx, i.db, backend, kind)
}

// PausedKinds returns the kinds that are paused.
func (i *Inspector) PausedKinds(ctx context.Context) ([]jobs.PausedKind, error) {
	return jobs.PausedKinds(ctx, i.db)
}
