// Package testorigin is an origin that a client can script through its requests, to test
// what an edge makes of responses. It is served in the environment test only.
package testorigin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Prefix begins the paths of the origin.
const Prefix = "/__probe/"

// Origin is a scriptable origin. Any path below Prefix responds as its query says:
//
//   - h=Name:Value sets a field of the header, any number of times;
//   - code is the status, 200 when left out;
//   - size is the length of the body in bytes, at most 64 MiB;
//   - sleep is a pause before the response, in milliseconds, at most a minute;
//   - empty=1 sends no body;
//   - cut=1 ends the connection after half of the body;
//   - failfrom=K responds 500 from the K-th call of the path on.
//
// The body begins with n=K and a line feed, where K counts all calls. The field
// X-Origin-N repeats K. Three paths are special:
//
//   - sse?k=K&cc=VALUE streams K server-sent events with that Cache-Control;
//   - ws accepts a WebSocket, and returns each message of up to 125 bytes;
//   - echo returns the request as JSON.
type Origin struct {
	mutex  sync.Mutex
	calls  int
	byPath map[string]int
}

// New returns an origin without any calls.
func New() *Origin { return &Origin{byPath: map[string]int{}} }

// Beside returns a handler that sends requests below Prefix to the origin, and all
// others to app.
func (o *Origin) Beside(app http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, Prefix) {
			o.ServeHTTP(w, r)
			return
		}
		app.ServeHTTP(w, r)
	})
}

// ServeHTTP responds with 400 and the reason to a query that is not as documented.
func (o *Origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call, callOfPath := o.count(r.URL.Path)
	w.Header().Set("X-Origin-N", strconv.Itoa(call))
	switch strings.TrimPrefix(r.URL.Path, Prefix) {
	case "sse":
		streamEvents(w, r)
	case "ws":
		acceptWebSocket(w, r)
	case "echo":
		echoRequest(w, r)
	default:
		script, err := readScript(r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		script.respond(w, r, call, callOfPath)
	}
}

// Private

// maxEvents bounds the events of a stream.
const maxEvents = 1000

func (o *Origin) count(path string) (call, callOfPath int) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.calls++
	o.byPath[path]++
	return o.calls, o.byPath[path]
}

// streamEvents sends numbered events, each as soon as it exists.
func streamEvents(w http.ResponseWriter, r *http.Request) {
	count, err := number(r.URL.Query(), "k", 3, maxEvents)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	if control := r.URL.Query().Get("cc"); control != "" {
		w.Header().Set("Cache-Control", control)
	}
	for i := range count {
		if i > 0 {
			select {
			case <-time.After(100 * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
		fmt.Fprintf(w, "id: %d\ndata: %d\n\n", i+1, i+1)
		_ = http.NewResponseController(w).Flush() // the next write notices a client that has left
	}
}

// echoRequest responds with the request as it arrived.
func echoRequest(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxSize))
	if err != nil {
		http.Error(w, "read the body: "+err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]any{ // a client that has left needs no reply
		"method": r.Method, "uri": r.RequestURI, "protocol": r.Proto, "host": r.Host, "remote": r.RemoteAddr,
		"header": r.Header, "transfer_encoding": r.TransferEncoding, "content_length": r.ContentLength, "body": string(body),
	})
}
