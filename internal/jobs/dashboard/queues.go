package dashboard

import (
	"context"

	"github.com/labstack/echo/v4"

	"slipway/internal/jobs"
	"slipway/internal/jobs/dashboard/screens"
	"slipway/internal/jobs/inspect"
	"slipway/internal/operators"
)

// Private

func (d *Dashboard) listQueues(c echo.Context) error {
	queues, down := d.readQueues(c.Request().Context())
	view := screens.Queues{Queues: queues, Kinds: d.kinds()}
	if view.Queues == nil {
		view.Queues = []inspect.Queue{}
	}
	err := d.within(c.Request().Context(), func(ctx context.Context) error { return d.markPausedKinds(ctx, view.Kinds) })
	if err != nil && len(down) == 0 {
		down = append(down, operators.DownText(err))
	}
	return d.Show(c, view, screens.AllQueues(d.Frame(c, "Queues", "Queues and kinds", down...), view))
}

// switchQueue pauses or resumes a queue or a kind.
func (d *Dashboard) switchQueue(c echo.Context) error {
	ctx, backend := c.Request().Context(), jobs.Backend(c.FormValue("backend"))
	if backend != jobs.PG && backend != jobs.Redis {
		return wrongInput("there is no backend %q: it is pg or redis", backend)
	}
	queue, kind := c.FormValue("queue"), c.FormValue("kind")
	pause, resume, subject := d.inspector.Pause, d.inspector.Resume, queue
	if kind != "" {
		pause, resume, subject = d.inspector.PauseKind, d.inspector.ResumeKind, kind
	}
	var err error
	done := ""
	switch c.FormValue("do") {
	case "pause":
		err, done = pause(ctx, backend, subject), "paused"
	case "resume":
		err, done = resume(ctx, backend, subject), "resumed"
	default:
		return wrongInput("there is no command %q: it is pause or resume", c.FormValue("do"))
	}
	d.note(c, c.FormValue("do"), string(backend)+" "+subject, err)
	if err != nil {
		return err
	}
	return operators.Back(c, "/jobs/queues", done)
}

// kinds are all kinds of work that this build knows.
func (d *Dashboard) kinds() []screens.Kind {
	var all []screens.Kind
	for _, handler := range d.jobs {
		all = append(all, screens.Kind{Backend: jobs.PG, Kind: handler.Kind, Queue: string(handler.Queue)})
	}
	for _, handler := range d.tasks {
		all = append(all, screens.Kind{Backend: jobs.Redis, Kind: handler.Kind, Queue: string(handler.Queue)})
	}
	return all
}

func (d *Dashboard) markPausedKinds(ctx context.Context, kinds []screens.Kind) error {
	paused, err := d.inspector.PausedKinds(ctx)
	for _, one := range paused {
		for i := range kinds {
			if kinds[i].Backend == one.Backend && kinds[i].Kind == one.Kind {
				kinds[i].Paused = true
			}
		}
	}
	return err
}

// note writes an action that is no action on work to the list of actions. The action is
// done or refused already, so a failure to write is only logged.
func (d *Dashboard) note(c echo.Context, action, subject string, result error) {
	ctx := c.Request().Context()
	if err := d.inspector.Note(ctx, operators.OperatorOf(c).Name, inspect.Action(action), subject, result); err != nil {
		d.log.WarnContext(ctx, "An action of an operator was not written to the list of actions",
			"action", action, "subject", subject, "error", err)
	}
}
