package telemetry

import (
	"context"
	"encoding/hex"
	"log/slog"
)

// WithRequestID returns a context of work that the HTTP request with the id has caused.
func WithRequestID(ctx context.Context, id string) context.Context {
	if id == "" {
		return ctx
	}
	return context.WithValue(ctx, requestID{}, id)
}

// RequestID returns the id of the HTTP request that has caused the work of ctx, also
// in a job that the request enqueued. It is empty when no request has.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestID{}).(string)
	return id
}

// Private

type requestID struct{}

// requestHandler adds the id of the request to each line that is logged with the
// context of its work.
type requestHandler struct {
	slog.Handler
	traceIDs bool
}

func (h requestHandler) Handle(ctx context.Context, record slog.Record) error {
	id, has := requestIDIn(record)
	if !has {
		id = RequestID(ctx)
	}
	if id == "" || has && !h.traceIDs {
		return h.Handler.Handle(ctx, record)
	}
	record = record.Clone() // the attributes may be shared with the caller
	if !has {
		record.AddAttrs(slog.String(requestIDAttribute, id))
	}
	if h.traceIDs {
		trace := TraceID(id)
		record.AddAttrs(slog.String("trace_id", hex.EncodeToString(trace[:])))
	}
	return h.Handler.Handle(ctx, record)
}

func (h requestHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	return requestHandler{h.Handler.WithAttrs(attributes), h.traceIDs}
}

func (h requestHandler) WithGroup(name string) slog.Handler {
	return requestHandler{h.Handler.WithGroup(name), h.traceIDs}
}

// requestIDAttribute is the name of the id in every line.
const requestIDAttribute = "request_id"

func requestIDIn(record slog.Record) (id string, has bool) {
	record.Attrs(func(attribute slog.Attr) bool {
		if has = attribute.Key == requestIDAttribute; has {
			id = attribute.Value.String()
		}
		return !has
	})
	return id, has
}
