package failopen

import (
	"strconv"
	"strings"
)

// Namespace begins the names of everything that one installation has in Redis, so
// that two installations can use one Redis. An empty one changes no name.
type Namespace string

// Key returns the full name of a key of this installation.
func (n Namespace) Key(name string) string {
	if n == "" {
		return name
	}
	return string(n) + ":" + name
}

// Channel returns the full name of a channel of this installation, for PUBLISH and
// SUBSCRIBE. It has the number of the database: Redis delivers a message to the
// subscribers of all databases.
func (n Namespace) Channel(database int, name string) string {
	if n == "" {
		return name
	}
	return n.Key(strconv.Itoa(database) + ":" + name)
}

// Channel returns the full name of a channel of this installation.
func (r *Redis) Channel(name string) string {
	if r.client == nil {
		return name
	}
	return Namespace(r.guard.options.Namespace).Channel(r.client.Options().DB, name)
}

// Private

// key returns the full name of a key of this installation.
func (o Options) key(name string) string { return Namespace(o.Namespace).Key(name) }

// keys returns the full names of keys, at the cost of two allocations.
func (r *Redis) keys(names []string) []string {
	namespace := r.guard.options.Namespace
	if namespace == "" {
		return names
	}
	size := 0
	for _, name := range names {
		size += len(namespace) + len(":") + len(name)
	}
	var text strings.Builder
	text.Grow(size)
	for _, name := range names {
		text.WriteString(namespace)
		text.WriteByte(':')
		text.WriteString(name)
	}
	all, keys := text.String(), make([]string, len(names))
	for i, name := range names {
		size := len(namespace) + len(":") + len(name)
		keys[i], all = all[:size], all[size:]
	}
	return keys
}
