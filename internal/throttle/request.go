package throttle

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"sync"
)

// Request is a request as rules see it.
type Request struct {
	*http.Request

	// Path is the path of the URL, percent-decoded, without dot segments, double
	// slashes and a trailing slash.
	Path   string
	Client netip.Addr // zero when unknown
	IP     string     // key of the client: its address, or its network in IPv6

	Safelisted bool // no rule limits the client

	form      *http.Request // has the part of the body that was read; nil before
	truncated bool          // the body is longer than that part
	outcomes  []*Rule       // rules to call with the status of the response
}

// Is reports whether the request has this method and path.
func (r *Request) Is(method, path string) bool { return r.Method == method && r.Path == path }

// Below reports whether the path begins with prefix, such as "/admin/".
func (r *Request) Below(prefix string) bool { return strings.HasPrefix(r.Path, prefix) }

// PerIP is a key for Throttle and others: it counts the requests of each client.
func PerIP(r *Request) string { return r.IP }

// In matches requests of clients whose address is in one of networks.
func In(networks []netip.Prefix) func(*Request) bool {
	return func(r *Request) bool { return contains(networks, r.Client) }
}

// Account is a key for the account in a field of the form: a hash that is the
// same for all spellings, such as "  ADA@Example.com" and "ada@example.com". It
// is empty when the form has no such field. It reads at most 64 KiB of the body,
// which the handler can still read; larger forms share one key.
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

// Note lets a handler record something about its request, such as "declined",
// for a rule of Allow2BanByOutcome.
func Note(ctx context.Context, what string) {
	if notes, ok := ctx.Value(notesKey{}).(*notes); ok {
		notes.mutex.Lock()
		defer notes.mutex.Unlock()
		notes.all = append(notes.all, what)
	}
}

// Noted reports whether a handler recorded this with Note.
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

// formLimit is the largest part of a body, in bytes, that is read for an account.
const formLimit = 64 << 10

type notesKey struct{}

type notes struct {
	mutex sync.Mutex
	all   []string
}

func newRequest(r *http.Request, clients *Clients) *Request {
	client := clients.Address(r)
	return &Request{Request: r, Path: path.Clean("/" + r.URL.Path), Client: client, IP: clients.Bucket(client)}
}

// takeNotes makes Note work for the handlers of this request.
func (r *Request) takeNotes() {
	r.Request = r.WithContext(context.WithValue(r.Context(), notesKey{}, &notes{}))
}

// formValue reads a field of the form in any encoding, as http.Request.FormValue
// does, and leaves the body to be read again.
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

// failing returns an error of the body to the next reader too.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}
