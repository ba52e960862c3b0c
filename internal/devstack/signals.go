package devstack

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Signals returns the context stopping, which ends at the first SIGINT, SIGTERM,
// SIGHUP or SIGPIPE, and the context killing, which ends at a later SIGINT or
// SIGTERM. A closed terminal or pipe never ends killing. Call release after use.
func Signals(ctx context.Context) (stopping, killing context.Context, release func()) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	killing, kill := context.WithCancel(ctx)
	stopping, stop := context.WithCancel(killing)
	ended := make(chan struct{})

	go func() {
		defer close(ended)
		for {
			select {
			case received := <-signals:
				deliberate := received == syscall.SIGINT || received == syscall.SIGTERM
				if deliberate && stopping.Err() != nil {
					kill()
				}
				stop()
			case <-killing.Done():
				return
			}
		}
	}()

	return stopping, killing, func() {
		signal.Stop(signals)
		kill()
		<-ended
	}
}
