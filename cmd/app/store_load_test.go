package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// load is the traffic in the store during a swap.
type load struct {
	url       string
	variant   int64
	transport *http.Transport
	pages     []*openPage

	closing  chan struct{} // ends the work of customers after what they are at
	working  sync.WaitGroup
	ctx      context.Context // ends with the open pages
	leaving  context.CancelFunc
	watching sync.WaitGroup

	mutex                                sync.Mutex
	failures                             []string
	sold                                 map[string]bool // by the path of the order's page
	unitsOf                              map[int64]int
	units                                int
	requests, silent, uploads            int
	streams, resumed, resyncs, fragments int
}

// startLoad sends customers of every kind, who go on until finish.
func startLoad(t *testing.T, url string, variant int64) *load {
	t.Helper()
	l := &load{url: url, variant: variant, closing: make(chan struct{}), sold: map[string]bool{}, unitsOf: map[int64]int{}}
	l.transport = &http.Transport{MaxIdleConnsPerHost: 100}
	l.ctx, l.leaving = context.WithCancel(t.Context())
	t.Cleanup(func() {
		l.leave()
		if t.Failed() {
			t.Logf("%d requests failed: %s", len(l.failures), strings.Join(l.failures[:min(20, len(l.failures))], "\n"))
		}
	})
	for range openPages {
		page := &openPage{customer: l.customer(), path: "/products/" + scarce, shown: map[string]string{}}
		require.True(t, page.fetch())
		l.pages = append(l.pages, page)
		l.watching.Go(page.watch)
	}
	for i := range 3 {
		buyer := l.customer()
		l.keep(100*time.Millisecond, func() { buyer.browse(); buyer.buy(popular, variant, 1+i) })
	}
	for range 2 {
		l.keep(0, l.customer().buyAtTheSecondTry)
	}
	for i := range 2 {
		l.keep(0, func() { l.customer().upload(i == 0) })
	}
	return l
}

// finish waits until every customer has finished. Pages stay open.
func (l *load) finish() {
	select {
	case <-l.closing:
	default:
		close(l.closing)
	}
	l.working.Wait()
}

// leave closes the open pages, too.
func (l *load) leave() {
	l.finish()
	l.leaving()
	l.watching.Wait()
	l.transport.CloseIdleConnections()
}

// busy reports whether every kind of slow request runs, and a silent payment of
// two seconds is not half done, so that a swap has requests to lose.
func (l *load) busy(old *target) bool {
	atWork := old.atWork(time.Hour)
	return old.atWork(time.Second)["POST /orders"] > 0 && atWork["POST /cart/lines"] > 0 && atWork["GET /live"] == openPages
}

// pagesShow waits until every open page shows the stock of a scarce variant.
func (l *load) pagesShow(t *testing.T, variant, stock int64) {
	t.Helper()
	for i, page := range l.pages {
		require.Eventually(t, func() bool {
			return page.stockOf(variant) == fmt.Sprintf("Only %d left", stock)
		}, patience, 10*time.Millisecond, "open page %d has missed a change of stock", i)
	}
}

func (l *load) orders() int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return len(l.sold)
}

func (l *load) report(t *testing.T, all []*release) {
	t.Helper()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, one := range all {
		t.Logf("%s served %d requests", one.version, one.target.served)
	}
	t.Logf("%d swaps, %d requests, %d failed; %d orders of %d units, %d silent payments, %d slow uploads",
		len(all)-1, l.requests, len(l.failures), len(l.sold), l.units, l.silent, l.uploads)
	t.Logf("%d streams, %d of them resumed, %d fragments, %d resyncs", l.streams, l.resumed, l.fragments, l.resyncs)
}

// Private

func (l *load) keep(pause time.Duration, work func()) {
	l.working.Go(func() {
		for {
			work()
			select {
			case <-l.closing:
				return
			case <-time.After(pause):
			}
		}
	})
}

func (l *load) count(what *int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	*what++
}

// failed records a failure and returns false.
func (l *load) failed(format string, values ...any) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.failures = append(l.failures, time.Now().Format("05.000 ")+fmt.Sprintf(format, values...))
	return false
}
