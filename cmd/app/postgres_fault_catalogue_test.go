package main

// postgresFault is one way in which PostgreSQL fails a running store.
type postgresFault struct {
	begin func(*faultyStore) (end func())

	page   string // what a page shows that was seen before: fresh, or stale
	search int    // status of a page that is not kept
	cart   int    // status of GET /cart
	buy    int    // status of POST /orders
	health string // status of /health, check and reason; no check when all is well
	check  string
	reason string
}
