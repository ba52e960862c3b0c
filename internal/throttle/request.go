package throttle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"sync"

	"golang.org/x/text/unicode/norm"
)

// Request is what rules look at.
type Request struct {
	*http.Request

	// Path is the address within the store in one form: percent-decoded, without
	// dots, doubled slashes and a slash at the end.
	Path   string
	Client netip.Addr // zero when unknown
	IP     string     // the key of the client: its address, or its network in IPv6

	form      *http.Request // with what was read of the body; nil before
	truncated bool
	outcomes  []*Rule // that want to know the answer
}

// Is tells whether the request is of a method and a path.
func (r *Request) Is(method, path string) bool { return r.Method == method && r.Path == path }

// Below tells whether the path begins with prefix, such as "/orders/".
func (r *Request) Below(prefix string) bool { return strings.HasPrefix(r.Path, prefix) }

// PerIP is the key of a rule that counts all requests of a client together.
func PerIP(r *Request) string { return r.IP }

// In matches clients whose address is in one of networks.
func In(networks []netip.Prefix) func(*Request) bool {
	return func(r *Request) bool { return contains(networks, r.Client) }
}

// Account is the account that a form's field names, in the one form of all its
// spellings, hashed: "  ADA@Example.com" is who "ada@example.com" is. It is
// empty when the form has no such field. At most 64 KiB of the body are read,
// and stay readable; the accounts of larger forms share one key.
func (r *Request) Account(field string) string {
	account := r.formValue(field)
	if account == "" {
		if r.truncated {
			return "unreadable"
		}
		return ""
	}
	return accountKey(account)
}

// Note lets a handler say something about the request that a rule made with
// Allow2BanByOutcome can ask for, such as "declined".
func Note(ctx context.Context, what string) {
	if notes, ok := ctx.Value(notesKey{}).(*notes); ok {
		notes.mutex.Lock()
		defer notes.mutex.Unlock()
		notes.all = append(notes.all, what)
	}
}

// Noted tells whether a handler has said so.
func (r *Request) Noted(what string) bool {
	notes, ok := r.Context().Value(notesKey{}).(*notes)
	if !ok {
		return false
	}
	notes.mutex.Lock()
	defer notes.mutex.Unlock()
	for _, one := range notes.all {
		if one == what {
			return true
		}
	}
	return false
}

// Private

// formLimit is how much of a form is read to find the account in it.
const formLimit = 64 << 10

// longestKey is how long a key may be before it is hashed.
const longestKey = 64

type notesKey struct{}

type notes struct {
	mutex sync.Mutex
	all   []string
}

func newRequest(r *http.Request, clients *Clients) *Request {
	client := clients.Address(r)
	return &Request{Request: r, Path: path.Clean("/" + r.URL.Path), Client: client, IP: clients.Bucket(client)}
}

// takeNotes gives handlers a place for Note.
func (r *Request) takeNotes() {
	r.Request = r.WithContext(context.WithValue(r.Context(), notesKey{}, &notes{}))
}

// formValue reads a form as a handler's FormValue would, whatever its encoding.
func (r *Request) formValue(field string) string {
	if r.form == nil {
		var read []byte
		if r.Body != nil && r.Body != http.NoBody {
			var err error
			read, err = io.ReadAll(io.LimitReader(r.Body, formLimit+1))
			r.truncated = len(read) > formLimit
			r.Body = rereadBody{io.MultiReader(bytes.NewReader(read), failing{err}, r.Body), r.Body}
		}
		r.form = &http.Request{Method: r.Method, URL: r.URL, Header: r.Header, Body: io.NopCloser(bytes.NewReader(read))}
	}
	return r.form.FormValue(field)
}

type rereadBody struct {
	io.Reader
	io.Closer
}

// failing repeats an error of the body to the next who reads it.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

func accountKey(account string) string {
	return "account " + hash(strings.ToLower(norm.NFKC.String(strings.TrimSpace(account))))
}

// normalizeKey is the one form of a rule's key: trimmed, in lower case, and of
// bounded length.
func normalizeKey(key string) string {
	key = strings.ToLower(strings.TrimSpace(key))
	if len(key) > longestKey {
		return hash(key)
	}
	return key
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
