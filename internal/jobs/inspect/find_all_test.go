package inspect

import (
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/jobs"
)

func TestFindAll_ReturnsWorkWhereverItIs(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.enqueue(t, mailArgs{Order: 1, Note: "hunter2"})
	require.True(t, s.tasks.Enqueue(t.Context(), waveArgs{Name: "ada"}))
	s.enqueueDurable(t)
	s.execute(t, `
		INSERT INTO failed_tasks (id, kind, queue, args, error, attempts, cancelled)
		VALUES ('a', 'wave', 'low', '{}', 'no', 1, false), ('b', 'wave', 'low', '{}', 'no', 1, true)`)
	job, waiting, outbox := s.await(t, "mail", Pending).ID, s.await(t, "wave", Pending).ID, s.await(t, "shout", Pending).ID
	failed, cancelled := ID{Backend: jobs.Redis, Queue: "low", Task: "a"}, ID{Backend: jobs.Redis, Queue: "low", Task: "b"}
	elsewhere := ID{Backend: jobs.Redis, Queue: "default", Task: "a"}
	gone := ID{Backend: jobs.PG, Job: 1000}

	items, err := s.inspector.FindAll(t.Context(), []ID{cancelled, waiting, gone, job, elsewhere, outbox, failed, job})

	require.NoError(t, err)
	var ids []ID
	for _, item := range items {
		ids = append(ids, item.ID)
		listed := s.all(t, Filter{ID: item.ID.String()})
		require.Len(t, listed, 1)
		require.Equal(t, listed[0].State, item.State, item.ID)
		require.JSONEq(t, string(listed[0].Args), string(item.Args), "masked in the same way")
	}
	require.Equal(t, []ID{cancelled, waiting, job, outbox, failed}, ids)
	items, err = s.inspector.FindAll(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, items)
}
