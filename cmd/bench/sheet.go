package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// sheet prints measurements as tables, and in the end which design targets are met.
type sheet struct {
	out     io.Writer
	targets []target
}

// target is a design target with its measurement.
type target struct {
	text string
	met  bool
}

// series are the values of one measurement, one for each round.
type series []float64

// quantile returns the value at a share (0 to 1) of the sorted series; 0.5 is the
// median. It returns 0 for an empty series.
func (s series) quantile(share float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

func (s series) median() float64 { return s.quantile(0.5) }

// over returns the ratios of s to other, round by round, because a disturbance slows
// down both in the same round.
func (s series) over(other series) series {
	ratios := series{}
	for i := range min(len(s), len(other)) {
		ratios = append(ratios, s[i]/other[i])
	}
	return ratios
}

// Private

func (s *sheet) section(title string, columns ...string) {
	fmt.Fprintf(s.out, "\n%-46s", title)
	for _, column := range columns {
		fmt.Fprintf(s.out, " %12s", column)
	}
	fmt.Fprintln(s.out)
}

// row prints values, which are text or float64, each in a column.
func (s *sheet) row(title string, values ...any) {
	fmt.Fprintf(s.out, "  %-44s", title)
	for _, value := range values {
		text := fmt.Sprint(value)
		if number, is := value.(float64); is {
			text = format(number)
		}
		fmt.Fprintf(s.out, " %12s", text)
	}
	fmt.Fprintln(s.out)
}

// target records whether a target is met.
func (s *sheet) target(met bool, text string, values ...any) {
	s.targets = append(s.targets, target{fmt.Sprintf(text, values...), met})
}

func (s *sheet) printTargets() {
	s.section("Targets", "", "")
	for _, one := range s.targets {
		verdict := "met   "
		if !one.met {
			verdict = "missed"
		}
		fmt.Fprintf(s.out, "  %s  %s\n", verdict, one.text)
	}
}

// format returns a number with three digits or more: "1,234", "123", "12.3", "1.23".
func format(number float64) string {
	switch {
	case number >= 1000:
		whole := fmt.Sprintf("%.0f", number)
		var groups []string
		for ; len(whole) > 3; whole = whole[:len(whole)-3] {
			groups = append([]string{whole[len(whole)-3:]}, groups...)
		}
		return strings.Join(append([]string{whole}, groups...), ",")
	case number >= 100:
		return fmt.Sprintf("%.0f", number)
	case number >= 10:
		return fmt.Sprintf("%.1f", number)
	default:
		return fmt.Sprintf("%.2f", number)
	}
}
