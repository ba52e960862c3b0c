package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// audience are clients of open event streams.
type audience struct {
	mutex   sync.Mutex
	gone    bool
	streams []net.Conn // the last one is that of the client that reads nothing, when there is one

	web     *server
	failed  atomic.Pointer[error]
	reading sync.WaitGroup
	live    atomic.Int64 // streams that have begun

	left     atomic.Int64 // streams that have not got the event yet
	all      atomic.Pointer[chan struct{}]
	arrivals []time.Time // of the event, by stream
}

// The topics of all streams, and of the one whose client reads nothing.
const (
	everyTopic = "product:1"
	slowTopic  = "product:999999"
)

// stockFragment is about as long as the stock of a product with three variants.
var stockFragment = "<b id=bench>" + strings.Repeat(`<span id="variant-1-stock" class="stock">Only 3 left</span>`, 4) + "</b>"

// openAudience opens streams, a few at a time, and waits until all have begun.
func openAudience(ctx context.Context, web *server, many int) (*audience, error) {
	a := &audience{web: web, streams: make([]net.Conn, many, many+1), arrivals: make([]time.Time, many)}
	opening, opened := errgroup.WithContext(ctx)
	opening.SetLimit(16)
	for i := range many {
		opening.Go(func() error {
			if err := a.open(opened, i, everyProduct); err != nil {
				return err
			}
			a.reading.Go(func() { a.stay(ctx, i) })
			return nil
		})
	}
	if err := opening.Wait(); err != nil {
		return a, err
	}
	for range 600 {
		if a.live.Load() == int64(many) {
			return a, nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil && ctx.Err() == nil {
			return a, err
		}
	}
	return a, fmt.Errorf("only %d of %d streams have begun", a.live.Load(), many)
}

// addSlow opens a stream whose client reads nothing.
func (a *audience) addSlow(ctx context.Context) error {
	a.streams = append(a.streams, nil)
	if err := a.open(ctx, len(a.streams)-1, "1,999999"); err != nil {
		return err
	}
	return pause(ctx, 500*time.Millisecond)
}

func (a *audience) leave() {
	a.mutex.Lock()
	a.gone = true
	for _, stream := range a.streams {
		if stream != nil {
			_ = stream.Close()
		}
	}
	a.mutex.Unlock()
	a.reading.Wait()
}

// expect prepares for the next event.
func (a *audience) expect() {
	all := make(chan struct{})
	a.all.Store(&all)
	a.left.Store(int64(len(a.arrivals)))
}

// waits waits until all streams have the event, and returns the milliseconds that each
// has waited for it.
func (a *audience) waits(ctx context.Context, started time.Time) (series, error) {
	select {
	case <-*a.all.Load():
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(20 * time.Second):
		err := fmt.Errorf("%d streams got no event", a.left.Load())
		if failed := a.failed.Load(); failed != nil {
			err = errors.Join(err, *failed)
		}
		return nil, err
	}
	waits := series{}
	for _, arrived := range a.arrivals {
		waits = append(waits, float64(arrived.Sub(started).Microseconds())/1000)
	}
	return waits, nil
}

// Private

// everyProduct are what the page of each stream follows, about as many as a list shows.
const everyProduct = "1,2,3,4,5,6,7,8,9,10,11,12"

// open sends the request for a stream, with the header of a browser behind a proxy.
func (a *audience) open(ctx context.Context, i int, query string) error {
	stream, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(a.web.port))
	if err != nil {
		return err
	}
	a.mutex.Lock()
	a.streams[i] = stream
	gone := a.gone
	a.mutex.Unlock()
	if gone {
		return errors.Join(stream.Close(), net.ErrClosed)
	}
	_, err = fmt.Fprintf(stream, "GET /live?products=%s HTTP/1.1\r\nHost: %s\r\n"+
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\n"+
		"Accept: text/event-stream\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n"+
		"Cache-Control: no-cache\r\nReferer: https://%s/products/mug\r\nSec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\n"+
		"Sec-Fetch-Site: same-origin\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\r\n", query, host, host)
	return err
}

// stay reads a stream, and opens it again when it ends, as a browser does.
func (a *audience) stay(ctx context.Context, i int) {
	for ctx.Err() == nil {
		seen := a.read(i)
		_ = a.streams[i].Close()
		if err := a.open(ctx, i, everyProduct+"&since="+seen); err != nil {
			if !errors.Is(err, net.ErrClosed) {
				a.failed.Store(&err)
			}
			return
		}
	}
}

// read notes the time of each event until the stream ends. It returns the number of the
// last one. A record comes in one piece, because it is short and the stream is read at
// once. In HTTP/1.1, the last chunk ends the stream.
func (a *audience) read(i int) (seen string) {
	buffer := make([]byte, 2<<10)
	begun, stream := false, a.streams[i]
	for {
		n, err := stream.Read(buffer)
		if err != nil {
			return seen
		}
		text := buffer[:n]
		if !begun && bytes.Contains(text, []byte("event: live")) {
			begun = true
			a.live.Add(1)
		}
		if at := bytes.LastIndex(text, []byte("id: ")); at >= 0 {
			number, _, _ := bytes.Cut(text[at+len("id: "):], []byte("\n"))
			seen = string(number)
		}
		if bytes.Contains(text, []byte("<b id=bench>")) {
			a.arrivals[i] = time.Now()
			if a.left.Add(-1) == 0 {
				close(*a.all.Load())
			}
		}
		if bytes.HasSuffix(text, []byte("0\r\n\r\n")) {
			return seen
		}
	}
}

// waitsOf returns how often the threads of a process have waited for something, and so
// how often the system had to wake them up.
func waitsOf(pid int) (waits float64) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file) // the thread may have ended
		_, rest, _ := strings.Cut(string(text), "\nvoluntary_ctxt_switches:")
		count, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
		number, _ := strconv.ParseFloat(count, 64)
		waits += number
	}
	return waits
}
