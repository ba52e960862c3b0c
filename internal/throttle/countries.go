package throttle

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Countries refuses clients by the country of their address, as a database in
// MaxMind's format gives it. Without a usable database it refuses nobody. An
// address of no known country passes too, private networks among them.
type Countries struct {
	file             string
	blocked, allowed []string // ISO 3166-1 codes, such as "DE"; allowed empty: all
	log              *slog.Logger

	database atomic.Pointer[maxminddb.Reader]
	seen     fileState // of the last attempt to read it; only Refresh uses it
	problem  error     // of that attempt
	warned   bool
}

// NewCountries refuses clients from blocked countries and, unless allowed is
// empty, from all others than those. The file is read by Refresh.
func NewCountries(file string, blocked, allowed []string, log *slog.Logger) *Countries {
	return &Countries{file: file, blocked: blocked, allowed: allowed, log: log}
}

// Refuses tells whether a client comes from a country that is refused.
func (c *Countries) Refuses(r *Request) bool {
	country := c.country(r.Client)
	if country == "" {
		return false
	}
	return slices.Contains(c.blocked, country) || len(c.allowed) > 0 && !slices.Contains(c.allowed, country)
}

// Refresh reads the database when the file is new or has been replaced. The
// error says why there is none, or why the one before is still in use. It is a
// check of /health, and must not run twice at a time.
func (c *Countries) Refresh(context.Context) error {
	state, err := stateOf(c.file)
	if err == nil && state == c.seen {
		return c.problem
	}
	if err == nil {
		c.seen = state
		err = c.read()
	} else {
		c.seen = fileState{}
	}
	c.problem = err
	if err != nil && !c.warned {
		c.log.Warn("Country database cannot be used", "file", c.file, "error", err, "rule_is_on", c.database.Load() != nil)
	}
	c.warned = err != nil
	return err
}

// Private

// fileState changes when a file is replaced or written to.
type fileState struct {
	modified time.Time
	size     int64
}

func stateOf(file string) (fileState, error) {
	info, err := os.Stat(file)
	if err != nil {
		return fileState{}, fmt.Errorf("look for the country database: %w", err)
	}
	return fileState{info.ModTime(), info.Size()}, nil
}

// read reads the whole file, about 10 MB: one that is mapped into memory ends
// the process when somebody truncates it.
func (c *Countries) read() error {
	content, err := os.ReadFile(c.file)
	if err != nil {
		return fmt.Errorf("read the country database: %w", err)
	}
	database, err := maxminddb.OpenBytes(content)
	if err != nil {
		return fmt.Errorf("open the country database: %w", err)
	}
	if err := database.Verify(); err != nil {
		return fmt.Errorf("verify the country database: %w", err)
	}
	c.database.Store(database)
	c.log.Info("Country database is in use", "type", database.Metadata.DatabaseType, "built", time.Unix(int64(database.Metadata.BuildEpoch), 0).UTC().Format(time.DateOnly))
	return nil
}

// country is empty when there is no database or it does not know the address.
func (c *Countries) country(client netip.Addr) (code string) {
	database := c.database.Load()
	if database == nil || !client.IsValid() {
		return ""
	}
	found := database.Lookup(client)
	if err := found.DecodePath(&code, "country", "iso_code"); err != nil || code != "" {
		return code
	}
	_ = found.DecodePath(&code, "registered_country", "iso_code") // unknown is empty
	return code
}
