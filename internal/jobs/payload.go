package jobs

import (
	"encoding/json"
	"fmt"
	"math"
)

// MaxArgs is the size of the JSON of args, in bytes, above which work is refused
// when it is enqueued. Args are ids, by which work reads its data.
const MaxArgs = 1 << 20

// Private

// payloadOf returns the JSON of args.
func payloadOf(kind string, args Args) ([]byte, error) {
	payload, err := json.Marshal(args)
	if err != nil {
		return nil, fmt.Errorf("write the arguments of %s as JSON: %w", kind, err)
	}
	if _, is := args.(outboxJob); is {
		return payload, nil // the args of its task have passed the check
	}
	return payload, checkSize(kind, payload)
}

func checkSize(kind string, payload []byte) error {
	if len(payload) <= MaxArgs {
		return nil
	}
	const megabyte = 1 << 20
	size := math.Ceil(float64(len(payload))/megabyte*10) / 10 // never shown as the limit itself
	return fmt.Errorf("the arguments of %s are %.1f MB, more than the allowed %d MB: store the data and pass its id",
		kind, size, MaxArgs/megabyte)
}
