package httpcache

import (
	"net/http"
	"slices"
	"strings"
	"sync"
)

// tagIndex knows the keys whose responses have a tag.
type tagIndex struct {
	mutex sync.Mutex
	keys  map[string]map[string]int // how many responses of a key have the tag
}

func newTagIndex() *tagIndex { return &tagIndex{keys: map[string]map[string]int{}} }

// responseTags are the names in Surrogate-Key, which spaces separate, and the
// groups in Cache-Groups (RFC 9875 section 2), sorted and once each. A malformed
// Cache-Groups has no groups.
func responseTags(header http.Header) []string {
	tags := groupsOf(header["Cache-Groups"])
	for _, line := range header["Surrogate-Key"] {
		tags = append(tags, strings.Fields(line)...)
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

// groupsOf are the groups in Cache-Groups or Cache-Group-Invalidation.
func groupsOf(lines []string) []string {
	if len(lines) == 0 {
		return nil
	}
	members, err := parseList(lines)
	if err != nil {
		return nil
	}
	var groups []string
	for _, one := range members {
		group, is := one.value.(string)
		if !is {
			return nil
		}
		groups = append(groups, group)
	}
	return groups
}

// add counts the tags of a response for its key.
func (t *tagIndex) add(key string, tags []string) {
	if len(tags) == 0 {
		return
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for _, tag := range tags {
		if t.keys[tag] == nil {
			t.keys[tag] = map[string]int{}
		}
		t.keys[tag][key]++
	}
}

// remove takes back one add.
func (t *tagIndex) remove(key string, tags []string) {
	if len(tags) == 0 {
		return
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for _, tag := range tags {
		if t.keys[tag][key]--; t.keys[tag][key] > 0 {
			continue
		}
		delete(t.keys[tag], key)
		if len(t.keys[tag]) == 0 {
			delete(t.keys, tag)
		}
	}
}

// having are the keys that begin with prefix and have one of the tags.
func (t *tagIndex) having(prefix string, tags []string) []string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	var keys []string
	for _, tag := range tags {
		for key := range t.keys[tag] {
			if strings.HasPrefix(key, prefix) {
				keys = append(keys, key)
			}
		}
	}
	return keys
}
