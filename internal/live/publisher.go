package live

import (
	"context"
	"encoding/json"
	"fmt"

	"slipway/internal/failopen"
)

// Publisher sends fragments to all web processes.
type Publisher struct {
	redis *failopen.Redis
}

// NewPublisher publishes through redis.
func NewPublisher(redis *failopen.Redis) *Publisher {
	return &Publisher{redis: redis}
}

// Publish sends a fragment and tells whether Redis took it.
func (p *Publisher) Publish(ctx context.Context, fragment Fragment) bool {
	payload, err := json.Marshal(fragment)
	if err != nil {
		panic(fmt.Sprintf("live fragment cannot be JSON: %v", err)) // two strings always can
	}
	_, ok := publishNext(ctx, p.redis, payload)
	return ok
}
