package main

import "github.com/stretchr/testify/require"

// postgresFault is one way in which PostgreSQL fails a web process.
type postgresFault struct {
	name  string
	begin func(*faultyPostgres) (end func())

	page   string // a public page that was seen before is fresh or stale
	read   int    // status of a page that is not cached
	write  int    // status of a form that writes
	health string // status in /health, with a check and its reason; no check when all is well
	check  string
	reason string
}

// postgresFaults are all faults of PostgreSQL that the program survives. A test
// lives through them in this order: the last one is remembered for 30 seconds.
func postgresFaults() []postgresFault {
	down := func(f *faultyPostgres) (end func()) {
		return func() { require.NoError(f.t, f.postgres.Restart(f.t.Context())) }
	}
	return []postgresFault{
		{name: "shut down (fast)",
			begin: func(f *faultyPostgres) func() { f.shutDown(); return down(f) },
			page:  "stale", read: 503, write: 503, health: "error", check: "database", reason: "refused",
		},
		{name: "crashed",
			begin: func(f *faultyPostgres) func() { require.NoError(f.t, f.postgres.Kill()); return down(f) },
			page:  "stale", read: 503, write: 503, health: "error", check: "database", reason: "refused",
		},
		{name: "restarted, unnoticed by an idle pool",
			begin: func(f *faultyPostgres) func() {
				require.NoError(f.t, f.postgres.Restart(f.t.Context()))
				return func() {}
			},
			page: "fresh", read: 200, write: 200, health: "ok",
		},
		{name: "every connection terminated",
			begin: func(f *faultyPostgres) func() { f.terminate(); return func() {} },
			page:  "fresh", read: 200, write: 200, health: "ok",
		},
		{name: "frozen",
			begin: func(f *faultyPostgres) func() {
				require.NoError(f.t, f.postgres.Freeze())
				return func() { require.NoError(f.t, f.postgres.Thaw()) }
			},
			page: "stale", read: 503, write: 503, health: "error", check: "database", reason: "timeout",
		},
		{name: "read-only",
			begin: func(f *faultyPostgres) func() {
				f.configure(`ALTER SYSTEM SET default_transaction_read_only = on`)
				return func() {
					f.configure(`SET default_transaction_read_only = off`, `ALTER SYSTEM RESET default_transaction_read_only`)
				}
			},
			page: "fresh", read: 200, write: 503, health: "error", check: "database", reason: "read_only",
		},
		{name: "too many connections",
			begin: func(f *faultyPostgres) func() {
				f.admin(`ALTER ROLE visitor CONNECTION LIMIT 0`)
				f.terminate()
				return func() { f.admin(`ALTER ROLE visitor CONNECTION LIMIT -1`) }
			},
			page: "stale", read: 503, write: 503, health: "error", check: "database", reason: "lower DATABASE_POOL_SIZE",
		},
		{name: "password changed",
			begin: func(f *faultyPostgres) func() {
				f.admin(`ALTER ROLE visitor PASSWORD 'another'`)
				f.terminate()
				return func() { f.admin(`ALTER ROLE visitor PASSWORD 'visitor'`) }
			},
			page: "stale", read: 503, write: 503, health: "error", check: "database", reason: "does not accept the password in DATABASE_URL",
		},
		{name: "login forbidden",
			begin: func(f *faultyPostgres) func() {
				f.admin(`ALTER ROLE visitor NOLOGIN`)
				f.terminate()
				return func() { f.admin(`ALTER ROLE visitor LOGIN`) }
			},
			page: "stale", read: 503, write: 503, health: "error", check: "database", reason: "ALTER ROLE … LOGIN",
		},
		{name: "pool exhausted",
			begin: func(f *faultyPostgres) func() { return f.lock(f.readTables...) },
			page:  "stale", read: 503, write: 503, health: "degraded", check: "pool", reason: "in use",
		},
		{name: "one slow statement",
			begin: func(f *faultyPostgres) func() { return f.lock(f.writtenTable) },
			page:  "fresh", read: 200, write: 503, health: "ok",
		},
		{name: "synchronous standby lost",
			begin: func(f *faultyPostgres) func() {
				f.configure(`ALTER SYSTEM SET synchronous_standby_names = 'nobody'`)
				f.web.eventually(func() bool { return f.web.health().Checks["writes"].Status == "error" }, "finds that commits hang")
				return func() { f.configure(`ALTER SYSTEM RESET synchronous_standby_names`) }
			},
			page: "fresh", read: 200, write: 503, health: "error", check: "writes", reason: "synchronous_standby_names",
		},
		{name: "disk full",
			// Raised by a trigger: the server's own code for it, over its own wire.
			begin: func(f *faultyPostgres) func() {
				f.admin(`CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS
					$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$`,
					`CREATE TRIGGER disk_full BEFORE INSERT ON `+f.writtenTable+` EXECUTE FUNCTION disk_full()`)
				return func() { f.admin(`DROP FUNCTION disk_full CASCADE`) }
			},
			page: "fresh", read: 200, write: 503, health: "error", check: "database", reason: "disk_full",
		},
	}
}
