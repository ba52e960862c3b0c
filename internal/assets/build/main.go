// Command build exports the assets of a directory under their hashed names. An image
// contains them beside the binary, so that a deploy can copy them and each build can
// serve the assets of the other (see assets.Bridge).
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
