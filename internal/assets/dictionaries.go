package assets

import (
	"cmp"
	"context"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"slipway/internal/edge/coding"
)

// AddPageDictionary makes text that pages have in common an asset, by which the edge
// compresses the pages of browsers that have it (RFC 9842). Every process of a build must
// give the same text. Call it before Serve.
func (a *Assets) AddPageDictionary(text []byte) error {
	if err := a.add(pageDictionaryName, text); err != nil {
		return err
	}
	a.pageDictionary, a.pageDictionaryPath = coding.NewDictionary(text), a.Path(pageDictionaryName)
	asset := a.files[a.pageDictionaryPath]
	asset.useAs = []string{`match="/*", match-dest=("document")`}
	for _, c := range []coding.Coding{coding.Gzip, coding.Brotli} {
		if encoded, smaller := coding.Encode(c, coding.Quick, text); smaller {
			asset.keep(c, encoded)
		}
	}
	return nil
}

// PageDictionary returns the dictionary of AddPageDictionary, and the path where browsers
// get it. It returns nil when there is none.
func (a *Assets) PageDictionary() (dictionary *coding.Dictionary, address string) {
	if a == nil {
		return nil, ""
	}
	return a.pageDictionary, a.pageDictionaryPath
}

// FindDeltas compresses the assets of this build by their older versions, as far as other
// builds have exported them (see Bridge). A browser with an older version loads only what
// has changed since (RFC 9842). It may run beside Serve, and takes some milliseconds for
// each pair of files.
func (a *Assets) FindDeltas(ctx context.Context) {
	if a == nil || a.otherBuilds == nil {
		return
	}
	room := maxDeltas
	for name, bases := range a.olderVersions() {
		asset := a.files[a.Path(name)]
		var deltas []delta
		for _, base := range bases {
			if ctx.Err() != nil {
				return
			}
			made, size := asset.newDelta(a.otherBuilds.directory, base)
			if size == 0 || size > room {
				continue
			}
			room -= size
			deltas = append(deltas, made)
		}
		if len(deltas) > 0 {
			asset.deltas.Store(&deltas)
		}
	}
}

// Private

const (
	dictionaryExtension = ".dict"
	pageDictionaryName  = "pages" + dictionaryExtension

	maxBases     = 3       // older versions of one asset
	maxDeltas    = 8 << 20 // bytes of all, with what they were made from
	maxDeltaFile = 2 << 20 // bytes of a file that gets deltas, or is the base of one
)

// delta is a file in DCZ, by an older version of it.
type delta struct {
	base    *coding.Dictionary
	variant *variant
}

// olderVersion is a file of another build.
type olderVersion struct {
	name, hash string
	at         time.Time
}

// olderVersions lists those of the assets of this build that are worth a delta, by their
// names, the newest first.
func (a *Assets) olderVersions() map[string][]olderVersion {
	found := map[string][]olderVersion{}
	// A directory that cannot be read has none: browsers load the whole files.
	_ = fs.WalkDir(a.otherBuilds.directory, ".", func(name string, entry fs.DirEntry, err error) error {
		parts := exported.FindStringSubmatch(name)
		if err != nil || entry.IsDir() || parts == nil {
			return nil //nolint:nilerr // the others are readable
		}
		stem, hash := parts[1]+parts[3], parts[2]
		known, ok := a.manifest[stem]
		if !ok || known.File == name || !a.files[Prefix+known.File].isDictionary() {
			return nil
		}
		if about, err := entry.Info(); err == nil && about.Size() <= maxDeltaFile {
			found[stem] = append(found[stem], olderVersion{name, hash, about.ModTime()})
		}
		return nil
	})
	for name, versions := range found {
		slices.SortFunc(versions, func(a, b olderVersion) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.name, b.name)) })
		found[name] = versions[:min(len(versions), maxBases)]
	}
	return found
}

// newDelta makes a delta, and returns how much memory it takes: 0 when there is none that
// is smaller than the file in every other coding.
func (f *file) newDelta(directory fs.FS, base olderVersion) (_ delta, size int) {
	old, err := fs.ReadFile(directory, base.name)
	if err != nil || len(f.content()) > maxDeltaFile {
		return delta{}, 0
	}
	dictionary := coding.NewDictionary(old)
	body, smaller := dictionary.Encode(coding.Best, f.content())
	if !smaller || slices.ContainsFunc(f.variants, func(other *variant) bool { return len(other.body) <= len(body) }) {
		return delta{}, 0
	}
	tag := `"` + f.hash + "-" + coding.DCZ.String() + "-" + base.hash + `"`
	return delta{dictionary, newVariant(coding.DCZ, tag, body)}, len(old) + len(body)
}

// delta returns the variant for a client that has an older version of the file, and nil
// for any other.
func (f *file) delta(r *http.Request) *variant {
	deltas := f.deltas.Load()
	if deltas == nil || len(r.Header["Available-Dictionary"]) == 0 {
		return nil
	}
	for _, one := range *deltas {
		if coding.NegotiateBy(one.base, r, f.offers) == coding.DCZ {
			return one.variant
		}
	}
	return nil
}

// namePattern matches the names that mean themselves in a pattern of a URL.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9._/-]+$`)

// becomeDictionary lets browsers use the file as a dictionary for later versions of it. A
// name that begins with the same words may match too: then no delta has this file as its
// base, and the browser gets the whole.
func (f *file) becomeDictionary(name string) {
	if len(f.content()) < coding.MinSize || !coding.Compressible(f.contentType[0]) || !namePattern.MatchString(name) {
		return
	}
	extension := path.Ext(name)
	field := `match="` + Prefix + strings.TrimSuffix(name, extension) + "-*" + extension + `"`
	switch extension {
	case ".css":
		field += `, match-dest=("style")`
	case ".js":
		field += `, match-dest=("script")`
	}
	f.useAs = []string{field}
}

func (f *file) isDictionary() bool { return f.useAs != nil }

// offerDictionaries sets the fields by which browsers use this file as a dictionary and by
// which caches tell apart its deltas.
func (f *file) offerDictionaries(r *http.Request, header http.Header) {
	header["Vary"] = vary
	if f.useAs == nil || !coding.MayOffer(r) {
		return
	}
	header["Use-As-Dictionary"] = f.useAs
	if f.deltas.Load() != nil {
		header["Vary"] = varyByDictionary
	}
}
