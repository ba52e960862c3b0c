package ops

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/postgres"
)

// Pulse is what the application did in a range of time. Lists have the most costly
// entries first.
type Pulse struct {
	Range Range     `json:"range"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`

	Points     []Point      `json:"points"` // one for each step, the oldest first
	Requests   Calls        `json:"requests"`
	Routes     []Calls      `json:"routes"`
	Statements []Calls      `json:"statements"`
	Redis      []Calls      `json:"redis"`
	RedisCalls []Count      `json:"redis_results"`
	Outgoing   []Calls      `json:"outgoing"`
	Work       []WorkCounts `json:"work"`
	Edge       []Count      `json:"edge"` // what the HTTP cache did
	Caches     []CacheUse   `json:"caches"`
	Limits     []LimitUse   `json:"limits"`
	Bans       int          `json:"bans"`    // most in force at once
	Clients    []Count      `json:"clients"` // by the hash of their address, which changes daily
	Checks     []Uptime     `json:"checks"`
	Breakers   []Uptime     `json:"breakers"`
	Processes  []Process    `json:"processes"` // seen in the range, the newest first
}

// Point is the requests of one step.
type Point struct {
	At     time.Time `json:"at"`
	Count  int       `json:"count"`
	Failed int       `json:"failed"`      // status 5xx
	P50    float64   `json:"p50_seconds"` // estimated
	P95    float64   `json:"p95_seconds"`
}

// Calls are the calls of one subject: a route, a statement, a caller of Redis, a service.
type Calls struct {
	Name    string  `json:"name"`
	Count   int     `json:"count"`
	Failed  int     `json:"failed"`
	Seconds float64 `json:"seconds"` // of all together
	Mean    float64 `json:"mean_seconds"`
	P50     float64 `json:"p50_seconds"` // estimated; 0: not known, as for statements
	P95     float64 `json:"p95_seconds"`
	Most    float64 `json:"longest_seconds"` // 0: not known
}

// Count is a number of a name.
type Count struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// WorkCounts are the runs of one kind of job or task.
type WorkCounts struct {
	Backend string `json:"backend"`
	Kind    string `json:"kind"`
	Runs    int    `json:"runs"`
	Failed  int    `json:"failed"`
}

// CacheUse is the use of a cache of values.
type CacheUse struct {
	Name   string `json:"name"`
	Found  int    `json:"found"`
	Missed int    `json:"missed"`
}

// LimitUse are the decisions of one rule.
type LimitUse struct {
	Rule    string `json:"rule"`
	Allowed int    `json:"allowed"`
	Refused int    `json:"refused"`
}

// Uptime is how often a check went well, or a breaker was closed.
type Uptime struct {
	Name    string    `json:"name"`
	Samples int       `json:"samples"`
	Bad     int       `json:"bad"`
	Points  []float64 `json:"points"` // the good part of each step, from 0 to 1; -1: no sample
}

// Process is a running or recent process.
type Process struct {
	Name    string    `json:"name"`
	Role    string    `json:"role"`
	Host    string    `json:"host"`
	Version string    `json:"version"`
	Started time.Time `json:"started_at"`
	Seen    time.Time `json:"seen_at"`
	Running bool      `json:"running"` // it was seen within a minute
}

// Pulse returns the pulse of a range. It reads one row for each process and step.
func (r *Reader) Pulse(ctx context.Context, of Range) (Pulse, error) {
	of = RangeOf(string(of))
	pulse := Pulse{Range: of}
	now, err := postgres.Now(ctx, r.db)
	if err != nil {
		return pulse, err
	}
	pulse.To = now.UTC()
	pulse.From = pulse.To.Add(-of.Length()).Truncate(of.Step())
	steps, err := r.steps(ctx, of, pulse.From, pulse.To)
	if err != nil {
		return pulse, err
	}
	all := newSample()
	for _, one := range steps {
		all.add(one)
	}
	pulse.points(steps)
	pulse.fill(all)
	pulse.Checks, pulse.Breakers = pulse.uptimes(steps, all, checkCard), pulse.uptimes(steps, all, breakerCard)
	if pulse.Processes, err = r.processes(ctx, pulse.From); err != nil {
		return pulse, err
	}
	return pulse, nil
}

