package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// customer is a browser that records failures and goes on.
type customer struct {
	load *load
	http *http.Client
}

func (l *load) customer() *customer {
	jar, _ := cookiejar.New(nil) // never fails
	return &customer{load: l, http: &http.Client{Jar: jar, Transport: l.transport, Timeout: patience}}
}

func (c *customer) browse() {
	for _, path := range []string{"/", "/categories/galley", "/search?q=mug", "/cart"} {
		c.send(http.MethodGet, path, nil, http.StatusOK)
	}
}

// buy goes all the way from a product's page to its order's.
func (c *customer) buy(slug string, variant int64, quantity int) {
	if _, _, ok := c.send(http.MethodGet, "/products/"+slug, nil, http.StatusOK); !ok {
		return
	}
	if form, ok := c.checkOut(variant, quantity); ok {
		c.pay(form, variant, quantity)
	}
}

// buyAtTheSecondTry pays with a card at which the gateway stays silent, and
// then, in the form that the shop shows instead of an order, with one that
// works.
func (c *customer) buyAtTheSecondTry() {
	form, ok := c.checkOut(c.load.variant, 1)
	if !ok {
		return
	}
	form.Set("card", silentCard)
	_, page, ok := c.send(http.MethodPost, "/orders", strings.NewReader(form.Encode()), http.StatusGatewayTimeout)
	if !ok {
		return
	}
	if key := input(page, "checkout_key"); key != form.Get("checkout_key") || !strings.Contains(page, "did not answer in time") {
		c.load.failed("POST /orders: not the review page but %.300q", page)
		return
	}
	c.load.count(&c.load.silent)
	c.pay(form, c.load.variant, 1)
}

// upload sends a long form slowly, of a length that it may tell or not.
func (c *customer) upload(sized bool) {
	form := url.Values{"variant_id": {itoa(c.load.variant)}, "quantity": {"2"}, "note": {strings.Repeat("x", longForm)}}.Encode()
	var body io.Reader = &slowReader{rest: form, pieces: 12}
	if sized {
		body = sizedReader{body, int64(len(form))}
	}
	_, page, ok := c.send(http.MethodPost, "/cart/lines", body, http.StatusOK)
	if ok && !strings.Contains(page, "is in your cart") {
		c.load.failed("POST /cart/lines: not the cart but %.300q", page)
	}
	c.load.count(&c.load.uploads)
}

// Private

// checkOut fills a cart and returns the form that pays for it.
func (c *customer) checkOut(variant int64, quantity int) (form url.Values, ok bool) {
	wish := url.Values{"variant_id": {itoa(variant)}, "quantity": {strconv.Itoa(quantity)}}
	if _, _, ok := c.send(http.MethodPost, "/cart/lines", strings.NewReader(wish.Encode()), http.StatusOK); !ok {
		return nil, false
	}
	contact := url.Values{
		"email": {"ada@example.com"}, "name": {"Ada"}, "street": {"Quay 1"}, "postal_code": {"1"}, "city": {"Vienna"}, "country": {"AT"},
	}
	at, page, ok := c.send(http.MethodPost, "/checkout", strings.NewReader(contact.Encode()), http.StatusOK)
	if !ok {
		return nil, false
	}
	form = url.Values{"checkout_key": {input(page, "checkout_key")}, "reviewed": {input(page, "reviewed")}}
	if at != "/checkout/review" || form.Get("checkout_key") == "" {
		return nil, c.load.failed("POST /checkout: at %s %.300q", at, page)
	}
	return form, true
}

func (c *customer) pay(form url.Values, variant int64, quantity int) {
	form.Set("card", workingCard)
	at, page, ok := c.send(http.MethodPost, "/orders", strings.NewReader(form.Encode()), http.StatusOK)
	if !ok {
		return
	}
	if !orderLink.MatchString(at) || !strings.Contains(page, `id="order-state-`) {
		c.load.failed("POST /orders: at %s %.300q", at, page)
		return
	}
	c.load.mutex.Lock()
	defer c.load.mutex.Unlock()
	c.load.sold[at] = true
	c.load.units += quantity
	c.load.unitsOf[variant] += quantity
}

// send makes a request, follows where it leads and reads the whole page.
// Anything but the expected status is a failure.
func (c *customer) send(method, path string, body io.Reader, expected int) (at, page string, ok bool) {
	c.load.count(&c.load.requests)
	request, err := http.NewRequest(method, c.load.url+path, body)
	if err != nil {
		return "", "", c.load.failed("%s %s: %v", method, path, err)
	}
	if sized, is := body.(sizedReader); is {
		request.ContentLength = sized.size
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", c.load.url)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return "", "", c.load.failed("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return "", "", c.load.failed("%s %s: %s, then %v", method, path, response.Status, err)
	}
	if response.StatusCode != expected {
		return "", "", c.load.failed("%s %s: %s at %s: %.300q", method, path, response.Status, response.Request.URL.Path, content)
	}
	return response.Request.URL.Path, string(content), true
}

// input is the value of a form's hidden field, empty when there is none.
func input(page, name string) string {
	found := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(page)
	if found == nil {
		return ""
	}
	return found[1]
}

// slowReader takes a tenth of a second for each of its pieces.
type slowReader struct {
	rest   string
	pieces int
}

func (s *slowReader) Read(buffer []byte) (int, error) {
	if s.rest == "" {
		return 0, io.EOF
	}
	time.Sleep(100 * time.Millisecond)
	n := copy(buffer, s.rest[:(len(s.rest)+s.pieces-1)/s.pieces])
	s.rest, s.pieces = s.rest[n:], max(1, s.pieces-1)
	return n, nil
}

// sizedReader has a known length.
type sizedReader struct {
	io.Reader
	size int64
}
