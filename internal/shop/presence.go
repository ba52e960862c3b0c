package shop

import (
	"context"
	"strconv"
	"time"

	"slipway/internal/failopen"
)

// presence counts in Redis the visitors who have a product's page open. It
// stores no visitor: a HyperLogLog of at most 12 KB holds only what is needed
// to count them, with an error of about 1 % where there are many.
type presence struct {
	redis *failopen.Redis // nil: nothing is counted
}

// presenceSlot is the precision with which Redis knows when a visitor was there.
const presenceSlot = 30 * time.Second

// presenceSlots is the number of slots that a count covers, the current one
// included: a visitor counts for 60 to 90 seconds.
const presenceSlots = 3

// visit records that a visitor is on a product's page now, and counts the
// visitors who were there within the last 60 to 90 seconds.
func (p presence) visit(ctx context.Context, productID int64, visitor string) (visitors int, ok bool) {
	if p.redis == nil {
		return 0, false
	}
	arguments := []any{visitor, (presenceSlots * presenceSlot).Milliseconds()}
	ok = p.redis.Run(ctx, "Shop.Look", visitScript, presenceKeys(productID, time.Now()), arguments, readCount(&visitors))
	return visitors, ok
}

// count counts as visit does, without a visit.
func (p presence) count(ctx context.Context, productID int64) (visitors int, ok bool) {
	if p.redis == nil {
		return 0, false
	}
	ok = p.redis.Command(ctx, "Shop.Interest", "pfcount", presenceKeys(productID, time.Now()), readCount(&visitors))
	return visitors, ok
}

// Private

func readCount(count *int) func(failopen.Reply) error {
	return func(reply failopen.Reply) error {
		number, err := reply.Int64()
		*count = int(number)
		return err
	}
}

// presenceKeys are the slots of a product, the current one first.
func presenceKeys(productID int64, now time.Time) []string {
	keys := make([]string, presenceSlots)
	for i := range keys {
		slot := now.UnixNano()/int64(presenceSlot) - int64(i)
		keys[i] = "presence:product:" + strconv.FormatInt(productID, 10) + ":" + strconv.FormatInt(slot, 10)
	}
	return keys
}

var visitScript = failopen.NewScript(`
	redis.call('PFADD', KEYS[1], ARGV[1])
	redis.call('PEXPIRE', KEYS[1], ARGV[2])
	return redis.call('PFCOUNT', unpack(KEYS))
`)
