package live

import (
	"context"
	"encoding/json"
	"fmt"

	"slipway/internal/failopen"
)

// Publisher publishes fragments to all web processes.
type Publisher struct {
	redis *failopen.Redis
}

// NewPublisher makes a publisher that publishes through redis.
func NewPublisher(redis *failopen.Redis) *Publisher {
	return &Publisher{redis: redis}
}

// Publish publishes a fragment and reports whether Redis took it.
func (p *Publisher) Publish(ctx context.Context, fragment Fragment) bool {
	payload, err := json.Marshal(fragment)
	if err != nil {
		panic(fmt.Sprintf("encode live fragment: %v", err)) // strings can always be encoded
	}
	_, ok := publishNext(ctx, p.redis, payload)
	return ok
}
