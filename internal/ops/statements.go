package ops

import (
	"strings"
	"sync"
	"time"
)

// Statement adds the execution of a statement to the pulse. It is a postgres.Observe
// and takes less than a microsecond.
func (r *Recorder) Statement(sql string, took time.Duration, err error) {
	r.statements.add(sql, took, err != nil)
}

// Client adds a request of a client to the pulse. Only the hash of client is stored.
func (r *Recorder) Client(client string) { r.clients.add(client) }

// Private

const (
	// mostStatements bounds the statements between two writes. Programs build few
	// texts; what goes beyond is one entry.
	mostStatements = 1000
	// mostClients bounds the clients between two writes. A flood of addresses is one
	// entry beyond it.
	mostClients = 10_000
	// longestStatement bounds the stored text of a statement, in bytes.
	longestStatement = 400

	others = "others"
)

// statements are the executions since the last write.
type statements struct {
	mutex sync.Mutex
	by    map[string]*figure
}

func newStatements() *statements { return &statements{by: map[string]*figure{}} }

func (s *statements) add(sql string, took time.Duration, failed bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	one := s.by[sql]
	if one == nil {
		if len(s.by) >= mostStatements {
			sql = others
			one = s.by[sql]
		}
		if one == nil {
			one = &figure{}
			s.by[sql] = one
		}
	}
	one.Count++
	one.Sum += took.Seconds()
	one.Most = max(one.Most, took.Seconds())
	if failed {
		one.Failed++
	}
}

// take returns what was collected under the shortened texts, and forgets it.
func (s *statements) take() map[string]figure {
	s.mutex.Lock()
	taken := s.by
	s.by = make(map[string]*figure, len(taken))
	s.mutex.Unlock()

	figures := make(map[string]figure, len(taken))
	for sql, one := range taken {
		name := shortStatement(sql)
		figures[name] = figures[name].plus(*one)
	}
	return figures
}

// shortStatement is a statement on one line. Values are not in it: they are parameters.
func shortStatement(sql string) string {
	text := strings.Join(strings.Fields(sql), " ")
	if len(text) > longestStatement {
		text = strings.ToValidUTF8(text[:longestStatement], "") + "…"
	}
	return text
}

// clients are the requests by client since the last write.
type clients struct {
	mutex sync.Mutex
	by    map[string]float64
}

func newClients() *clients { return &clients{by: map[string]float64{}} }

func (c *clients) add(client string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if _, known := c.by[client]; !known && len(c.by) >= mostClients {
		client = others
	}
	c.by[client]++
}

// take returns what was collected by the hash of the client, and forgets it.
func (c *clients) take(secret string, now time.Time) map[string]figure {
	c.mutex.Lock()
	taken := c.by
	c.by = make(map[string]float64, len(taken))
	c.mutex.Unlock()

	figures := make(map[string]figure, len(taken))
	for client, count := range taken {
		name := client
		if client != others {
			name = hashOf(secret, client, now)
		}
		figures[name] = figures[name].plus(figure{Count: count})
	}
	return figures
}
