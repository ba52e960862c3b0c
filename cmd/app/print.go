package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// printTable prints rows as a table below heading, or all as JSON when --json
// is set.
func printTable(c *cobra.Command, all any, heading string, rows [][]any) error {
	if asJSON(c) {
		return printJSON(c, all)
	}
	table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, heading)
	for _, row := range rows {
		printRow(table, row)
	}
	return table.Flush()
}

// printResult prints line, or value as JSON when --json is set.
func printResult(c *cobra.Command, line string, value any) error {
	if asJSON(c) {
		return printJSON(c, value)
	}
	_, err := fmt.Fprintln(c.OutOrStdout(), line)
	return err
}

func printJSON(c *cobra.Command, value any) error {
	encoder := json.NewEncoder(c.OutOrStdout())
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// Private

func asJSON(c *cobra.Command) bool {
	is, err := c.Flags().GetBool("json")
	return err == nil && is
}

func printRow(w io.Writer, row []any) {
	cells := make([]string, len(row))
	for i, cell := range row {
		cells[i] = fmt.Sprint(cell)
	}
	fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
}

// short returns text on one line, cut off after 60 characters.
func short(text string) string {
	const most = 60
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

func ago(t time.Time) string { return time.Since(t).Round(time.Second).String() + " ago" }

func at(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func joined[T ~string](all []T) string {
	words := make([]string, len(all))
	for i, one := range all {
		words[i] = string(one)
	}
	return strings.Join(words, ", ")
}
