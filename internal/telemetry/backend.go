package telemetry

import "strings"

// Backend identifies a server that the application depends on. Its value is
// the label `backend` of every metric and the attribute `backend` of log lines.
type Backend string

// The backends.
const (
	PG    Backend = "pg" // PostgreSQL
	Redis Backend = "redis"
	Mail  Backend = "mail" // the mail server
)

// Name returns the product's name, for text that operators read: "PostgreSQL",
// "Redis". It returns an unknown Backend unchanged.
func (b Backend) Name() string {
	switch b {
	case PG:
		return "PostgreSQL"
	case Redis:
		return "Redis"
	case Mail:
		return "Mail server"
	default:
		return string(b)
	}
}

// Private

// fingerprint is the key under which Sentry groups this backend's alerts about
// a topic, such as "redis/oom". Changing it starts new issues in Sentry.
func (b Backend) fingerprint(topic string) string {
	return strings.ReplaceAll(strings.ToLower(b.Name()), " ", "-") + "/" + topic
}
