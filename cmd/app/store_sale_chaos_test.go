package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// What the sale of `app seed` has, who wants it, and how many of them are in
// the store at a time.
const (
	chaosUnits  = 50
	chaosBuyers = 500
	chaosAtOnce = 40
)

// TestFlashSale_ChaosSellsEveryUnitOnceWhateverHappensToRedis has five hundred
// browsers want fifty units, through all roles of the program, while Redis is
// killed, frozen, emptied and restarted again and again. Some browsers that get a
// unit do not buy it. FLASH_SALE_RUNS is the number of runs. FLASH_SALE_SEED repeats
// the moments of a run that failed.
func TestFlashSale_ChaosSellsEveryUnitOnceWhateverHappensToRedis(t *testing.T) {
	seed := numberFrom(t, "FLASH_SALE_SEED", uint64(time.Now().UnixNano()))
	for run := range numberFrom(t, "FLASH_SALE_RUNS", 1) {
		t.Run(fmt.Sprintf("seed %d", seed+run), func(t *testing.T) { sellThroughChaos(t, seed+run) })
	}
}

// Private

func sellThroughChaos(t *testing.T, seed uint64) {
	d := deployStore(t)
	first, workerPG, workerRedis := d.startAll()
	second := d.start("web")
	second.eventually(func() bool { return second.health().Status == "ok" }, "is healthy")
	chance := rand.New(rand.NewPCG(seed, 0))
	crowd := make([]*buyer, chaosBuyers)
	for i := range crowd {
		crowd[i] = &buyer{visitor: newVisitor(t, []*appProcess{first, second}[i%2].url), leaves: chance.IntN(10) == 0}
	}

	began := time.Now()
	calm := make(chan struct{})
	var trouble sync.WaitGroup
	var troubles []string
	trouble.Go(func() { troubles = makeTrouble(t, d, chance, calm) })
	rush(crowd)
	close(calm)
	trouble.Wait()
	require.False(t, t.Failed())
	took := time.Since(began)
	early := d.query(`SELECT sold FROM flash_sales`)

	// Who left lets the unit go, and those who got none look in again.
	d.execute(`UPDATE sale_holds SET expires_at = now() - interval '1 hour' WHERE state = 'held'`)
	for range 10 {
		if d.query(`SELECT sold FROM flash_sales`) == chaosUnits {
			break
		}
		rush(without(crowd, func(b *buyer) bool { return b.leaves || b.bought }))
	}

	bought := 0
	for _, one := range crowd {
		if one.bought {
			bought++
		}
	}
	require.Equal(t, chaosUnits, bought)
	require.Zero(t, d.query(`SELECT held FROM flash_sales`))
	require.EqualValues(t, chaosUnits, d.query(`SELECT count(*) FROM orders`))
	require.EqualValues(t, chaosUnits, d.query(`SELECT count(DISTINCT cart_id) FROM orders`))
	require.EqualValues(t, chaosUnits, d.query(`
		SELECT count(*) FROM order_lines l
		JOIN flash_sales s ON s.variant_id = l.variant_id AND s.price_cents = l.price_cents
		WHERE l.quantity = 1`))
	require.EqualValues(t, chaosUnits, d.query(`SELECT count(*) FROM sale_holds WHERE state = 'sold'`))
	workerPG.eventually(func() bool {
		return d.query(`SELECT count(*) FROM orders WHERE state = 'paid'`) == chaosUnits
	}, "captures every payment")
	workerPG.eventually(func() bool {
		return d.query(`SELECT count(*) FROM river_job WHERE state <> 'completed' AND args ? 'order_id'`) == 0
	}, "finishes its jobs")
	require.Len(t, d.mails(), chaosUnits)
	for _, p := range []*appProcess{first, second, workerPG, workerRedis} {
		p.eventually(func() bool { return p.health().Status == "ok" }, "is healthy again")
		require.NotContains(t, p.output.String(), "DATA RACE")
	}
	t.Logf("%d buyers in %s while Redis was %v; %d sold by then, %d in the end",
		chaosBuyers, took.Round(time.Millisecond), troubles, early, chaosUnits)
}

// makeTrouble damages Redis again and again until calm is closed, and leaves it
// running.
func makeTrouble(t *testing.T, d *deployment, chance *rand.Rand, calm <-chan struct{}) (troubles []string) {
	pause := func(most time.Duration) {
		select {
		case <-calm:
		case <-time.After(time.Duration(chance.Int64N(int64(most)))):
		}
	}
	ctx := context.Background()
	for {
		select {
		case <-calm:
			return troubles
		default:
		}
		pause(400 * time.Millisecond)
		var err error
		switch trouble := []string{"killed", "frozen", "emptied", "restarted"}[chance.IntN(4)]; trouble {
		case "killed":
			err = d.redis.Kill()
			pause(700 * time.Millisecond)
			if err == nil {
				err = d.redis.Restart(ctx)
			}
			troubles = append(troubles, trouble)
		case "frozen":
			err = d.redis.Freeze()
			pause(700 * time.Millisecond)
			if err == nil {
				err = d.redis.Thaw()
			}
			troubles = append(troubles, trouble)
		case "emptied":
			err = empty(ctx, d.redis.URL())
			troubles = append(troubles, trouble)
		case "restarted":
			err = d.redis.Restart(ctx)
			troubles = append(troubles, trouble)
		}
		if err != nil {
			t.Error(err)
			return troubles
		}
	}
}

func empty(ctx context.Context, address string) error {
	options, err := redis.ParseURL(address)
	if err != nil {
		return err
	}
	client := redis.NewClient(options)
	defer client.Close()
	return client.FlushAll(ctx).Err()
}

// buyer is a visitor who wants a unit of the sale.
type buyer struct {
	*visitor
	leaves bool // with the unit in the cart
	bought bool
}

// rush lets everyone in the crowd try to buy, a few at a time.
func rush(crowd []*buyer) {
	var all sync.WaitGroup
	var next atomic.Int64
	for range min(chaosAtOnce, len(crowd)) {
		all.Go(func() {
			for i := next.Add(1); i <= int64(len(crowd)); i = next.Add(1) {
				crowd[i-1].tries()
			}
		})
	}
	all.Wait()
}

// tries buys a unit if there is one left: from the front page through the cart and
// the checkout to the order.
func (b *buyer) tries() {
	path, form, open := b.claim()
	if !open {
		return
	}
	status, at, body := b.post(path, form)
	if status == http.StatusConflict {
		return
	}
	require.Equal(b.t, http.StatusOK, status, body)
	require.Equal(b.t, "/cart", at)
	if b.leaves {
		return
	}
	status, at, body = b.post("/orders", b.fillIn(workingCard))
	require.Equal(b.t, http.StatusOK, status, body)
	require.Contains(b.t, at, "/orders/")
	b.bought = true
}

func without(crowd []*buyer, gone func(*buyer) bool) (left []*buyer) {
	for _, one := range crowd {
		if !gone(one) {
			left = append(left, one)
		}
	}
	return left
}

// numberFrom reads a number from an environment variable.
func numberFrom(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	number, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err)
	return number
}
