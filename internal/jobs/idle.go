package jobs

import (
	"context"
	"time"
)

// StopMargin is the longest time that Run of either worker takes after the end of
// its context and ShutdownTimeout: for handlers that do not heed the end of their
// context, to return their work, and to delete the worker's row.
const StopMargin = stopGrace + abandonTimeout + signOffTimeout

// Private

// stopGrace is what a worker waits beyond its shutdown timeout for handlers whose
// context has ended. Then it returns their work to the queue.
const stopGrace = 5 * time.Second

// awaitIdle waits until nothing has been running for the whole of idleFor, and
// reports whether that came before the end of ctx. A stopping worker waits for
// its library only as long as work runs: the library may never end.
func awaitIdle(ctx context.Context, running func() int, idleFor time.Duration) bool {
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for idleSince := time.Now(); time.Since(idleSince) < idleFor; {
		select {
		case <-ctx.Done():
			return false
		case now := <-poll.C:
			if running() > 0 {
				idleSince = now
			}
		}
	}
	return true
}
