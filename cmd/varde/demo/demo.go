// Package demo is the newcomer's first minute: [Demo.Run] draws studies of known truth,
// pushes them through a whole house over its own doors, and holds scores, places,
// reports and the reading order against what was drawn and what is known by hand. It
// shows each step as it comes. Nobody's data and nothing else installed is needed.
//
// demo.go is the walk, story.go the morning that is drawn, and steps.go what is done
// and looked at.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/cmd/varde/house"
	"varde/cmd/varde/settings"
	"varde/internal/webui"
)

// A Demo is the main job on synthetic studies.
type Demo struct {
	settings.Settings           // of which the folder and the doors are the demo's own
	Exit              bool      // end after the result instead of serving on
	AsJSON            bool      // print the result as JSON
	Out               io.Writer // gets each step and the result

	began  time.Time
	steps  []demoStep
	reader string // a link that signs in as a reader, who answers before the AI is shown
}

// A demoStep is one thing that had to hold.
type demoStep struct {
	What    string  `json:"step"`
	OK      bool    `json:"ok"`
	Seconds float64 `json:"at_seconds"` // since the start
	Detail  string  `json:"detail,omitempty"`
}

// demoLimit is how long the studies may take to be reported.
const demoLimit = 100 * time.Second

// Run runs the demo in a folder that is removed at the end, or in dir, which stays.
// It is nil only if every step held, or the user had seen enough.
func (d *Demo) Run(ctx context.Context, dir string) error {
	d.began = time.Now()
	if d.Dir = dir; dir == "" {
		temp, err := os.MkdirTemp("", "varde-demo-")
		if err != nil {
			return fmt.Errorf("make a folder for the demo; name one with --dir: %w", err)
		}
		defer os.RemoveAll(temp)
		d.Dir = temp
	}
	if d.DICOMAddr == "" {
		d.DICOMAddr = settings.Defaults().DICOMAddr // the demo sends to itself
	}
	d.DICOMAddr, d.HTTPAddr = usable(d.DICOMAddr), usable(d.HTTPAddr)
	d.HL7Addr = "127.0.0.1:0" // the demo's orders come from itself
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	h, err := house.Open(ctx, d.Settings, log, true)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	var g errgroup.Group
	g.Go(func() error { return h.Run(serving) })
	d.step("ready", nil, "DICOM %s, AE title %s; ONNX Runtime %s; nothing else installed", h.DICOM.Addr(), h.AET, h.Runtime.Info().Version)
	err = d.show(ctx, h)
	if err == nil && !d.Exit {
		<-ctx.Done()
	}
	stop()
	return errors.Join(err, g.Wait(), h.Close())
}

// show pushes the studies through and tells what came of them.
func (d *Demo) show(ctx context.Context, h *house.House) error {
	limited, cancel := context.WithTimeout(ctx, demoLimit)
	defer cancel()
	exams, err := morning()
	d.step("drawn", err, "%d synthetic studies of known truth, %d objects", len(exams), count(drawnOf(exams)))
	if err == nil {
		err = d.order(limited, h, exams)
	}
	if err == nil {
		err = d.send(limited, h, drawnOf(exams))
	}
	var rows []demoRow
	if err == nil {
		rows, err = d.await(limited, h, exams)
	}
	if err == nil {
		err = d.readBack(limited, h, rows)
	}
	var places []demoPlace
	if err == nil {
		places, err = d.list(limited, h, exams)
	}
	agree := err == nil && d.judge(rows)
	url := "http://" + h.Web.Addr().String() + h.Site.Invite(webui.Identity{Name: "demo", Role: webui.Admin}, 12*time.Hour)
	d.reader = "http://" + h.Web.Addr().String() + h.Site.Invite(webui.Identity{Name: "demo reader", Role: webui.Reader}, 12*time.Hour)
	d.report(rows, places, url, agree)
	switch {
	case ctx.Err() != nil:
		return nil // the user has seen enough
	case err != nil:
		return fmt.Errorf("demo: %w", err)
	case !agree:
		return errors.New("demo: score and planted truth do not agree")
	}
	return nil
}

// usable gives an address that can be listened on: the one asked for, or
// another port of the same host when it is in use.
func usable(addr string) string {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		_ = l.Close()
		return addr
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr // the start will say what is wrong with it
	}
	return net.JoinHostPort(host, "0")
}

// step notes and shows one thing that had to hold.
func (d *Demo) step(what string, err error, format string, args ...any) {
	s := demoStep{What: what, OK: err == nil, Seconds: time.Since(d.began).Seconds(), Detail: fmt.Sprintf(format, args...)}
	if err != nil {
		s.Detail = err.Error()
	}
	d.steps = append(d.steps, s)
	if d.AsJSON {
		return
	}
	mark := map[bool]string{true: "ok  ", false: "FAIL"}[s.OK]
	fmt.Fprintf(d.Out, "%6.1f s  %s %-10s %s\n", s.Seconds, mark, what, s.Detail)
}
