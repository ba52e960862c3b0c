// Command build makes the assets that the program embeds: from each directory assets of a
// package below internal it writes dist beside it, bundled and minified, with hashed names and a manifest (see
// assets.Load). Run it in the root of the checkout, and commit the result.
//
// With -source-maps it adds source maps, for development. With -export DIRECTORY it
// compresses the assets as far as it goes, and writes them to that directory too. An
// image contains them beside the binary, so that a deploy can copy them and each build
// can serve the assets of the other (see assets.Bridge).
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing/fstest"

	"slipway/internal/assets"
)

func main() {
	var options options
	flag.BoolVar(&options.sourceMaps, "source-maps", false, "write source maps too")
	flag.StringVar(&options.export, "export", "", "compress the assets, and write them to this directory too")
	flag.Parse()
	if err := buildAll(".", options); err != nil {
		fmt.Fprintf(os.Stderr, "build assets: %v\n", err)
		os.Exit(1)
	}
}

// Private

type options struct {
	sourceMaps bool
	export     string // empty: none
}

// buildAll builds the assets of every package of a checkout.
func buildAll(root string, options options) error {
	sources, err := findSources(filepath.Join(root, "internal"))
	if err != nil {
		return err
	}
	if options.export != "" { // an image copies it, with or without assets
		if err := os.MkdirAll(options.export, 0o755); err != nil {
			return err
		}
	}
	for _, source := range sources {
		if err := build(source, filepath.Join(filepath.Dir(source), "dist"), options); err != nil {
			return err
		}
	}
	return nil
}

// findSources returns the directories named assets that are no package.
func findSources(root string) (sources []string, err error) {
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == root {
			return nil
		}
		if err != nil || !entry.IsDir() || entry.Name() != "assets" {
			return err
		}
		code, err := filepath.Glob(filepath.Join(path, "*.go"))
		if err != nil || len(code) > 0 {
			return err
		}
		sources = append(sources, path)
		return fs.SkipDir
	})
	return sources, err
}

// build replaces the directory target by the assets of the directory source.
func build(source, target string, options options) error {
	bundled, err := bundle(source)
	if err != nil {
		return err
	}
	built, err := assets.Load(bundled.files)
	if err != nil {
		return err
	}
	if options.export != "" {
		built.Compress()
		if err := built.Export(options.export); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	if err := built.Export(target); err != nil {
		return err
	}
	if options.sourceMaps {
		if err := bundled.writeMaps(target, built); err != nil {
			return err
		}
	}
	return built.WriteManifest(target)
}

// readAll reads all files of a directory into memory.
func readAll(directory string) (fstest.MapFS, error) {
	files := fstest.MapFS{}
	source := os.DirFS(directory)
	err := fs.WalkDir(source, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(source, name)
		files[name] = &fstest.MapFile{Data: content}
		return err
	})
	return files, err
}
