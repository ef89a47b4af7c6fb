// Package webuitest drives Debian's Chromium in tests of pages, and holds every
// page against what all pages promise.
//
//	Open             a browser, or a skipped test where there is none
//	Browser.Promises no foreign request, no breach of the policy, no fault of accessibility
//	Browser.Shot     a picture, when VARDE_SHOTS names a folder for it
//
// axe-core 4.14.1 (MPL-2.0, axe.LICENSE) lies here unchanged; it is linked into
// tests only.
package webuitest

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Axe is the accessibility checker, as it was published.
//
//go:embed axe.min.js
var Axe string

// patience is how long a page may take to do anything, on a busy machine.
const patience = 30 * time.Second

// A Browser is one window. Its methods fail the test by themselves.
type Browser struct {
	t   testing.TB
	ctx context.Context
}

// Open starts a browser with a window of the given size that prefers the given
// language and no motion, and ends with the test. Flags are Chromium's beyond ours,
// without their dashes: "disable-3d-apis", "use-angle=swiftshader", or
// "disable-gpu=false" for one that is not to be set. Without Chromium the test is
// skipped, except under CI=true, where it fails.
func Open(t testing.TB, width, height int, lang string, flags ...string) *Browser {
	t.Helper()
	bin, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is not installed: apt-get install chromium")
		}
		t.Skip("chromium is not installed")
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.Headless, chromedp.ExecPath(bin), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.WindowSize(width, height), chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("accept-lang", lang), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("hide-scrollbars", true), chromedp.Flag("force-prefers-reduced-motion", true),
	}
	for _, f := range flags {
		name, value, valued := strings.Cut(f, "=")
		switch {
		case !valued:
			options = append(options, chromedp.Flag(name, true))
		case value == "false":
			options = append(options, chromedp.Flag(name, false))
		default:
			options = append(options, chromedp.Flag(name, value))
		}
	}
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, closeWindow := chromedp.NewContext(ctx, chromedp.WithErrorf(t.Logf))
	t.Cleanup(closeWindow)
	// The browser lives as long as the context of its first step: no time limit
	// on this one.
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(int64(width), int64(height))); err != nil {
		t.Fatal(err)
	}
	return &Browser{t, ctx}
}

func (b *Browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// Go opens an address and waits until the page is there. Chromium gives a way up when
// the page that is left is itself on its way to another at that moment; then it is
// gone again.
func (b *Browser) Go(url string) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	for {
		err := chromedp.Do(ctx, chromedp.Navigate(url))
		var given *chromedp.LoadError
		switch {
		case err == nil:
			return
		case !errors.As(err, &given) || given.ErrorText != "net::ERR_ABORTED":
			b.t.Fatal(err)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			b.t.Fatalf("%s: %v", url, err)
		}
	}
}

// Keys presses keys one after the other; those without a sign are constants of
// chromedp's package kb. A page that is on its way is waited for, that it may hear them.
func (b *Browser) Keys(keys string) {
	b.t.Helper()
	b.Until(`document.readyState === 'complete'`)
	b.do(chromedp.KeyEvent(keys))
}

// A Point is a place in the window, in CSS pixels.
type Point struct{ X, Y float64 }

// Hover moves the mouse to a point.
func (b *Browser) Hover(p Point) {
	b.t.Helper()
	b.do(chromedp.MouseEvent(chromedp.MouseMoved, p.X, p.Y))
}

// Press clicks at a point.
func (b *Browser) Press(p Point) {
	b.t.Helper()
	b.do(chromedp.MouseEvent(chromedp.MouseMoved, p.X, p.Y), chromedp.MouseClickXY(p.X, p.Y))
}

// Drag moves the mouse from one point to another with its left button down.
func (b *Browser) Drag(from, to Point) {
	b.t.Helper()
	left := chromedp.ButtonType("left")
	b.do(chromedp.MouseEvent(chromedp.MouseMoved, from.X, from.Y),
		chromedp.MouseEvent(chromedp.MousePressed, from.X, from.Y, left, chromedp.ClickCount(1)),
		chromedp.MouseEvent(chromedp.MouseMoved, (from.X+to.X)/2, (from.Y+to.Y)/2, left),
		chromedp.MouseEvent(chromedp.MouseMoved, to.X, to.Y, left),
		chromedp.MouseEvent(chromedp.MouseReleased, to.X, to.Y, left, chromedp.ClickCount(1)))
}

