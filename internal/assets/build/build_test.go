package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/assets"
)

// source are assets that import and link each other.
var source = map[string]string{
	"site.css": "@import \"./parts/button.css\";\n/* A comment. */\nbody {\n  margin: 0px;\n" +
		"  background: url(\"images/sky.svg#low\") url(/pictures/mug.svg) url(data:image/gif;base64,AA==);\n}\n",
	"site.js":          "// A comment.\nimport { greet } from \"./parts/greet.js\";\n\nconst visitor = \"Ada\";\ngreet(visitor);\n",
	"parts/button.css": ".button { color: rebeccapurple; background: url(../images/sky.svg); }\n",
	"parts/greet.js": "export const greet = (name) => {\n  console.log(`Hello, ${name}`);\n};\n" +
		"export const unused = () => \"never called\";\n",
	"images/sky.svg": "<svg xmlns=\"http://www.w3.org/2000/svg\"> </svg>\n",
}

func TestBuild_MinifiesEachFileWithWhatItImports(t *testing.T) {
	t.Parallel()
	built, files := buildSource(t, source, options{})

	script := download(t, built, built.Path("site.js"))
	require.Contains(t, script, "Hello, ")
	for _, gone := range []string{"comment", "import", "unused", "never called", "visitor", "\n  "} {
		require.NotContains(t, script, gone)
	}
	style := download(t, built, built.Path("site.css"))
	require.Contains(t, style, ".button{color:#639;")
	require.NotContains(t, style, "comment")
	require.NotContains(t, style, "import")
	require.Len(t, entries(t, files), 3, "imported files have no name of their own")
}

func TestBuild_LinksFilesUnderTheirHash(t *testing.T) {
	t.Parallel()
	built, _ := buildSource(t, source, options{})
	sky := built.Path("images/sky.svg")

	style := download(t, built, built.Path("site.css"))

	require.Regexp(t, `^/assets/images/sky-[0-9a-f]{16}\.svg$`, sky)
	require.Equal(t, source["images/sky.svg"], download(t, built, sky))
	require.Contains(t, style, "url("+sky+")", "of a file below")
	require.Contains(t, style, "url("+sky+"#low)")
	require.Contains(t, style, "url(/pictures/mug.svg)")
	require.Contains(t, style, "url(data:image/gif;base64,AA==)")
	require.NotContains(t, style, "../")
}

func TestBuild_ALinkedFileChangesTheNameOfItsStyle(t *testing.T) {
	t.Parallel()
	changed := withFile("images/sky.svg", "<svg/>")

	before, _ := buildSource(t, source, options{})
	after, _ := buildSource(t, changed, options{})

	require.NotEqual(t, before.Path("site.css"), after.Path("site.css"))
	require.Equal(t, before.Path("site.js"), after.Path("site.js"))
}

func TestBuild_IsTheSameEveryTime(t *testing.T) {
	t.Parallel()

	for _, options := range []options{{}, {sourceMaps: true}, {export: t.TempDir()}} {
		_, first := buildSource(t, source, options)
		_, second := buildSource(t, source, options)

		require.Equal(t, content(t, first), content(t, second))
	}
}

func TestBuild_TheManifestHasTheDigestOfEachFile(t *testing.T) {
	t.Parallel()
	built, files := buildSource(t, source, options{})

	list := entries(t, files)

	for _, name := range []string{"site.css", "site.js", "images/sky.svg"} {
		require.Regexp(t, `^sha384-[A-Za-z0-9+/]{64}$`, list[name].Integrity)
		require.Equal(t, list[name].Integrity, built.Integrity(name))
		require.Equal(t, assets.Prefix+list[name].File, built.Path(name))
	}
}

func TestBuild_ReplacesTheBuildBefore(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, source)
	require.NoError(t, buildAll(root, options{sourceMaps: true, export: t.TempDir()}))
	directory := filepath.Join(root, "internal/site/dist")
	require.Regexp(t, `site-\w+\.css\.map`, names(t, directory))
	write(t, root, map[string]string{"site.js": "alert(1);\n"})

	require.NoError(t, buildAll(root, options{}))

	require.Regexp(t, `^images/sky-\w+\.svg manifest\.json site-\w+\.js site-\w+\.css site-\w+\.css\.gz$`, names(t, directory))
}

func TestBuild_ExportsWhatItEmbeds(t *testing.T) {
	t.Parallel()
	exported := t.TempDir()
	var rules strings.Builder
	for i := range 100 {
		fmt.Fprintf(&rules, ".column-%d { width: calc(100%% / %d); }\n", i, i)
	}
	long := withFile("site.css", rules.String())
	built, files := buildSource(t, long, options{export: exported})

	embedded := content(t, files)
	delete(embedded, "manifest.json")
	require.Equal(t, embedded, content(t, exported))
	file := strings.TrimPrefix(built.Path("site.css"), assets.Prefix)
	for _, suffix := range []string{"", ".br", ".gz"} {
		require.Contains(t, embedded, file+suffix)
	}
	require.Equal(t, "br", answer(t, built, built.Path("site.css")).Header().Get("Content-Encoding"))
}

