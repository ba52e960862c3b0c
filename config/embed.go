// Package config embeds the configuration files of this directory into the program.
package config

import _ "embed" // for the go:embed line

// Recurring is the content of recurring.yml: the recurring work.
//
//go:embed recurring.yml
var Recurring []byte
