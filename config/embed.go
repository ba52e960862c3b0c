// Package config holds the files beside it that are part of the program.
package config

import _ "embed" // for the file below

// Recurring is recurring.yml: the work that is done by the clock.
//
//go:embed recurring.yml
var Recurring []byte
