package carry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"varde/study"
)

// maxAnswer is how much of a server's answer is read, bytes.
const maxAnswer = 8 << 20

// longestWait is how long a server may ask to be left alone, by Retry-After.
const longestWait = time.Hour

// A Web is how a server is reached over HTTP.
type Web struct {
	Base   string // URL without a slash at its end
	Client *http.Client
	// Authorize puts the credentials into a request; nil sends none.
	Authorize func(*http.Request) error
}

// NewClient makes a client that goes where it is sent and nowhere else: an answer
// that leads elsewhere is given back as it is, for a report must not follow it to
// another host or be turned into a GET. timeout bounds one request with its answer.
func NewClient(transport http.RoundTripper, timeout time.Duration) *http.Client {
	return &http.Client{Transport: transport, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// An answer is what a server said.
type answer struct {
	code   int
	header http.Header
	body   []byte
}

// ask sends one request. An error says that there was no whole answer: nobody knows
// whether the request was heard.
func (w Web) ask(ctx context.Context, method, path, contentType, accept string, body []byte) (a answer, err error) {
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(w.Base, "/")+path, bytes.NewReader(body))
	if err != nil {
		return a, hopeless(fmt.Errorf("the address is none: %w", study.ErrInvalid))
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	r.Header.Set("Accept", accept)
	if w.Authorize != nil {
		if err := w.Authorize(r); err != nil {
			return a, down(err)
		}
	}
	response, err := w.Client.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // which repeats the whole address
			err = u.Err
		}
		return a, down(fmt.Errorf("%s %s: %w", method, r.URL.Host, err))
	}
	defer func() { _ = response.Body.Close() }()
	a = answer{code: response.StatusCode, header: response.Header}
	if a.body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer+1)); err != nil {
		return a, down(fmt.Errorf("read the answer of %s: %w", r.URL.Host, err))
	}
	if len(a.body) > maxAnswer {
		a.body = nil // nothing that we look for is as long
	}
	return a, nil
}

// fault says what an answer means that is no success: servers that are busy or
// broken may take it later, and one that is not there or lets nobody in stands for a
// gateway whose server is away, or for a token that ran out: nothing else is worth a
// try, and all of it is kept. The others will say the same again.
func (a answer) fault(said string) error {
	err := fmt.Errorf("answered %d %s%s", a.code, http.StatusText(a.code), said)
	switch {
	case a.code >= 500 || a.code == http.StatusTooManyRequests || a.code == http.StatusRequestTimeout || a.code == http.StatusTooEarly:
		return &Fault{Err: err, After: a.after()}
	case a.code == http.StatusUnauthorized || a.code == http.StatusForbidden:
		return down(fmt.Errorf("%w: see the token and what its owner may do: %w", err, study.ErrRefused))
	case a.code == http.StatusNotFound:
		return down(fmt.Errorf("%w: see the address; it is tried again: %w", err, study.ErrNotFound))
	case a.code >= 300 && a.code < 400:
		return hopeless(fmt.Errorf("%w: it is elsewhere; write its new address: %w", err, study.ErrRefused))
	}
	return hopeless(fmt.Errorf("%w: %w", err, study.ErrRefused))
}

// after reads Retry-After, RFC 9110 §10.2.3: seconds or a date.
func (a answer) after() time.Duration {
	text := a.header.Get("Retry-After")
	wait := time.Duration(0)
	if n, err := strconv.Atoi(text); err == nil {
		wait = time.Duration(min(n, int(longestWait/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = time.Until(at)
	}
	return min(max(wait, 0), longestWait)
}
