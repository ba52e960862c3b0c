package main

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/jobs"
	"slipway/internal/jobs/recurring"
	"slipway/internal/shop"
)

func TestStoreRecurringWork_CanAllBeUsed(t *testing.T) {
	t.Parallel()
	app := newApplication()
	work, err := app.declared()
	require.NoError(t, err)

	tasks, err := app.schedules(work)

	require.NoError(t, err)
	backends := map[string]jobs.Backend{}
	for _, task := range tasks {
		require.True(t, task.Enabled, task.Key)
		require.Equal(t, recurring.OverlapSkip, task.Overlap, "%s sees to all that is due", task.Key)
		backends[task.Handler.Kind] = task.Backend
	}
	// Nobody else enqueues these.
	require.Equal(t, map[string]jobs.Backend{
		"tend_sales": jobs.PG, "reconcile_stock": jobs.PG, "remind_of_carts": jobs.PG, "warm_cache": jobs.Redis,
		"forget_old_carts": jobs.PG, "forget_order_limits": jobs.PG, "forget_holds": jobs.PG,
	}, backends)
}

func TestStoreJobsCheck_FindsNothingWrong(t *testing.T) {
	t.Parallel()
	var stdout bytes.Buffer

	require.Equal(t, exitOK, run(t.Context(), newApplication(), []string{"jobs", "check"}, &stdout, io.Discard))

	require.Contains(t, stdout.String(), "7 recurring: all can be used")
}

func TestStoreKinds_DeclareTheirQueueAttemptsAndTimeout(t *testing.T) {
	t.Parallel()
	work, err := newApplication().declared()
	require.NoError(t, err)

	for _, args := range declared {
		declaration := args.Declare()
		require.NotEmpty(t, declaration.Queue, declaration.Kind)
		require.NotZero(t, declaration.Attempts, declaration.Kind)
		require.NotZero(t, declaration.Timeout, declaration.Kind)
	}
	require.Len(t, work.kinds(), len(declared))
}

// Private

// declared are the args of all kinds of the store.
var declared = []jobs.Args{
	shop.SendOrderConfirmation{}, shop.CapturePayment{}, shop.TendSales{}, shop.ReconcileStock{}, shop.RemindOfCarts{},
	shop.SendCartReminder{},
	shop.ForgetOldCarts{}, shop.ForgetOrderLimits{}, shop.ForgetHolds{},
	shop.BroadcastStock{}, shop.BroadcastCart{}, shop.BroadcastOrder{}, shop.BroadcastSale{}, shop.WarmCache{},
}
