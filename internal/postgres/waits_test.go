package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
)

func TestWaits_TellHowLongCallersWaitForOthers(t *testing.T) {
	t.Parallel()
	for name, reserve := range map[string]int{"for the pool": 0, "for their turn": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			waits := postgres.NewWaits(50 * time.Millisecond)
			db := openWith(t, pgtest.URL(t, one), func(o *postgres.Options) { o.Waits, o.Reserve = waits, reserve })
			ctx := postgres.Yield(bounded(t, patience))
			var release []func()
			for range 5 - reserve {
				release = append(release, acquire(ctx, t, db).Release)
			}
			_ = waits.CheckPool(db) // the first connections may have taken long
			require.NoError(t, waits.CheckPool(db))
			ended := make(chan error, 2)
			for range 2 {
				go func() { ended <- db.Ping(ctx) }()
			}

			stacktest.Eventually(t, func() bool { return waits.CheckPool(db) != nil })
			inUse := map[int]string{0: "5 of 5", 2: "3 of 5"}[reserve]
			require.Regexp(t, `^work waits up to [0-9.m]+s for a connection: 2 wait now, and `+inUse+` are in use$`, waits.CheckPool(db))

			for _, end := range release {
				end()
			}
			require.NoError(t, <-ended)
			require.NoError(t, <-ended)
			require.ErrorContains(t, waits.CheckPool(db), ": 0 wait now", "who waited has a connection now")
			require.NoError(t, waits.CheckPool(db), "a wait that has ended is reported once")
		})
	}
}

func TestWaits_AreNotThoseForADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	waits := postgres.NewWaits(10 * time.Millisecond)
	db := openWith(t, server.URL(), func(o *postgres.Options) { o.Waits = waits })
	require.NoError(t, server.Freeze())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- db.Ping(ctx) }()
	stacktest.Eventually(t, func() bool { return db.Stat().ConstructingConns() == 1 })
	beyond := time.NewTimer(20 * time.Millisecond)
	<-beyond.C

	require.NoError(t, waits.CheckPool(db))

	cancel()
	require.Error(t, <-ended)
	require.NoError(t, waits.CheckPool(db))
	require.NoError(t, server.Thaw())
}