// Click clicks the first element of a CSS selector with the mouse, and returns when
// that element has had the click: a page that is drawn anew or gives way to another
// one meanwhile is waited for, and asked again.
func (b *Browser) Click(css string) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	for {
		had, err := b.click(ctx, css, rand.Text())
		switch {
		case had:
			return
		case ctx.Err() != nil:
			b.t.Fatalf("nothing to click at %s: %v", css, errors.Join(err, ctx.Err()))
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// aim finds where an element is to be clicked, and leaves a mark in the window's own
// store when it was: that store outlives a change of the page, so a click that led
// away is told from one that came too late. It gives no point while the element is
// not there, not in view, covered, or moving.
const aim = `(async (css, mark) => {
	if (document.readyState !== 'complete') return [];
	const el = document.querySelector(css);
	if (!el) return [];
	el.scrollIntoViewIfNeeded();
	const middle = () => {
		const r = el.getClientRects()[0];
		return r && r.width && r.height ? [r.x + r.width / 2, r.y + r.height / 2] : [];
	};
	const was = middle();
	await new Promise(done => setTimeout(done, 5));
	const at = middle();
	if (!at.length || !el.isConnected || at[0] !== was[0] || at[1] !== was[1]) return [];
	const hit = document.elementFromPoint(...at);
	if (!hit || !(el.contains(hit) || el.labels && [...el.labels].some(l => l.contains(hit)))) {
		el.scrollIntoView({block: 'center', behavior: 'instant'});
		return [];
	}
	el.addEventListener('click', () => sessionStorage.setItem('webuitest', mark), {capture: true, once: true});
	return at;
})`

// click aims and clicks once. It tells whether the element had the click; an error is
// what the page or the browser had against it this time.
func (b *Browser) click(ctx context.Context, css, mark string) (bool, error) {
	at, err := chromedp.Run(ctx, chromedp.Evaluate[[]float64](fmt.Sprintf("%s(%q, %q)", aim, css, mark), chromedp.EvalAwaitPromise))
	if err != nil || len(at) != 2 {
		return false, err
	}
	err = chromedp.Do(ctx, chromedp.MouseClickXY(at[0], at[1]))
	for ctx.Err() == nil { // the page may be changing for another one at this moment
		had, unread := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf("sessionStorage.getItem('webuitest') === %q", mark)))
		if unread == nil {
			return had, err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false, err
}

// Eval gives the value of a JavaScript expression. A page that gives way to another
// one meanwhile is left for that one, which is asked instead.
func Eval[T any](b *Browser, js string) T {
	b.t.Helper()
	v, err := eval[T](b, js)
	for range 5 {
		if err == nil || !leaving(err) {
			break
		}
		b.Until(`document.readyState === 'complete'`)
		v, err = eval[T](b, js)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// leaving tells whether an error says that the page asked is no longer there.
func leaving(err error) bool {
	for _, words := range []string{"context was destroyed", "Cannot find context", "navigated or closed"} {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}

func eval[T any](b *Browser, js string) (T, error) {
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		return v, fmt.Errorf("%s: %w", js, err)
	}
	return v, nil
}

// Until waits for a JavaScript expression to be true. A page that is changing
// for another one counts as not yet.
func (b *Browser) Until(js string) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	for {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`Boolean(`+js+`)`))
		switch {
		case ok:
			return
		case ctx.Err() != nil:
			b.t.Fatalf("never came true: %s (%v)", js, errors.Join(err, ctx.Err()))
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// Leads does what leads to another page, and waits until that one is there: also one
// that looks as this one does.
func (b *Browser) Leads(do func()) {
	b.t.Helper()
	Eval[bool](b, `window.webuitestLeft = true`)
	do()
	b.Until(`!window.webuitestLeft && document.readyState === 'complete'`)
}

// Promises holds the page in view against what every page promises: it has asked
// no other host for anything, it has not come into conflict with its own policy,
// and axe finds no fault by WCAG 2.2 A and AA. A page that gives way to another one
// meanwhile is left for that one.
func (b *Browser) Promises() {
	b.t.Helper()
	var faults []string
	var err error
	for range 5 {
		if faults, err = b.faults(); err == nil {
			break
		}
		b.Until(`document.readyState === 'complete'`)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	if len(faults) > 0 {
		b.t.Errorf("%s: %s", Eval[string](b, `location.pathname`), strings.Join(faults, "\n"))
	}
}

// faults lists what breaks a promise.
func (b *Browser) faults() (all []string, err error) {
	for _, look := range []struct{ what, js string }{
		{"a request to another host", `performance.getEntriesByType('resource').map(e => e.name)
			.filter(u => /^https?:/.test(u) && new URL(u).origin !== location.origin)`},
		{"a breach of the content security policy", `new Promise(done => {
			const all = [];
			new ReportingObserver(rs => all.push(...rs.map(r => r.body.effectiveDirective + ' ' + r.body.blockedURL)),
				{types: ['csp-violation'], buffered: true}).observe();
			setTimeout(() => done(all), 50);
		})`},
		{"", Axe + `; []`},
		{"axe finds", `axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})
			.then(r => r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.target.join(' ') + ' ' + (n.any[0]?.message ?? '')).join('; ')))`},
	} {
		found, err := eval[[]string](b, look.js)
		if err != nil {
			return nil, fmt.Errorf("look for %s: %w", look.what, err)
		}
		for _, f := range found {
			all = append(all, look.what+" "+f)
		}
	}
	return all, nil
}

// Shot keeps a picture of the window as NAME.png in the folder that the
// environment names as VARDE_SHOTS, and does nothing without it.
func (b *Browser) Shot(name string) {
	b.t.Helper()
	dir := os.Getenv("VARDE_SHOTS")
	if dir == "" {
		return
	}
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
