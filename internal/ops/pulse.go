package ops

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Private

// card is a group of figures on the page of the pulse.
type card string

const (
	requestCard    card = "request"     // method, route, class of status
	statementCard  card = "statement"   // text
	redisCard      card = "redis"       // Redis, caller
	redisCallsCard card = "redis_calls" // Redis, result
	outgoingCard   card = "outgoing"    // service, result
	workCard       card = "work"        // backend, kind, result
	edgeCard       card = "edge"        // result of the HTTP cache
	cacheCard      card = "cache"       // cache, result
	limitCard      card = "limit"       // rule, result
	banCard        card = "ban"
	clientCard     card = "client" // hash
	checkCard      card = "check"  // check of /health
	breakerCard    card = "breaker"
)

// source is a metric that a card shows.
type source struct {
	card   card
	metric string
	labels []string // in the order of the names of the figure
}

// sources are the metrics that the pulse is made of. So a request costs nothing more
// for it than what /metrics costs already.
var sources = []source{
	{requestCard, "app_http_request_duration_seconds", []string{"method", "route", "status"}},
	{redisCard, "app_redis_call_seconds", []string{"redis", "source"}},
	{redisCallsCard, "app_redis_calls_total", []string{"redis", "result"}},
	{outgoingCard, "app_outgoing_call_seconds", []string{"service", "result"}},
	{workCard, "app_jobs_processed_total", []string{"backend", "kind", "result"}},
	{edgeCard, "app_edge_requests_total", []string{"result"}},
	{cacheCard, "app_cache_requests_total", []string{"cache", "result"}},
	{limitCard, "app_throttle_decisions_total", []string{"rule", "result"}},
	{banCard, "app_throttle_bans", nil},
	{checkCard, "app_backend_up", []string{"check"}},
	{breakerCard, "app_redis_breaker_state", []string{"redis"}},
}

// mostOfCard bounds the stored figures of one card in one step. The rest is summed up.
var mostOfCard = map[card]int{statementCard: 60, clientCard: 20}

const (
	// usualMost is mostOfCard of every other card.
	usualMost = 300
	// liveMost bounds the figures of one card of a step that has not ended: a flood of
	// clients must not fill the memory.
	liveMost = 1000
	// clockSetBack is how far the clock of the database may be set back, such as by a
	// failover, without a new beginning: until it is where it was, the present steps go on.
	clockSetBack = time.Hour
)

// name is a figure's card and the names within it.
type name string

// A tab is in no label, and in no text that is stored.
const separator = "\t"

func nameOf(of card, parts ...string) name {
	return name(string(of) + separator + strings.Join(parts, separator))
}

func (n name) card() card {
	of, _, _ := strings.Cut(string(n), separator)
	return card(of)
}

func (n name) parts() []string { return strings.Split(string(n), separator)[1:] }

// sample is what was counted at one time or grew in one time.
type sample struct {
	Bounds  map[card][]float64 `json:"bounds,omitempty"` // of the histograms, in seconds
	Figures map[name]figure    `json:"figures"`
}

func newSample() sample { return sample{Bounds: map[card][]float64{}, Figures: map[name]figure{}} }

// add adds another sample. Buckets with other bounds, such as those of another build,
// are left out: counts by two sets of bounds cannot be added.
func (s sample) add(other sample) {
	differ := map[card]bool{}
	for of, bounds := range other.Bounds {
		if known, has := s.Bounds[of]; has && !slices.Equal(known, bounds) {
			differ[of] = true
		} else {
			s.Bounds[of] = bounds
		}
	}
	for of, one := range other.Figures {
		if differ[of.card()] {
			one.Buckets = nil
		}
		s.Figures[of] = s.Figures[of].plus(one)
	}
}

// bounded is a sample as it is stored.
func (s sample) bounded() sample {
	stored := s.folded(func(of card) int { return cmp.Or(mostOfCard[of], usualMost) })
	for of, one := range stored.Figures {
		stored.Figures[of] = one.rounded()
	}
	return stored
}

// folded is a sample with a bounded number of figures of each card: what costs the
// least is summed up.
func (s sample) folded(mostOf func(card) int) sample {
	by := map[card][]name{}
	for of := range s.Figures {
		by[of.card()] = append(by[of.card()], of)
	}
	stored := sample{Bounds: s.Bounds, Figures: make(map[name]figure, len(s.Figures))}
	for of, names := range by {
		most := mostOf(of)
		if len(names) > most {
			slices.SortFunc(names, func(a, b name) int { return cmp.Compare(s.weight(b), s.weight(a)) })
		}
		for i, one := range names {
			into := one
			if i >= most {
				into = nameOf(of, others)
			}
			stored.Figures[into] = stored.Figures[into].plus(s.Figures[one])
		}
	}
	return stored
}

// weight is what a figure is worth to an operator: its time, or its number.
func (s sample) weight(of name) float64 {
	one := s.Figures[of]
	return one.Sum + one.Count/1e6
}

