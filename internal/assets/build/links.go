package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// linkFiles makes url() in style sheets name the files of a directory by their paths on
// the server. Linked has these paths, by the name of the file.
func linkFiles(directory string, linked map[string]string) api.Plugin {
	link := func(found api.OnResolveArgs) (api.OnResolveResult, error) {
		if found.Kind != api.ResolveCSSURLToken {
			return api.OnResolveResult{}, nil
		}
		if isAddress(found.Path) {
			return api.OnResolveResult{Path: found.Path, External: true}, nil
		}
		file, rest := cutFragment(found.Path)
		name, err := filepath.Rel(directory, filepath.Join(found.ResolveDir, filepath.FromSlash(file)))
		if err != nil {
			return api.OnResolveResult{}, err
		}
		address, ok := linked[filepath.ToSlash(name)]
		if !ok {
			return api.OnResolveResult{}, fmt.Errorf("there is no file %s among the assets", filepath.ToSlash(name))
		}
		return api.OnResolveResult{Path: address + rest, External: true}, nil
	}
	return api.Plugin{Name: "link-files", Setup: func(build api.PluginBuild) {
		build.OnResolve(api.OnResolveOptions{Filter: ".*"}, link)
	}}
}

// Private

// isAddress reports whether a URL names no file of the directory: it has a scheme, or
// begins with a slash or with a fragment.
func isAddress(url string) bool {
	return strings.HasPrefix(url, "/") || strings.HasPrefix(url, "#") || strings.Contains(url, ":")
}

// cutFragment cuts off the query and the fragment.
func cutFragment(url string) (file, rest string) {
	if at := strings.IndexAny(url, "?#"); at >= 0 {
		return url[:at], url[at:]
	}
	return url, ""
}
