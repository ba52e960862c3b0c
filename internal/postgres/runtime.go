package postgres

import (
	"embed"
	"io/fs"
)

// runtimeVersions is the version table of the runtime's migrations. It differs from
// the application's, so that both number their migrations independently.
const runtimeVersions = "runtime_version"

// applicationVersions is the version table of the application's migrations, goose's
// default.
const applicationVersions = "goose_db_version"

// runtimeMigrations returns the migrations of the tables that the runtime needs.
func runtimeMigrations() fs.FS {
	migrations, err := fs.Sub(runtimeFiles, "runtime")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return migrations
}

//go:embed runtime/*.sql
var runtimeFiles embed.FS
