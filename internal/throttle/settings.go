package throttle

import (
	"net/netip"
	"time"
)

// Settings are what the operator decides about the limits of an application.
type Settings struct {
	Safelist, Blocklist []netip.Prefix
	Countries           *Countries // nil: no country is refused

	Requests      int // of one client in RequestPeriod; 0: any number
	RequestPeriod time.Duration

	Logins      int // of one client, and into one account, in LoginPeriod; 0: any number
	LoginPeriod time.Duration

	FailedLogins Ban
}
