// Command varde receives studies, runs AI models over them and writes the
// results back as structured reports. Each verb has a file of its own, which reads
// flags, calls one of the rooms below and prints:
//
//	settings     what an operator can say; everyone stands on it
//	house        the stages put together into a service, and the desk at its data folder
//	scu          the calling of DICOM nodes: send, echo
//	scoring      a model over files, with no service: score
//	modelcheck   a model against its own words: model check
//	deidentify   folders written again without the patient
//	doctor       what Varde stands on, looked at
//	statement    documents about an installation: docs
//	demo, bench  the whole house shown, and measured
//
// The rooms know no command line, and nothing is decided here.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"varde/cmd/varde/settings"
	"varde/internal/codec"
	"varde/internal/onnx"
	"varde/internal/slide/openslide"
)

// The exit codes beside 0.
const (
	exitFailed   = 1
	exitUsage    = 2
	exitFound    = 3  // doctor, verify and check found problems
	exitTryLater = 75 // EX_TEMPFAIL
)

// An exitError ends the program with a code of its own.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return e.err.Error() }
func (e exitError) Unwrap() error { return e.err }

func main() {
	if codec.ServeChild() || openslide.ServeChild() || onnx.ServeChild() { // this process does something risky for another one of ours
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	verbs, begun := root(), false
	watch(verbs, &begun)
	err := verbs.ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "varde:", err)
	code := exitFailed
	if !begun {
		code = exitUsage
	}
	if e, ok := errors.AsType[exitError](err); ok {
		code = e.code
	}
	os.Exit(code)
}

// watch notes when a verb begins: what fails before is wrong with the command
// line. A group of verbs by itself shows what there is, and refuses what there
// isn't.
func watch(c *cobra.Command, begun *bool) {
	run := c.RunE
	switch {
	case run != nil:
		c.RunE = func(cmd *cobra.Command, args []string) error {
			*begun = true
			return run(cmd, args)
		}
	case c.HasParent() && c.Run == nil:
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%s has no verb %q; %s --help lists them", cmd.CommandPath(), args[0], cmd.CommandPath())
			}
			return cmd.Help()
		}
	}
	for _, sub := range c.Commands() {
		watch(sub, begun)
	}
}

func root() *cobra.Command {
	c := &cobra.Command{
		Use:   "varde",
		Short: "AI inference for pathology and radiology: from a pushed study to a structured report",
		Long: "Varde receives studies, keeps them, runs AI models over them, and writes the results\n" +
			"back as structured reports. Decision support only, never a diagnosis.",
		Version:       settings.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return exitError{exitUsage, fmt.Errorf("unknown verb %q; varde --help lists them", args[0])}
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exitError{exitUsage, err} })
	c.AddCommand(demoVerb(), serveVerb(), workerVerb(), sendVerb(), echoVerb(), scoreVerb(), modelVerb(),
		worklistVerb(), pathwayVerb(), simulateVerb(), resultVerb(), userVerb(), auditVerb(), ledgerVerb(), configVerb(), doctorVerb(), docsVerb(),
		benchVerb(), deidentifyVerb(), holdVerb(), queueVerb(), deliveryVerb(), versionVerb())
	return c
}

// logger writes to stderr: JSON, or text on a terminal. stdout carries results
// only.
func logger(s settings.Settings) *slog.Logger {
	o := &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: inSeconds}
	if s.Log == "text" || s.Log != "json" && term.IsTerminal(int(os.Stderr.Fd())) {
		return slog.New(slog.NewTextHandler(os.Stderr, o))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, o))
}

// inSeconds writes durations as seconds, like every other time in the log.
func inSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.Float64Value(a.Value.Duration().Seconds())
	}
	return a
}
