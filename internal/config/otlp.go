package config

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// OTLPHeader returns the headers in OTEL_EXPORTER_OTLP_HEADERS, whose form is that of
// OpenTelemetry: name=value, separated by commas, with percent-encoded values.
func (c *Config) OTLPHeader() (http.Header, error) {
	header := http.Header{}
	if c.OTLPHeaders == "" {
		return header, nil
	}
	for pair := range strings.SplitSeq(c.OTLPHeaders, ",") {
		name, encoded, found := strings.Cut(strings.TrimSpace(pair), "=")
		value, err := url.PathUnescape(strings.TrimSpace(encoded))
		name = strings.TrimSpace(name)
		if !found || err != nil || name == "" || strings.ContainsAny(name, " \r\n\t:") || strings.ContainsAny(value, "\r\n") {
			return nil, errors.New("read OTEL_EXPORTER_OTLP_HEADERS: it must look like name=value,name=value")
		}
		header.Set(name, value)
	}
	return header, nil
}