// Private

const (
	// mostShown bounds the entries of a list.
	mostShown = 15
	// runningFor is how long after its last write a process counts as running.
	runningFor = time.Minute
)

// steps returns the samples of all processes by the start of their step.
func (r *Reader) steps(ctx context.Context, of Range, from, to time.Time) (map[time.Time]sample, error) {
	rows, err := r.db.Query(ctx, `
		SELECT at, figures
		FROM ops_figures
		WHERE step = $1 AND at >= $2 AND at <= $3
		ORDER BY at DESC`, ranges[of].minutes, from, to)
	if err != nil {
		return nil, fmt.Errorf("read the pulse: %w", err)
	}
	steps := map[time.Time]sample{}
	var at time.Time
	var one sample
	_, err = pgx.ForEachRow(rows, []any{&at, &one}, func() error {
		into, known := steps[at.UTC()]
		if !known {
			into = newSample()
			steps[at.UTC()] = into
		}
		into.add(one)
		one = sample{}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the pulse: %w", err)
	}
	return steps, nil
}

func (p *Pulse) points(steps map[time.Time]sample) {
	for at := p.From; at.Before(p.To); at = at.Add(p.Range.Step()) {
		point, one := Point{At: at}, steps[at]
		var all figure
		for of, requests := range one.Figures {
			if of.card() == requestCard {
				all = all.plus(requests)
				point.Failed += failedRequests(of.parts(), requests)
			}
		}
		point.Count = int(all.Count)
		point.P50, point.P95 = all.quantile(.5, one.Bounds[requestCard]), all.quantile(.95, one.Bounds[requestCard])
		p.Points = append(p.Points, point)
	}
}

func failedRequests(names []string, requests figure) int {
	if status := names[len(names)-1]; status != "" && status[0] == '5' {
		return int(requests.Count)
	}
	return 0
}

// fill adds up what the lists show.
func (p *Pulse) fill(all sample) {
	routes, statements, redis, outgoing := tallies{}, tallies{}, tallies{}, tallies{}
	work, caches, limits := map[[2]string]*WorkCounts{}, map[string]*CacheUse{}, map[string]*LimitUse{}
	redisCalls, edge, clients := map[string]int{}, map[string]int{}, map[string]int{}
	var requests figure
	for of, one := range all.Figures {
		names := of.parts()
		count := int(one.Count)
		switch of.card() {
		case requestCard:
			one.Failed = float64(failedRequests(names, one))
			requests = requests.plus(one)
			routes.add(strings.Join(names[:len(names)-1], " "), one)
		case statementCard:
			statements.add(names[0], one)
		case redisCard:
			redis.add(names[len(names)-1], one)
		case outgoingCard:
			if names[len(names)-1] != "ok" {
				one.Failed = one.Count
			}
			outgoing.add(names[0], one)
		case redisCallsCard:
			redisCalls[names[len(names)-1]] += count
		case edgeCard:
			edge[names[0]] += count
		case clientCard:
			clients[names[0]] += count
		case workCard:
			if len(names) == 3 {
				addWork(work, names, count)
			}
		case cacheCard:
			if len(names) == 2 {
				addCache(caches, names, count)
			}
		case limitCard:
			if len(names) == 2 {
				addLimit(limits, names, count)
			}
		case banCard:
			p.Bans = max(p.Bans, int(one.Most))
		}
	}
	p.Requests = requests.calls("all", all.Bounds[requestCard])
	p.Routes, p.Statements = routes.calls(all.Bounds[requestCard]), statements.calls(nil)
	p.Redis, p.Outgoing = redis.calls(all.Bounds[redisCard]), outgoing.calls(all.Bounds[outgoingCard])
	p.RedisCalls, p.Edge, p.Clients = counts(redisCalls), counts(edge), counts(clients)
	p.Work = ordered(work, func(one WorkCounts) int { return one.Runs })
	p.Caches = ordered(caches, func(one CacheUse) int { return one.Found + one.Missed })
	p.Limits = ordered(limits, func(one LimitUse) int { return one.Allowed + one.Refused })
}

func addWork(work map[[2]string]*WorkCounts, names []string, count int) {
	key := [2]string{names[0], names[1]}
	if work[key] == nil {
		work[key] = &WorkCounts{Backend: names[0], Kind: names[1]}
	}
	work[key].Runs += count
	if names[2] == "failed" {
		work[key].Failed += count
	}
}

func addCache(caches map[string]*CacheUse, names []string, count int) {
	if caches[names[0]] == nil {
		caches[names[0]] = &CacheUse{Name: names[0]}
	}
	switch names[1] {
	case "local", "hit", "shared", "absent":
		caches[names[0]].Found += count
	default:
		caches[names[0]].Missed += count
	}
}

func addLimit(limits map[string]*LimitUse, names []string, count int) {
	if limits[names[0]] == nil {
		limits[names[0]] = &LimitUse{Rule: names[0]}
	}
	switch names[1] {
	case "throttled", "banned", "blocked":
		limits[names[0]].Refused += count
	default: // passed, safelisted or tracked
		limits[names[0]].Allowed += count
	}
}

// tallies are figures by name.
type tallies map[string]figure

func (t tallies) add(name string, one figure) { t[name] = t[name].plus(one) }

func (t tallies) calls(bounds []float64) []Calls {
	calls := make([]Calls, 0, len(t))
	for name, one := range t {
		calls = append(calls, one.calls(name, bounds))
	}
	slices.SortFunc(calls, func(a, b Calls) int { return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(a.Name, b.Name)) })
	return calls[:min(len(calls), 2*mostShown)]
}

