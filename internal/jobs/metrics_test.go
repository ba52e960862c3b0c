package jobs

import (
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestMetrics_LogRoutineRunsAtDebug(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		run  runRecord
		err  error
		want string
	}{
		"job": {
			runRecord{backend: PG, attempt: 1}, nil, `level=INFO msg="Job finished" result=done`,
		},
		"transient task": {
			runRecord{backend: Redis, attempt: 1, routine: true}, nil, `level=DEBUG msg="Task finished" result=done`,
		},
		"transient task, second time": {
			runRecord{backend: Redis, attempt: 2, routine: true}, nil, `level=INFO msg="Task finished" result=done`,
		},
		"transient task that fails": {
			runRecord{backend: Redis, attempt: 1, routine: true}, errors.New("no"), `level=WARN msg="Task finished" result=failed`,
		},
		"durable task": {
			runRecord{backend: Redis, attempt: 1}, nil, `level=INFO msg="Task finished" result=done`,
		},
		"snoozed job": {
			runRecord{backend: PG, attempt: 1}, Snooze(time.Second, "busy"), `level=DEBUG msg="Job finished" result=later`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &journal{}

			NewMetrics(prometheus.NewRegistry()).observe(t.Context(), log.logger(), test.run, test.err)

			require.Contains(t, log.String(), test.want)
		})
	}
}

// Private

// counts returns the values of a counter by its labels, joined by spaces.
func counts(t *testing.T, registry *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	counts := map[string]float64{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			labels := ""
			for _, label := range metric.GetLabel() {
				labels += label.GetValue() + " "
			}
			counts[labels[:len(labels)-1]] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	return counts
}
