// Package screens holds the screens of the jobs dashboard: a struct that is also the
// JSON of the screen, and a template for each.
package screens

import (
	"bytes"
	"encoding/json"
	"time"

	"slipway/internal/jobs"
	"slipway/internal/jobs/inspect"
	"slipway/internal/operators"
)

// Indented is JSON on many lines, with its numbers as they were written.
func Indented(raw json.RawMessage) string {
	var out bytes.Buffer
	if len(raw) == 0 {
		return "null"
	}
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return string(raw)
	}
	return out.String()
}

// ItemPath is the address of the screen of one job or task.
func ItemPath(id inspect.ID) string { return operators.Address("/jobs/item", "id", id.String()) }

// WorkPath is the address of the list of what a filter selects.
func WorkPath(filter inspect.Filter) string {
	return operators.Address("/jobs/work", "q", filter.String())
}

// Private

// actionOrder is the order of buttons: what mends first, what destroys last.
var actionOrder = []inspect.Action{inspect.Retry, inspect.RunNow, inspect.Cancel, inspect.Discard}

func actionName(action inspect.Action) string {
	switch action {
	case inspect.Retry:
		return "Retry"
	case inspect.RunNow:
		return "Run now"
	case inspect.Cancel:
		return "Cancel"
	case inspect.Discard:
		return "Discard"
	}
	return string(action)
}

// actionEffect says what an action does to each job or task.
func actionEffect(action inspect.Action) string {
	switch action {
	case inspect.Retry:
		return "It runs again, with one more attempt if it had used up all."
	case inspect.RunNow:
		return "It runs now, not at its time."
	case inspect.Cancel:
		return "It never runs again. What runs is told to stop. It stays in the list as cancelled."
	case inspect.Discard:
		return "It is deleted and cannot be brought back. What runs is left alone."
	}
	return ""
}

// lastMoment is when work last changed as people see it: its end, its start, or the
// time at which it is due.
func lastMoment(item inspect.Item) time.Time {
	switch {
	case !item.FinishedAt.IsZero():
		return item.FinishedAt
	case item.State == inspect.Running && !item.StartedAt.IsZero():
		return item.StartedAt
	case !item.RunAt.IsZero():
		return item.RunAt
	}
	return item.CreatedAt
}

// shortID is an id that fits in a table.
func shortID(id inspect.ID) string {
	if id.Backend == jobs.PG {
		return id.String()
	}
	return operators.Clip(id.Task, 24)
}
