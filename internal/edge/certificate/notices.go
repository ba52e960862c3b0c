package certificate

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// notices logs what happens to the certificates, once for each change of a domain:
// clients repeat failed connections, and each would cause the same line.
type notices struct {
	log   *slog.Logger
	mutex sync.Mutex
	last  map[string]notice // by domain
}

// notice is the last outcome of a domain, and what was logged of it.
type notice struct {
	outcome
	logged condition
}

// condition is the state of a domain's certificate.
type condition int

const (
	unknown condition = iota
	valid
	overdue // valid, and half of the time for its renewal has passed
	missing
)

func newNotices(log *slog.Logger) *notices {
	return &notices{log: log, last: map[string]notice{}}
}

// outcome is the answer to a request for the certificate of a domain.
type outcome struct {
	certificate *tls.Certificate
	err         error  // nil: there is a certificate
	reason      string // why the certificate authority refused the domain lately; may be empty
}

// note logs an outcome unless the last one of the domain was the same.
func (n *notices) note(domain string, o outcome, now time.Time) {
	current := o.condition(now)
	n.mutex.Lock()
	before := n.last[domain].logged
	n.last[domain] = notice{o, current}
	n.mutex.Unlock()
	if current == before {
		return
	}

	log := n.log.With("domain", domain)
	switch current {
	case missing:
		log.Error("There is no certificate, so HTTPS fails for this domain; it is requested again at most once a minute",
			"error", o.err, "reason", o.reason)
	case overdue:
		log.Error("The certificate is not renewed, and HTTPS fails when it expires; attempts continue",
			"expires", o.certificate.Leaf.NotAfter, "reason", o.reason)
	case valid:
		log.Info("The certificate is in use", "expires", o.certificate.Leaf.NotAfter)
	}
}

// problems says which domains lack a certificate that is good for long enough, as far as
// their last clients saw.
func (n *notices) problems(now time.Time) error {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	var all []error
	for _, domain := range slices.Sorted(maps.Keys(n.last)) {
		last := n.last[domain]
		switch last.condition(now) {
		case missing:
			all = append(all, fmt.Errorf("%s has no certificate, so HTTPS fails for it: %s", domain, cmp.Or(last.reason, fmt.Sprint(last.err))))
		case overdue:
			expires := last.certificate.Leaf.NotAfter.UTC().Format(time.RFC3339)
			all = append(all, fmt.Errorf("the certificate of %s is not renewed and expires at %s: %s", domain, expires,
				cmp.Or(last.reason, "the certificate authority does not say why")))
		case valid, unknown:
		}
	}
	return errors.Join(all...)
}

// Private

func (o outcome) condition(now time.Time) condition {
	if o.err != nil {
		return missing
	}
	// autocert begins to renew in the last third of the lifetime, at most 30 days.
	leaf := o.certificate.Leaf
	renewal := min(leaf.NotAfter.Sub(leaf.NotBefore)/3, 30*24*time.Hour)
	if now.After(leaf.NotAfter.Add(-renewal / 2)) {
		return overdue
	}
	return valid
}
