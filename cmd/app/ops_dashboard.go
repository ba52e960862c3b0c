package main

import (
	"slipway/internal/jobs/inspect"
	"slipway/internal/operators"
	"slipway/internal/ops"
	"slipway/internal/ops/dashboard"
)

// Private

// opsDashboard is the pages of what the application does, which web serves at /ops.
func (b *backends) opsDashboard(desk *operators.Desk, inspector *inspect.Inspector) *dashboard.Dashboard {
	return dashboard.New(dashboard.Options{
		Desk: desk, Reader: ops.NewReader(b.db), Jobs: inspector, Settings: b.settings,
		Kept: dashboard.Kept{Off: !b.config.PulseEnabled, OneIn: b.config.TraceOneIn, SlowRequest: b.config.SlowRequest},
	})
}