func TestBuild_ExportsAnEmptyDirectoryWithoutAssets(t *testing.T) {
	t.Parallel()
	exported := filepath.Join(t.TempDir(), "assets")

	require.NoError(t, buildAll(t.TempDir(), options{export: exported}))

	require.Empty(t, content(t, exported))
}

func TestBuild_MakesSourceMapsForDevelopmentOnly(t *testing.T) {
	t.Parallel()
	production, _ := buildSource(t, source, options{})
	development, _ := buildSource(t, source, options{sourceMaps: true})
	paths := map[string]string{"site.js": "parts/greet.js", "site.css": "parts/button.css"}

	for name, imported := range paths {
		path := development.Path(name)
		require.Equal(t, production.Path(name), path, "the file is the same")
		require.Equal(t, path+".map", answer(t, development, path).Header().Get("SourceMap"))
		var sourceMap struct {
			Sources, SourcesContent []string
		}
		require.NoError(t, json.Unmarshal([]byte(download(t, development, path+".map")), &sourceMap))
		require.ElementsMatch(t, []string{imported, name}, sourceMap.Sources)
		require.Contains(t, sourceMap.SourcesContent, source[imported])

		require.Empty(t, answer(t, production, path).Header().Get("SourceMap"))
		require.Equal(t, http.StatusNotFound, answer(t, production, path+".map").Code)
	}
	require.Empty(t, answer(t, development, development.Path("images/sky.svg")).Header().Get("SourceMap"))
}

func TestBuild_SaysWhereAFileIsWrong(t *testing.T) {
	t.Parallel()

	for _, wrong := range []struct{ file, text, problem string }{
		{"site.js", "const a = 1;\nconst = 2;\n", `assets/site.js:2:7: Expected identifier but found "="`},
		{"parts/greet.js", "\n\n  export const greet = (;\n", `assets/parts/greet.js:3:25: Unexpected ";"`},
		{"site.js", "import \"./parts/none.js\";\n", `assets/site.js:1:8: Could not resolve "./parts/none.js"`},
		{
			"site.js", "import { none } from \"./parts/greet.js\";\nnone();\n",
			`assets/site.js:1:10: No matching export in "parts/greet.js" for import "none"`,
		},
		{"site.css", "body {\n  margin: 0;\n", `assets/site.css:3:1: Expected "}" to go with "{"`},
		{
			"site.css", "body {\n  background: url(images/none.png);\n}\n",
			`assets/site.css:2:15: there is no file images/none.png among the assets`,
		},
	} {
		root := t.TempDir()
		write(t, root, withFile(wrong.file, wrong.text))

		err := buildAll(root, options{})

		require.ErrorContains(t, err, filepath.Join(root, "internal/site", wrong.problem))
		require.NoDirExists(t, filepath.Join(root, "internal/site/dist"))
	}
}

// Private

func withFile(name, text string) map[string]string {
	changed := maps.Clone(source)
	changed[name] = text
	return changed
}

// buildSource builds files and loads the result, as a program does, from the directory
// that it returns.
func buildSource(t *testing.T, files map[string]string, options options) (*assets.Assets, string) {
	t.Helper()
	root := t.TempDir()
	write(t, root, files)
	require.NoError(t, buildAll(root, options))
	directory := filepath.Join(root, "internal/site/dist")
	built, err := assets.Load(os.DirFS(directory))
	require.NoError(t, err)
	return built, directory
}

// write writes assets of the package site.
func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(root, "internal/site/assets", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

// content returns the text of every file below a directory, by name.
func content(t *testing.T, directory string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := fs.WalkDir(os.DirFS(directory), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(directory, name))
		found[name] = string(text)
		return err
	})
	require.NoError(t, err)
	return found
}

func names(t *testing.T, directory string) string {
	t.Helper()
	return strings.Join(slices.Sorted(maps.Keys(content(t, directory))), " ")
}

type manifestEntry struct{ File, Integrity string }

func entries(t *testing.T, directory string) map[string]manifestEntry {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(directory, "manifest.json"))
	require.NoError(t, err)
	var list map[string]manifestEntry
	require.NoError(t, json.Unmarshal(text, &list))
	return list
}

// answer requests an asset as a browser does that reads every coding.
func answer(t *testing.T, built *assets.Assets, path string) *httptest.ResponseRecorder {
	t.Helper()
	return send(built, path, "br, zstd, gzip")
}

func download(t *testing.T, built *assets.Assets, path string) string {
	t.Helper()
	recorder := send(built, path, "identity")
	require.Equal(t, http.StatusOK, recorder.Code, path)
	return recorder.Body.String()
}

func send(built *assets.Assets, path, accept string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, path, nil)
	request.Header.Set("Accept-Encoding", accept)
	recorder := httptest.NewRecorder()
	built.Serve(recorder, request)
	return recorder
}
