package web

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
)

// Deadline gives a request's context a timeout. The time in which the handler waits for
// the client's body does not count: it has limits of its own. Deadline also detaches
// the context from the client's connection, because pgx closes a database connection
// whose query is cancelled, and clients often leave early.
func Deadline(timeout time.Duration) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			detached := context.WithoutCancel(r.Context())
			if !hasBody(r) {
				ctx, cancel := context.WithTimeout(detached, timeout)
				defer cancel()
				c.SetRequest(r.WithContext(ctx))
				return next(c)
			}
			work := startWorkTime(detached, timeout)
			defer work.end(context.Canceled)
			r = r.WithContext(work)
			r.Body = &pausingBody{r.Body, work}
			c.SetRequest(r)
			return next(c)
		}
	}
}

// Private

// workTime is a context that ends after a time of work. Pauses do not count.
type workTime struct {
	context.Context // never ends
	done            chan struct{}

	mutex  sync.Mutex
	timer  *time.Timer
	until  time.Time
	paused time.Time
	err    error
}

func startWorkTime(parent context.Context, timeout time.Duration) *workTime {
	w := &workTime{Context: parent, done: make(chan struct{}), until: time.Now().Add(timeout)}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.timer = time.AfterFunc(timeout, w.expire)
	return w
}

// Deadline implements context.Context. A pause moves it.
func (w *workTime) Deadline() (time.Time, bool) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.until, true
}

// Done implements context.Context.
func (w *workTime) Done() <-chan struct{} { return w.done }

// Err implements context.Context.
func (w *workTime) Err() error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.err
}

func (w *workTime) pause() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.timer.Stop()
	w.paused = time.Now()
}

func (w *workTime) resume() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.until = w.until.Add(time.Since(w.paused))
	w.paused = time.Time{}
	if w.err == nil {
		w.timer.Reset(time.Until(w.until))
	}
}

// expire ends the context, unless a pause began as its time was up.
func (w *workTime) expire() {
	w.mutex.Lock()
	pausing := !w.paused.IsZero() || time.Now().Before(w.until)
	w.mutex.Unlock()
	if !pausing {
		w.end(context.DeadlineExceeded)
	}
}

func (w *workTime) end(err error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.timer.Stop()
	if w.err == nil {
		w.err = err
		close(w.done)
	}
}

// pausingBody pauses the time of work while it waits for the client.
type pausingBody struct {
	io.ReadCloser
	work *workTime
}

func (b *pausingBody) Read(buffer []byte) (int, error) {
	b.work.pause()
	defer b.work.resume()
	return b.ReadCloser.Read(buffer)
}