// pulse adds up samples of counters to steps of time. It is for one goroutine.
type pulse struct {
	counted map[name]figure // the last values of the counters
	steps   map[int]*step   // by minutes
	written time.Time       // the minute in which all steps were last written
}

// step is what grew in the present step of a length.
type step struct {
	at     time.Time // its start, by the clock of the database; zero: nothing yet
	sample sample
}

// stepMinutes are the lengths of steps, and how long each is kept.
var stepMinutes = []struct {
	minutes int
	kept    time.Duration
}{{1, 2 * time.Hour}, {10, 26 * time.Hour}, {60, Kept + time.Hour}}

func newPulse() *pulse {
	p := &pulse{counted: map[name]figure{}, steps: map[int]*step{}}
	for _, length := range stepMinutes {
		p.steps[length.minutes] = &step{}
	}
	return p
}

// grown returns what the metrics grew by since the last call.
func (p *pulse) grown(families []*dto.MetricFamily) sample {
	by := make(map[string]*dto.MetricFamily, len(families))
	for _, family := range families {
		by[family.GetName()] = family
	}
	counted, grown := map[name]figure{}, newSample()
	for _, from := range sources {
		for _, metric := range by[from.metric].GetMetric() {
			of := nameOf(from.card, labelsOf(metric, from.labels)...)
			value, bounds, gauge := valueOf(metric)
			if bounds != nil {
				grown.Bounds[from.card] = bounds
			}
			if gauge {
				grown.Figures[of] = grown.Figures[of].plus(value)
			} else {
				counted[of] = counted[of].plus(value) // a card may leave out a label
			}
		}
	}
	for of, value := range counted {
		if more := value.minus(p.counted[of]); more.Count > 0 {
			grown.Figures[of] = more
		}
	}
	p.counted = counted
	return grown
}

func labelsOf(metric *dto.Metric, names []string) []string {
	labels := make([]string, len(names))
	for _, pair := range metric.GetLabel() {
		if i := slices.Index(names, pair.GetName()); i >= 0 {
			labels[i] = strings.ReplaceAll(pair.GetValue(), separator, " ")
		}
	}
	return labels
}

// valueOf reads a metric: the bounds are those of a histogram.
func valueOf(metric *dto.Metric) (value figure, bounds []float64, gauge bool) {
	switch {
	case metric.GetHistogram() != nil:
		histogram := metric.GetHistogram()
		value = figure{Count: float64(histogram.GetSampleCount()), Sum: histogram.GetSampleSum()}
		below := uint64(0)
		for _, bucket := range histogram.GetBucket() {
			if !math.IsInf(bucket.GetUpperBound(), 1) {
				bounds = append(bounds, bucket.GetUpperBound())
				value.Buckets = append(value.Buckets, float64(bucket.GetCumulativeCount()-below))
				below = bucket.GetCumulativeCount()
			}
		}
		value.Buckets = append(value.Buckets, float64(histogram.GetSampleCount()-below))
		return value, bounds, false
	case metric.GetCounter() != nil:
		return figure{Count: metric.GetCounter().GetValue()}, nil, false
	}
	value = figure{Count: 1, Sum: metric.GetGauge().GetValue(), Most: metric.GetGauge().GetValue()}
	if value.Sum == 0 {
		value.Failed = 1
	}
	return value, nil, true
}

// add adds a sample to the present steps. Those that ended are returned, to be written
// for the last time. A step that ended is never begun again, because its row would
// replace the complete one.
func (p *pulse) add(now time.Time, grown sample) (ended []storedStep) {
	for _, length := range stepMinutes {
		current, at := p.steps[length.minutes], now.Truncate(time.Duration(length.minutes)*time.Minute)
		setBack := at.Before(current.at) && current.at.Sub(now) < clockSetBack
		if !current.at.Equal(at) && !setBack {
			if !current.at.IsZero() {
				ended = append(ended, storedStep{length.minutes, current.at, current.sample.bounded()})
			}
			*current = step{at: at, sample: newSample()}
		}
		current.sample.add(grown)
		if len(current.sample.Figures) > liveMost {
			current.sample = current.sample.folded(func(card) int { return liveMost })
		}
	}
	return ended
}

// storedStep is a row of ops_figures.
type storedStep struct {
	minutes int
	at      time.Time
	sample  sample
}

// due returns the present steps that are to be written: the shortest one always, and
// the longer ones once in a minute, because each write makes a new version of the row.
func (p *pulse) due(now time.Time) (steps []storedStep) {
	minute := now.Truncate(time.Minute)
	for i, length := range stepMinutes {
		if i == 0 || p.written != minute {
			current := p.steps[length.minutes]
			steps = append(steps, storedStep{length.minutes, current.at, current.sample.bounded()})
		}
	}
	p.written = minute
	return steps
}

// gather reads the metrics. What a collector cannot read is missing.
func gather(registry *prometheus.Registry) []*dto.MetricFamily {
	families, _ := registry.Gather()
	return families
}
