// Command build writes the assets of a directory as the files that the store
// serves: under the hash of their content. An image holds them beside the
// binary, so that a deploy can carry them from one version to the next.
package main

import (
	"fmt"
	"os"

	"slipway/internal/assets"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "build assets: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: build SOURCE-DIRECTORY TARGET-DIRECTORY")
	}
	loaded, err := assets.Load(os.DirFS(args[0]))
	if err != nil {
		return err
	}
	return loaded.Export(args[1])
}
