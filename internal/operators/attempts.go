package operators

import (
	"sync"
	"time"
)

// Private

const (
	mostAttempts   = 10              // wrong passwords of one client
	attemptWindow  = time.Minute     // in which they are counted, and for which the client is refused then
	mostAttempters = 10_000          // clients that are remembered
	sweepAttempts  = 5 * time.Second // between two searches for old entries in a full memory
)

// attempts counts wrong passwords by client, in this process and so without any
// backend: a door of operators must hold while Redis is unavailable.
type attempts struct {
	mutex   sync.Mutex
	clients map[string]attempter
	swept   time.Time
}

type attempter struct {
	wrong int
	until time.Time // when the count ends
}

func newAttempts() *attempts { return &attempts{clients: map[string]attempter{}} }

// refusedFor returns for how long a client is refused, 0 when it is not.
func (a *attempts) refusedFor(client string, now time.Time) time.Duration {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if found := a.clients[client]; found.wrong >= mostAttempts && found.until.After(now) {
		return found.until.Sub(now)
	}
	return 0
}

// failed counts a wrong password. The tenth begins a refusal of a minute.
func (a *attempts) failed(client string, now time.Time) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	found, known := a.clients[client]
	if !known && len(a.clients) >= mostAttempters {
		a.makeRoom(now)
	}
	if !found.until.After(now) {
		found = attempter{until: now.Add(attemptWindow)}
	}
	if found.wrong++; found.wrong == mostAttempts {
		found.until = now.Add(attemptWindow)
	}
	a.clients[client] = found
}

func (a *attempts) succeeded(client string) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	delete(a.clients, client)
}

// makeRoom forgets clients whose time is over, and one other when there are none.
func (a *attempts) makeRoom(now time.Time) {
	if now.Sub(a.swept) >= sweepAttempts {
		a.swept = now
		for client, found := range a.clients {
			if !found.until.After(now) {
				delete(a.clients, client)
			}
		}
	}
	for client := range a.clients {
		if len(a.clients) < mostAttempters {
			return
		}
		delete(a.clients, client)
	}
}
