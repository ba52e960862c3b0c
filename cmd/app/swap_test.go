package main

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSwap_DropsNoRequest(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.prepareForSwaps()
	d.environment["SLOW_WORK"] = "1s"
	proxy := newDrainingProxy(t)
	running := d.release("v1")
	running.serve(proxy, nil)
	running.startWorkers()
	crowd := startCrowd(t, proxy.url)
	busy := func(old *target) bool {
		atWork := old.atWork(time.Hour)
		return atWork["GET /slow"] > 0 && atWork["GET /live"] > 0
	}

	// The first deploy waits for the requests of the old web, as Kamal does. In the
	// second, the old web has to finish them by itself after SIGTERM.
	for i, version := range []string{"v2", "v1"} {
		old := running
		running = d.release(version)
		running.serve(proxy, busy)
		if i == 0 {
			took, cut := old.target.drain(drainLimit)
			require.False(t, cut, "requests outlived the drain")
			t.Logf("drained in %s", took.Round(time.Millisecond))
		} else {
			old.web.eventually(old.hasAllRequests, "has received all requests")
		}
		require.Less(t, old.web.stop(), stopLimit)
		_, cut := old.target.drain(time.Second)
		require.False(t, cut, "the proxy still waits for a process that has exited")
		running.startWorkers()
		old.workerPG.stop()
		old.workerRedis.stop()
		require.NotZero(t, old.target.served)
		for _, p := range []*appProcess{old.web, old.workerPG, old.workerRedis} {
			require.NotContains(t, p.output.String(), "DATA RACE")
		}
	}
	sent := crowd.leave()

	require.Empty(t, crowd.failures)
	require.NotZero(t, sent)
	require.Equal(t, sent, d.query(`SELECT count(*) FROM notes`))
	running.workerPG.eventually(func() bool {
		return d.query(`SELECT count(*) FROM notes WHERE confirmed_at IS NULL OR archived_at IS NULL`) == 0
	}, "finishes the work of both versions")
	t.Logf("%d notes and %d pages during two deploys", sent, crowd.pages)
}

// Private

// crowd is a few visitors who use the test application without a pause.
type crowd struct {
	url     string
	leaving chan struct{}
	all     sync.WaitGroup

	mutex        sync.Mutex
	failures     []string
	notes, pages int64
}

func startCrowd(t *testing.T, url string) *crowd {
	t.Helper()
	c := &crowd{url: url, leaving: make(chan struct{})}
	for range 2 {
		c.keep(func() { c.get("/slow") })
		c.keep(func() { c.get("/live") }) // a stream, to its end
	}
	c.keep(func() { c.get("/"); c.get("/thanks") })
	c.keep(c.post)
	t.Cleanup(func() { c.leave() })
	return c
}

// leave waits until every visitor has finished, and returns the number of notes
// that were accepted.
func (c *crowd) leave() (notes int64) {
	select {
	case <-c.leaving:
	default:
		close(c.leaving)
	}
	c.all.Wait()
	return c.notes
}

func (c *crowd) keep(visit func()) {
	c.all.Go(func() {
		for {
			visit()
			select {
			case <-c.leaving:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
}

func (c *crowd) get(path string) {
	response, err := http.Get(c.url + path)
	c.count(&c.pages, "GET "+path, response, err)
}

func (c *crowd) post() {
	response, err := http.PostForm(c.url+"/notes", newNote())
	c.count(&c.notes, "POST /notes", response, err)
}

// count reads a response to its end, and counts it as a success or a failure.
func (c *crowd) count(successes *int64, request string, response *http.Response, err error) {
	status := 0
	if err == nil {
		status = response.StatusCode
		_, err = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close() // it was read to its end
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if err != nil || status != http.StatusOK {
		c.failures = append(c.failures, fmt.Sprintf("%s: status %d, error %v", request, status, err))
		return
	}
	*successes++
}