func (f figure) calls(name string, bounds []float64) Calls {
	return Calls{
		Name: name, Count: int(f.Count), Failed: int(f.Failed), Seconds: f.Sum, Mean: f.mean(),
		P50: f.quantile(.5, bounds), P95: f.quantile(.95, bounds), Most: f.Most,
	}
}

func counts(by map[string]int) []Count {
	list := make([]Count, 0, len(by))
	for name, count := range by {
		list = append(list, Count{name, count})
	}
	slices.SortFunc(list, func(a, b Count) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name)) })
	return list[:min(len(list), mostShown)]
}

func ordered[K comparable, T any](by map[K]*T, size func(T) int) []T {
	list := make([]T, 0, len(by))
	for _, one := range by {
		list = append(list, *one)
	}
	slices.SortFunc(list, func(a, b T) int {
		return cmp.Or(cmp.Compare(size(b), size(a)), cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	})
	return list[:min(len(list), mostShown)]
}

// uptimes are the checks or the breakers. A check is good when its gauge is 1, a
// breaker when its gauge is 0.
func (p *Pulse) uptimes(steps map[time.Time]sample, all sample, of card) []Uptime {
	list := []Uptime{}
	for key, one := range all.Figures {
		if key.card() != of {
			continue
		}
		uptime := Uptime{Name: strings.Join(key.parts(), " "), Samples: int(one.Count), Bad: bad(of, one)}
		for at := p.From; at.Before(p.To); at = at.Add(p.Range.Step()) {
			point, good := steps[at].Figures[key], -1.0
			if point.Count > 0 {
				good = 1 - float64(bad(of, point))/point.Count
			}
			uptime.Points = append(uptime.Points, good)
		}
		list = append(list, uptime)
	}
	slices.SortFunc(list, func(a, b Uptime) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func bad(of card, one figure) int {
	if of == breakerCard {
		return int(one.Count - one.Failed)
	}
	return int(one.Failed)
}

func (r *Reader) processes(ctx context.Context, from time.Time) ([]Process, error) {
	rows, err := r.db.Query(ctx, `
		SELECT process, role, host, version, started_at, seen_at, seen_at > clock_timestamp() - $2::interval AS running
		FROM ops_processes
		WHERE seen_at >= $1
		ORDER BY running DESC, role, started_at DESC
		LIMIT 50`, from, runningFor)
	if err != nil {
		return nil, fmt.Errorf("read the processes: %w", err)
	}
	processes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Process])
	if err != nil {
		return nil, fmt.Errorf("read the processes: %w", err)
	}
	return processes, nil
}
