package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// stage is where servers are compared: a database with the sample data, a directory of
// files, and the servers that run.
type stage struct {
	app       string // path of the program
	directory string
	servers   []*server
}

// prepareStage migrates and seeds the database.
func prepareStage(ctx context.Context, app string) (*stage, error) {
	for _, command := range []string{"migrate", "seed"} {
		if output, err := exec.CommandContext(ctx, app, command).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("app %s: %w\n%s", command, err, output)
		}
	}
	directory, err := os.MkdirTemp("", "bench-")
	return &stage{app: app, directory: directory}, err
}

// Private

// clear stops what still runs and removes the files.
func (s *stage) clear() {
	s.stop()
	_ = os.RemoveAll(s.directory)
}

// run keeps a server that was started, to stop it at the end.
func (s *stage) run(started *server, err error) (*server, error) {
	if err == nil {
		s.servers = append(s.servers, started)
	}
	return started, err
}

func (s *stage) stop() {
	for _, one := range s.servers {
		one.stop()
	}
	s.servers = nil
}

// site is what the bench asks of a site.
type site struct {
	page       string // path of a page that is cached
	stylesheet string // path
	category   string // path
	cart       string // the field Cookie of a visitor for whom pages are rendered
}

// explore finds a page and a style sheet behind the home page, writes them to files for
// the other contestants, and puts something into a cart.
func (s *stage) explore(ctx context.Context, web *server) (site, error) {
	home, err := get(ctx, web.url("/"))
	if err != nil {
		return site{}, err
	}
	product, style, category := lastProduct.FindSubmatch(home), firstStyle.FindSubmatch(home), lastCategory.FindSubmatch(home)
	if product == nil || style == nil || category == nil {
		return site{}, errors.New("the home page has no link to a product or to a category, or no style sheet")
	}
	found := site{page: string(product[1]), stylesheet: string(style[1]), category: string(category[1])}
	page, err := get(ctx, web.url(found.page))
	if err != nil {
		return site{}, err
	}
	css, err := get(ctx, web.url(found.stylesheet))
	if err != nil {
		return site{}, err
	}
	if err := errors.Join(s.write("page.html", page), s.write("style.css", css)); err != nil {
		return site{}, err
	}
	variant := firstVariant.FindSubmatch(page)
	if variant == nil {
		return site{}, fmt.Errorf("%s has no form for the cart", found.page)
	}
	found.cart, err = fillCart(ctx, web, string(variant[1]))
	return found, err
}

var (
	lastProduct  = regexp.MustCompile(`(?s).*href="(/products/[^"]+)"`)
	firstStyle   = regexp.MustCompile(`href="(/assets/[^"]+\.css)"`)
	lastCategory = regexp.MustCompile(`(?s).*href="(/categories/[^"]+)"`)
	firstVariant = regexp.MustCompile(`name="variant_id"[^>]*value="(\d+)"`)
)

// fillCart puts a variant into a new cart, says where its order goes, and returns the
// field Cookie of its visitor.
func fillCart(ctx context.Context, web *server, variant string) (string, error) {
	cookies, err := post(ctx, web.url("/cart/lines"), url.Values{"variant_id": {variant}, "quantity": {"1"}})
	if err != nil {
		return "", err
	}
	for _, cookie := range cookies {
		if !strings.HasSuffix(cookie.Name, "cart") {
			continue
		}
		field := "Cookie: " + cookie.Name + "=" + cookie.Value
		_, err := post(ctx, web.url("/checkout"), url.Values{
			"email": {"visitor@shop.example.com"}, "name": {"Visitor of a bench"}, "street": {"1 Quay"}, "postal_code": {"1000"},
			"city": {"Harbour"}, "country": {"DE"},
		}, field)
		return field, err
	}
	return "", fmt.Errorf("putting the variant %s into a cart sets no cookie", variant)
}

// post sends a form, as a browser does from a page of the site. It returns the cookies of
// the response, which must redirect.
func post(ctx context.Context, url string, form url.Values, fields ...string) ([]*http.Cookie, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Host = host
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", "https://"+host)
	setFields(request.Header, fields)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusSeeOther {
		return nil, fmt.Errorf("post a form to %s: %s", url, response.Status)
	}
	return response.Cookies(), nil
}

// write writes a file and its .gz into the directory of the bench.
func (s *stage) write(name string, content []byte) error {
	path := filepath.Join(s.directory, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(path, content, 0o600), os.WriteFile(path+".gz", inGzip(content), 0o600))
}

func inGzip(content []byte) []byte {
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression) // the level is valid
	_, _ = w.Write(content)
	_ = w.Close()
	return packed.Bytes()
}

func get(ctx context.Context, url string, fields ...string) ([]byte, error) {
	response, err := request(ctx, url, fields...)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, response.Status)
	}
	return body, err
}
