package recurring

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse_NamesEachInvalidEntry(t *testing.T) {
	t.Parallel()

	_, err := Parse([]byte(`
good:
  kind: sweep
  args: {store: 1}
  schedule: every 5 minutes
kind: {kind: swep, schedule: every minute}
args: {kind: sweep, args: {store: one}, schedule: every minute}
field: {kind: sweep, args: {stroe: 1}, schedule: every minute}
schedule: {kind: sweep, schedule: now and then}
zone: {kind: sweep, schedule: every minute, zone: Atlantis}
local: {kind: sweep, schedule: every day at 9am, zone: Local}
zones: {kind: sweep, schedule: every day at 9am Europe/Vienna, zone: Europe/Paris}
queue: {kind: sweep, schedule: every minute, queue: urgent}
catch_up: {kind: sweep, schedule: every minute, catch_up: some}
overlap: {kind: sweep, schedule: every minute, overlap: maybe}
key: {kind: sweep, schedule: every minute, scheduel: every hour}
several: {kind: swep, schedule: never, queue: urgent}
`), jobKinds, taskKinds)

	for _, problem := range []string{
		`kind (line 6): there is no kind of work called "swep"`, `args (line 7): args: read the arguments of sweep`,
		`field (line 8): args: read the arguments of sweep: json: unknown field "stroe"`,
		`schedule (line 9): schedule "now and then"`, `zone (line 10): zone "Atlantis"`,
		`local (line 11): zone "Local": it can differ between two machines`,
		`zones (line 12): zone "Europe/Paris": the schedule names Europe/Vienna; leave one of them out`,
		`queue (line 13): queue "urgent"`, `catch_up (line 14): catch_up "some"`, `overlap (line 15): overlap "maybe"`,
		`key (line 16): key "scheduel" is not known: the keys are kind, args, schedule`,
		`several (line 17): schedule "never"`, `several (line 17): there is no kind`, `several (line 17): queue "urgent"`,
	} {
		require.ErrorContains(t, err, problem)
	}
	require.NotContains(t, err.Error(), "good")

	none, err := Parse(nil, jobKinds, taskKinds)
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestParse_ReadsTheWholeFile(t *testing.T) {
	t.Parallel()
	const one, two = "one: {kind: sweep, schedule: every minute}\n", "two: {kind: sweep, schedule: every minute}\n"
	for _, file := range []string{one + two, "---\n" + one + two, "\ufeff" + one + two, one + "# a comment\n" + two + "...\n"} {
		entries, err := Parse([]byte(file), jobKinds, taskKinds)
		require.NoError(t, err)
		require.Len(t, entries, 2)
	}

	for _, file := range []string{
		one + "---\n" + two, one + "...\n---\n" + two, one + "---\n", "---\n---\n" + one,
	} {
		_, err := Parse([]byte(file), jobKinds, taskKinds)
		require.ErrorContains(t, err, "a second YAML document begins in line ", file)
	}
	_, err := Parse([]byte(one+"---\n"+two), jobKinds, taskKinds)
	require.ErrorContains(t, err, "begins in line 2; remove the ---")

	_, err = Parse([]byte(one+"...\n"+two), jobKinds, taskKinds)
	require.ErrorContains(t, err, "line 2: did not find expected <document start>")
	_, err = Parse([]byte(one+one), jobKinds, taskKinds)
	require.ErrorContains(t, err, `mapping key "one" already defined`)
	_, err = Parse([]byte("one: {kind: sweep, kind: sweep, schedule: every minute}"), jobKinds, taskKinds)
	require.ErrorContains(t, err, `mapping key "kind" already defined`)
	_, err = Parse([]byte("one: &one {kind: sweep, schedule: every minute}\ntwo: {<<: *one, scheduel: x}"), jobKinds, taskKinds)
	require.ErrorContains(t, err, `two (line 2): key "scheduel" is not known`)
}

func TestParse_SaysHowToWriteAFileOfSolidQueue(t *testing.T) {
	t.Parallel()

	_, err := Parse([]byte(`
production:
  clear_finished_jobs: {command: "SolidQueue::Job.clear_finished_in_batches", schedule: every hour at minute 12}
job: {class: SweepJob, schedule: every hour}
list: {kind: sweep, args: [1, {two: 3}], schedule: every hour}
command: {command: "Sweep.run", priority: 2, description: sweeps, schedule: every hour}
`), jobKinds, taskKinds)

	for _, problem := range []string{
		`production (line 3): the file has no sections for environments: move the entries of "production" to the left`,
		`job (line 4): key "class" is not known: write kind:`,
		`list (line 5): args: it is a list of 2; write the arguments with their names`,
		`command (line 6): key "command" is not known: write the code as a job or task`,
		`command (line 6): key "priority" is not known: write queue: critical, default or low`,
		`command (line 6): key "description" is not known: write a comment`,
	} {
		require.ErrorContains(t, err, problem)
	}

	entries, err := Parse([]byte(`one: {kind: sweep, queue: low, args: {store: 1}, schedule: "at 6am every Monday"}`), jobKinds, taskKinds)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}
