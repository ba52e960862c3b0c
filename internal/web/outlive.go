package web

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
)

// Outlive returns what a handler calls when it leaves its response to another goroutine,
// such as that of an event stream. The request is in progress until the function that
// it gets is called, with the bytes sent since. Only then is it logged. For HEAD, whose
// response has no body, Outlive returns nil.
func Outlive(c echo.Context) func() (ended func(bytes int64)) {
	if IsHead(c) {
		return nil
	}
	return func() func(int64) {
		response := &outliving{}
		c.Set(outlivingKey, response)
		return response.end
	}
}

// Private

const outlivingKey = "web.outliving"

// outliving is a response whose handler returns before its end.
type outliving struct {
	mutex    sync.Mutex
	ended    bool
	bytes    int64
	complete func(bytes int64) // nil until the handler has returned
}

func (o *outliving) end(bytes int64) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.ended, o.bytes = true, bytes
	if o.complete != nil {
		o.complete(bytes)
	}
}

// onEnd calls complete at the end of the response, or now when it has ended.
func (o *outliving) onEnd(complete func(bytes int64)) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.complete = complete
	if o.ended {
		complete(o.bytes)
	}
}

// outlivingOf returns the response of a handler that has returned before the end, and
// nil for any other.
func outlivingOf(c echo.Context) *outliving {
	response, _ := c.Get(outlivingKey).(*outliving)
	return response
}

// observeEnd logs a request at the end of its response, without the context,
// which another request has by then.
func (o *outliving) observeEnd(log *slog.Logger, metrics *requestMetrics, c echo.Context, started time.Time, body *countedBody) {
	method, route, status, id, sent := methodLabel(c.Request().Method), route(c), c.Response().Status, requestID(c), c.Response().Size
	o.onEnd(func(bytes int64) {
		metrics.inFlight.Dec()
		metrics.countBytes(route, body, sent+bytes)
		took := time.Since(started)
		log.LogAttrs(context.Background(), slog.LevelInfo, requestFinished, requestAttributes(method, route, status, took, sent+bytes, id)...)
	})
}
