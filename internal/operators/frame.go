package operators

import (
	"time"
)

// Frame is what all pages of operators share.
type Frame struct {
	Title    string
	Section  string // of the navigation; empty: none
	Area     Area
	Areas    []Area // those that this process serves
	Operator string
	MayAct   bool
	Host     string // of BASE_URL
	Version  string
	Now      time.Time
	Said     string   // what an action that just ended did
	Down     []string // what this page could not read, and why

	Stylesheet, Script Resource
	Icon               string
}

// Resource is a file that a page loads.
type Resource struct{ Path, Integrity string }

// Area is a set of pages with a navigation of its own.
type Area struct {
	Name, Path string
	Sections   []Section

	// RefreshEvery is the interval of the live refresh, in whole seconds. Default: 3 s.
	RefreshEvery time.Duration

	// Said are the sentences after an action, by their name in the address. An address can
	// say nothing else.
	Said map[string]string

	// Refusal is the response to an error that an operator can mend. Other errors are
	// returned.
	Refusal func(error) (refusal Refusal, known bool)
}

// Section is an entry of the navigation. The key opens it, after g.
type Section struct{ Name, Path, Key string }
