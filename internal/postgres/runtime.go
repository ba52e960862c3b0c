package postgres

import (
	"embed"
	"io/fs"
)

// runtimeVersions is the table of the runtime's own migrations. The store's are
// in goose's usual one: a fork numbers its migrations as it likes.
const runtimeVersions = "runtime_version"

// runtimeMigrations make the tables that the runtime needs whatever the store.
func runtimeMigrations() fs.FS {
	migrations, err := fs.Sub(runtimeFiles, "runtime")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return migrations
}

//go:embed runtime/*.sql
var runtimeFiles embed.FS
