package main

// redisFault is one way in which Redis fails a running store.
type redisFault struct {
	begin func(*faultyRedis) (end func())

	// away is the class of the failure after which Redis is not called any more,
	// or several as a|b. Empty: it is called on, because it answers, if only some.
	away string

	// health is the reason in /health why Redis is degraded. Empty: all is well.
	health string

	// told is the class that Sentry hears of. Empty: a planned thing, or a short
	// one, pages nobody.
	told string

	// brief: over before anybody can look, so calls may come to be refused or
	// may not.
	brief bool

	live     bool // events still come, if late
	durable  bool // Redis has its data on disk
	nameless bool // the store has a name of Redis that nobody can look up
	spoilt   bool // keys are to be of the right type again in the end
}
