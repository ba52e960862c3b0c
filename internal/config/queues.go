package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// QueueSlots is a queue that a worker works.
type QueueSlots struct {
	Queue string
	Slots int // jobs at the same time; 0: the default of the queue
}

// WorkedQueues are the queues that a worker works. Empty: all.
type WorkedQueues []QueueSlots

// UnmarshalText parses a list such as "critical:20, images". Slots are optional.
func (w *WorkedQueues) UnmarshalText(text []byte) error {
	*w = nil
	for part := range strings.SplitSeq(string(text), ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, number, hasSlots := strings.Cut(part, ":")
		one := QueueSlots{Queue: name}
		if hasSlots {
			slots, err := strconv.Atoi(number)
			if err != nil || slots < 1 || slots > 10000 {
				return fmt.Errorf("%q: after the colon stands the number of jobs at the same time, 1 to 10000", part)
			}
			one.Slots = slots
		}
		if slices.ContainsFunc(*w, func(other QueueSlots) bool { return other.Queue == name }) {
			return fmt.Errorf("the queue %q stands there twice", name)
		}
		*w = append(*w, one)
	}
	return nil
}

func (w WorkedQueues) String() string {
	var parts []string
	for _, one := range w {
		if one.Slots > 0 {
			parts = append(parts, fmt.Sprintf("%s:%d", one.Queue, one.Slots))
		} else {
			parts = append(parts, one.Queue)
		}
	}
	return strings.Join(parts, ",")
}
