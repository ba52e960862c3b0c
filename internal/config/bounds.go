package config

import (
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// bounds are the smallest and the largest value of a number or duration, from the
// tags min and max of its field.
type bounds struct {
	low, high int64
	duration  bool
}

// boundsOf returns nil for a field without bounds. It panics when a field has only
// one bound, and when a bound cannot be parsed.
func boundsOf(field reflect.StructField) *bounds {
	low, hasLow := field.Tag.Lookup("min")
	high, hasHigh := field.Tag.Lookup("max")
	if !hasLow && !hasHigh {
		return nil
	}
	b := &bounds{duration: field.Type == reflect.TypeFor[time.Duration]() || field.Type == reflect.TypeFor[Period]()}
	b.low, b.high = b.parse(field.Name, low), b.parse(field.Name, high)
	return b
}

// problem returns what is wrong with value, or "" when it is within the bounds.
func (b *bounds) problem(value int64) string {
	if b.low <= value && value <= b.high {
		return ""
	}
	if b.duration {
		return fmt.Sprintf("is %s; it must be between %s and %s", time.Duration(value), time.Duration(b.low), time.Duration(b.high))
	}
	return fmt.Sprintf("is %d; it must be between %d and %d", value, b.low, b.high)
}

// Private

func (b *bounds) parse(field, bound string) int64 {
	if b.duration {
		duration, err := time.ParseDuration(bound)
		if err != nil {
			panic(fmt.Sprintf("config: bound %q of %s is not a duration", bound, field))
		}
		return int64(duration)
	}
	number, err := strconv.ParseInt(bound, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("config: bound %q of %s is not a whole number", bound, field))
	}
	return number
}
