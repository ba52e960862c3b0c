package payment

import (
	"context"
	"errors"

	"slipway/internal/telemetry"
)

// Timed returns a gateway that calls gateway and times its calls. A card that was
// declined is no failure of a call.
func Timed(gateway Gateway, outgoing *telemetry.Outgoing) Gateway { return timed{gateway, outgoing} }

// Private

type timed struct {
	gateway  Gateway
	outgoing *telemetry.Outgoing
}

func (t timed) Authorize(ctx context.Context, request Request) (authorization Authorization, err error) {
	_ = t.outgoing.Call(ctx, "payment authorize", func(ctx context.Context) error {
		authorization, err = t.gateway.Authorize(ctx, request)
		if errors.Is(err, ErrDeclined) || errors.Is(err, ErrCard) {
			return nil // the call went well; err has the answer
		}
		return err
	})
	return authorization, err
}

func (t timed) Capture(ctx context.Context, authorization string) error {
	return t.outgoing.Call(ctx, "payment capture", func(ctx context.Context) error { return t.gateway.Capture(ctx, authorization) })
}

func (t timed) Void(ctx context.Context, authorization string) error {
	return t.outgoing.Call(ctx, "payment void", func(ctx context.Context) error { return t.gateway.Void(ctx, authorization) })
}
