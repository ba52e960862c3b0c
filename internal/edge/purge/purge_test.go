package purge

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres/pgtest"
)

func TestListener_HearsWhatCommits(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	one, two := listen(t, db), listen(t, db)

	require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		return Expire(t.Context(), tx, "product:1", "product:2")
	}))
	rolledBack, err := db.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, Expire(t.Context(), rolledBack, "never"))
	require.NoError(t, rolledBack.Rollback(t.Context()))
	require.NoError(t, Purge(t.Context(), db, "secret"))
	require.NoError(t, All(t.Context(), db))

	for _, heard := range []*notebook{one, two} {
		stacktest.Eventually(t, func() bool { return len(heard.lines()) == 4 })
		require.Equal(t, []string{"trust", "expire product:1 product:2", "purge secret", "purge all"}, heard.lines())
	}
}

func TestExpire_SendsAnyNumberOfTags(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	heard := listen(t, db)
	var tags []string
	for i := range 5000 {
		tags = append(tags, fmt.Sprintf("product:%d", i))
	}

	require.NoError(t, Expire(t.Context(), db, tags...))
	require.NoError(t, Expire(t.Context(), db))
	require.NoError(t, All(t.Context(), db))

	stacktest.Eventually(t, func() bool { return slices.Contains(heard.lines(), "purge all") })
	var received []string
	for _, line := range heard.lines() {
		if rest, is := strings.CutPrefix(line, "expire "); is {
			received = append(received, strings.Fields(rest)...)
		}
	}
	require.Equal(t, tags, received)
	require.ErrorContains(t, Expire(t.Context(), db, ""), "is no tag")
	require.ErrorContains(t, Expire(t.Context(), db, strings.Repeat("x", 8000)), "is no tag")
}

func TestListener_AMessageThatCannotBeReadRemovesEverything(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	heard := listen(t, db)

	_, err := db.Exec(t.Context(), `SELECT pg_notify($1, 'product:1')`, Channel)
	require.NoError(t, err)

	stacktest.Eventually(t, func() bool { return slices.Contains(heard.lines(), "purge all") })
}

func TestListener_DistrustsTheCacheWhileItHearsNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	heard := listen(t, db)

	for i := range 3 {
		_, err := db.Exec(t.Context(), `
			SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND query LIKE '%pg_notify%' AND pid <> pg_backend_pid()`)
		require.NoError(t, err)
		stacktest.Eventually(t, func() bool { return len(heard.lines()) == 3+2*i })
	}

	require.Equal(t, []string{"trust", "distrust", "trust", "distrust", "trust", "distrust", "trust"}, heard.lines())
	require.NoError(t, Expire(t.Context(), db, "product:1"))
	stacktest.Eventually(t, func() bool { return slices.Contains(heard.lines(), "expire product:1") })
}

// Private

// migrations are those of an application that has one table.
var migrations = fstest.MapFS{"00001_create.sql": {Data: []byte("-- +goose Up\nCREATE TABLE notes ();\n")}}

// notebook is a cache that writes down what it is told.
type notebook struct {
	mutex sync.Mutex
	told  []string
}

func (n *notebook) Expire(tags ...string) int { return n.write("expire " + strings.Join(tags, " ")) }
func (n *notebook) Purge(tags ...string) int  { return n.write("purge " + strings.Join(tags, " ")) }
func (n *notebook) PurgeAll()                 { n.write("purge all") }

func (n *notebook) Distrust(missing bool) {
	if missing {
		n.write("distrust")
	} else {
		n.write("trust")
	}
}

func (n *notebook) write(line string) int {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.told = append(n.told, line)
	return 0
}

// lines are all but the distrust at the start.
func (n *notebook) lines() []string {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return slices.Clone(n.told[min(1, len(n.told)):])
}

// listen runs a listener until the test ends. It returns once that hears.
func listen(t *testing.T, db *pgxpool.Pool) *notebook {
	t.Helper()
	heard := &notebook{}
	ctx, stop := context.WithCancel(context.Background())
	var listening sync.WaitGroup
	listening.Go(func() { _ = NewListener(db, heard, slog.New(slog.DiscardHandler)).Run(ctx) })
	t.Cleanup(func() {
		stop()
		listening.Wait()
	})
	stacktest.Eventually(t, func() bool { return slices.Contains(heard.lines(), "trust") })
	return heard
}
