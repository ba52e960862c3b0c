package postgres

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivermigrate"
)

// Private

// The owners of migrations, as the table of identities names them. Each numbers its
// own from 1.
const (
	ownerRiver       = "river"
	ownerRuntime     = "runtime"
	ownerApplication = "application"
)

// migrationFile is one migration of this build.
type migrationFile struct {
	version  int64
	name     string
	hash     string // of the content; empty for River's, whose texts are not ours to keep
	takeBack bool   // it has a section that takes it back
}

// readMigrations returns the numbered SQL files of a directory, in order.
func readMigrations(directory fs.FS) ([]migrationFile, error) {
	if directory == nil {
		return nil, nil
	}
	names, err := fs.Glob(directory, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	files := make([]migrationFile, len(names))
	for i, name := range names {
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("migration %s does not begin with a number", name)
		}
		content, err := fs.ReadFile(directory, name)
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", name, err)
		}
		content = bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n")) // Git may change the ends of lines
		hash := sha256.Sum256(content)
		files[i] = migrationFile{version: version, name: name, hash: hex.EncodeToString(hash[:]), takeBack: downSection.Match(content)}
	}
	slices.SortFunc(files, byVersion)
	return files, nil
}

// downSection matches a section of goose that takes a migration back, and its first
// statement.
var downSection = regexp.MustCompile(`(?m)^--\s*\+goose Down\s*\n(\s*(--.*)?\n)*\s*[A-Za-z]`)

func riverMigrations(river *rivermigrate.Migrator[pgx.Tx]) []migrationFile {
	var files []migrationFile
	for _, version := range river.AllVersions() {
		files = append(files, migrationFile{version: int64(version.Version), name: riverName(version.Version, version.Name)})
	}
	slices.SortFunc(files, byVersion)
	return files
}

func riverName(version int, name string) string {
	return fmt.Sprintf("river %03d %s", version, name)
}

func byVersion(a, b migrationFile) int { return cmp.Compare(a.version, b.version) }
