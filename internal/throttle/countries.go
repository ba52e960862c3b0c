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

// Countries refuses clients by country. It looks up their address in a database
// in MaxMind's format. Without a usable database all clients pass, and so does
// an address without a known country, such as that of a private network.
type Countries struct {
	file             string
	blocked, allowed []string // ISO 3166-1 codes, such as "DE"; empty allowed: all
	log              *slog.Logger

	database atomic.Pointer[maxminddb.Reader]
	seen     fileState // at the last attempt to read the file; used by Refresh alone
	problem  error     // of that attempt
	warned   bool
}

// NewCountries refuses clients from the blocked countries. Unless allowed is
// empty, it also refuses clients from all countries that are not in it. Call
// Refresh to read the file.
func NewCountries(file string, blocked, allowed []string, log *slog.Logger) *Countries {
	return &Countries{file: file, blocked: blocked, allowed: allowed, log: log}
}

// Refuses reports whether the country of a client is refused.
func (c *Countries) Refuses(r *Request) bool {
	country := c.country(r.Client)
	if country == "" {
		return false
	}
	return slices.Contains(c.blocked, country) || len(c.allowed) > 0 && !slices.Contains(c.allowed, country)
}

// Refresh reads the database if the file has changed. After an error the database
// of the last successful read stays in use. Refresh is a check of /health, and
// must not run twice at the same time.
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
		return fileState{}, fmt.Errorf("find the country database: %w", err)
	}
	return fileState{info.ModTime(), info.Size()}, nil
}

// read reads the whole file, about 10 MB. It does not map the file into memory:
// if the file were truncated, the process would be killed.
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
	built := time.Unix(int64(database.Metadata.BuildEpoch), 0).UTC().Format(time.DateOnly)
	c.log.Info("Country database loaded", "type", database.Metadata.DatabaseType, "built", built)
	return nil
}

// country is the country of an address, empty when it is not known.
func (c *Countries) country(client netip.Addr) (code string) {
	database := c.database.Load()
	if database == nil || !client.IsValid() {
		return ""
	}
	found := database.Lookup(client)
	if err := found.DecodePath(&code, "country", "iso_code"); err != nil || code != "" {
		return code
	}
	_ = found.DecodePath(&code, "registered_country", "iso_code") // an unknown address leaves it empty
	return code
}
