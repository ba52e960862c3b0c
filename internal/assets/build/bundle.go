package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing/fstest"

	"github.com/evanw/esbuild/pkg/api"

	"slipway/internal/assets"
)

// browsers are the oldest that pages support. esbuild rewrites newer syntax for them.
var browsers = []api.Engine{
	{Name: api.EngineChrome, Version: "109"},
	{Name: api.EngineEdge, Version: "109"},
	{Name: api.EngineFirefox, Version: "115"},
	{Name: api.EngineIOS, Version: "16.4"},
	{Name: api.EngineSafari, Version: "16.4"},
}

// bundled are the files that browsers get, and the source maps of some, by name.
type bundled struct {
	files fstest.MapFS
	maps  map[string][]byte
}

// bundle reads the assets of a directory. Each script and style sheet at its top is
// minified, and contains what it imports; those in the directories below are only
// imported. All other files stay as they are. An error says file, line and column.
func bundle(directory string) (*bundled, error) {
	files, err := readAll(directory)
	if err != nil {
		return nil, err
	}
	var entryPoints []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !isCode(name) {
			continue
		}
		if path.Dir(name) == "." {
			entryPoints = append(entryPoints, name)
		}
		delete(files, name)
	}
	linked, err := assets.Load(files)
	if err != nil {
		return nil, err
	}
	result := &bundled{files: files, maps: map[string][]byte{}}
	return result, result.add(directory, entryPoints, addresses(linked, files))
}

// writeMaps writes the source maps beside the exported files.
func (b *bundled) writeMaps(directory string, exported *assets.Assets) error {
	for name, content := range b.maps {
		file := filepath.Join(directory, filepath.FromSlash(strings.TrimPrefix(exported.Path(name), assets.Prefix)))
		if err := os.WriteFile(file+".map", content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Private

func isCode(name string) bool {
	return slices.Contains([]string{".css", ".js"}, path.Ext(name))
}

// addresses returns the path of every file on the server, by its path on the disk
// relative to the directory.
func addresses(linked *assets.Assets, files fstest.MapFS) map[string]string {
	byName := map[string]string{}
	for name := range files {
		byName[name] = linked.Path(name)
	}
	return byName
}

// add bundles the entry points and adds the results.
func (b *bundled) add(directory string, entryPoints []string, linked map[string]string) error {
	if len(entryPoints) == 0 {
		return nil
	}
	root, err := filepath.Abs(directory)
	if err != nil {
		return err
	}
	result := api.Build(api.BuildOptions{
		EntryPoints:   entryPoints,
		AbsWorkingDir: root,
		Outdir:        root, // nothing is written: source maps are relative to this
		Outbase:       root,

		AllowOverwrite:    true,
		Bundle:            true,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		Charset:           api.CharsetUTF8,
		Engines:           browsers,
		Format:            api.FormatIIFE,
		Platform:          api.PlatformBrowser,
		Plugins:           []api.Plugin{linkFiles(root, linked)},
		Sourcemap:         api.SourceMapExternal,
		TsconfigRaw:       "{}", // no file outside the directory changes the result
	})
	if err := problems(directory, result); err != nil {
		return err
	}
	for _, output := range result.OutputFiles {
		name, err := filepath.Rel(root, output.Path)
		if err != nil {
			return err
		}
		if source, isMap := strings.CutSuffix(name, ".map"); isMap {
			b.maps[source] = output.Contents
			continue
		}
		b.files[name] = &fstest.MapFile{Data: output.Contents}
	}
	return nil
}

// problems joins what esbuild found. Warnings are errors too, because esbuild only warns
// of a style sheet that browsers cannot read.
func problems(directory string, result api.BuildResult) error {
	var all []error
	for _, message := range append(result.Errors, result.Warnings...) {
		place := directory
		if at := message.Location; at != nil {
			place = fmt.Sprintf("%s:%d:%d", filepath.Join(directory, at.File), at.Line, at.Column+1)
		}
		all = append(all, fmt.Errorf("%s: %s", place, message.Text))
	}
	return errors.Join(all...)
}
