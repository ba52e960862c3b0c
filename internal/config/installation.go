package config

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Private

// installationMarks are the marks that a name may have besides letters and digits.
// None of them has a meaning in a key or a pattern of Redis.
const installationMarks = "._-/%"

// installationOf returns the default name of an installation. Other marks in the
// name of its database are encoded as in a URL.
func installationOf(environment Environment, databaseURL string) string {
	database := ""
	if parsed, err := pgxpool.ParseConfig(databaseURL); err == nil {
		database = parsed.ConnConfig.Database
	}
	var name strings.Builder
	for _, c := range []byte(database) {
		if isInstallation(string(rune(c))) && c != '%' && c != '/' {
			name.WriteByte(c)
		} else {
			fmt.Fprintf(&name, "%%%02X", c)
		}
	}
	return string(environment) + "/" + name.String()
}

func isInstallation(name string) bool {
	for _, c := range name {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune(installationMarks, c) {
			return false
		}
	}
	return true
}
