package config

import (
	"net/netip"
	"path/filepath"
	"strconv"
)

// Private

// fillDefaults sets the defaults that depend on other settings.
func (c *Config) fillDefaults() {
	development := c.Environment != Production
	if c.LogFormat == "" {
		c.LogFormat = LogJSON
		if development {
			c.LogFormat = LogText
		}
	}
	if c.BindAddress == "" {
		c.BindAddress = "0.0.0.0"
		if development {
			c.BindAddress = "127.0.0.1"
		}
	}
	if c.Installation == "" {
		c.Installation = installationOf(c.Environment, c.DatabaseURL)
	}
	if c.QueueRedisURL == "" {
		c.QueueRedisURL = c.RedisURL
	}
	if c.Environment == Development && c.ThrottleSafelist == nil {
		c.ThrottleSafelist = Networks{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	if c.Environment == Development && c.JobsUser == "" && c.JobsPassword == "" {
		c.JobsUser, c.JobsPassword = "dev", "dev"
	}
	if c.OpsMailFrom == "" {
		c.OpsMailFrom = c.OpsMail
	}
	if !development {
		return
	}
	if c.BaseURL == "" {
		port := strconv.Itoa(c.Port)
		if c.Port == 0 || !validPort(port) {
			port = "3000" // PORT itself is reported
		}
		c.BaseURL = "http://localhost:" + port
	}
	if c.SecretKeyBase == "" {
		c.SecretKeyBase = "development only: anybody who reads the source knows this key"
	}
	if c.MailDir == "" && c.SMTPURL == "" {
		c.MailDir = filepath.Join("tmp", "mail")
	}
}

// oneTraceIn keeps every trace of a developer, and few of those of production.
func oneTraceIn(environment Environment) int {
	if environment == Production {
		return 100
	}
	return 1
}
