package connection

import (
	"container/list"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Private

// outcome is what became of a new connection.
type outcome int

const (
	entered        outcome = iota // there was room
	madeRoom                      // another connection was closed for it
	noRoom                        // it was closed
	clientMadeRoom                // another connection of the same client was closed for it
	clientNoRoom                  // it was closed, because its client has too many
)

func (o outcome) String() string {
	return [...]string{"entered", "made_room", "no_room", "client_made_room", "client_no_room"}[o]
}

// room counts the open connections, in all and by client.
type room struct {
	options Options
	mutex   sync.Mutex
	order   list.List // of *conn; those that wait for a request are in the order of their waiting
	clients map[netip.Prefix]map[*conn]struct{}

	noticed    time.Time // of the last log line
	unreported int       // connections that were closed since
}

func newRoom(options Options) *room {
	return &room{options: options, clients: map[netip.Prefix]map[*conn]struct{}{}}
}

// enter counts a connection, and returns the one that must be closed for it.
func (r *room) enter(c *conn) (evicted *conn, _ outcome) {
	client, limited := r.clientOf(c.RemoteAddr())
	r.mutex.Lock()
	defer r.mutex.Unlock()
	result := entered
	if limited && len(r.clients[client]) >= r.options.MostPerClient {
		if evicted = longestWaiting(r.clients[client]); evicted == nil {
			return nil, clientNoRoom
		}
		r.removeLocked(evicted)
		result = clientMadeRoom
	}
	if r.options.Most > 0 && r.order.Len() >= r.options.Most {
		if evicted = r.firstWaitingLocked(); evicted == nil {
			return nil, noRoom
		}
		r.removeLocked(evicted)
		result = madeRoom
	}

	c.waitingSince.Store(time.Now().UnixNano())
	c.place = r.order.PushBack(c)
	if limited {
		c.client = client
		if r.clients[client] == nil {
			r.clients[client] = map[*conn]struct{}{}
		}
		r.clients[client][c] = struct{}{}
	}
	return evicted, result
}

// queueUp puts a connection behind all others that wait for a request.
func (r *room) queueUp(c *conn) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if c.place != nil {
		r.order.MoveToBack(c.place)
		c.waitingSince.Store(time.Now().UnixNano())
	}
}

func (r *room) leave(c *conn) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.removeLocked(c)
}

func (r *room) open() int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.order.Len()
}

func (r *room) removeLocked(c *conn) {
	if c.place == nil {
		return
	}
	r.order.Remove(c.place)
	c.place = nil
	if mine := r.clients[c.client]; mine != nil {
		delete(mine, c)
		if len(mine) == 0 {
			delete(r.clients, c.client)
		}
	}
}

// firstWaitingLocked passes over the connections that are busy.
func (r *room) firstWaitingLocked() *conn {
	for place := r.order.Front(); place != nil; place = place.Next() {
		if c := place.Value.(*conn); c.waitingSince.Load() != 0 {
			return c
		}
	}
	return nil
}

func longestWaiting(connections map[*conn]struct{}) (first *conn) {
	var least int64
	for c := range connections {
		if since := c.waitingSince.Load(); since != 0 && (first == nil || since < least) {
			first, least = c, since
		}
	}
	return first
}

// clientOf returns the network that counts as one client. A proxy is not limited.
func (r *room) clientOf(peer net.Addr) (_ netip.Prefix, limited bool) {
	tcp, ok := peer.(*net.TCPAddr)
	if !ok || r.options.MostPerClient <= 0 {
		return netip.Prefix{}, false
	}
	address := tcp.AddrPort().Addr().Unmap().WithZone("")
	for _, proxies := range r.options.Proxies {
		if proxies.Contains(address) {
			return netip.Prefix{}, false
		}
	}
	bits := address.BitLen()
	if address.Is6() && r.options.IPv6Prefix > 0 {
		bits = min(bits, r.options.IPv6Prefix)
	}
	client, err := address.Prefix(bits)
	return client, err == nil
}

// notice logs, at most once a minute, that a limit has closed connections.
func (r *room) notice(log *slog.Logger, last outcome) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.unreported++
	if time.Since(r.noticed) < time.Minute {
		return
	}
	limit, most := "MAX_CONNECTIONS", r.options.Most
	if last == clientMadeRoom || last == clientNoRoom {
		limit, most = "MAX_CONNECTIONS_PER_CLIENT", r.options.MostPerClient
	}
	log.Warn("Connections are closed, because too many are open", "limit", limit, "most", most,
		"open", r.order.Len(), "closed", r.unreported, "last", last.String())
	r.noticed, r.unreported = time.Now(), 0
}
