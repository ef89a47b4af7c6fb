package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/study"
)

// An outgoing object is what one C-STORE needs.
type outgoing struct {
	name             string
	class, uid, kind study.UID                     // kind is the transfer syntax
	open             func() (io.ReadCloser, error) // the bare data set
}

// maxContexts is how many presentation contexts an association can hold: their
// identifiers are the odd numbers of one byte, PS3.8 §9.3.2.2.
const maxContexts = 128

func sendVerb() *cobra.Command {
	var as speaker
	var asJSON bool
	c := &cobra.Command{
		Use:   "send HOST:PORT FILE|FOLDER…",
		Short: "Send DICOM files by C-STORE",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := as.dialer(args[0])
			if err != nil {
				return err
			}
			objects, skipped, err := outgoingFiles(args[1:])
			if err != nil {
				return err
			}
			began := time.Now()
			sent, err := sendAll(cmd.Context(), d, args[0], objects, nil)
			if asJSON {
				_ = json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"sent": sent, "of": len(objects),
					"not_dicom": skipped, "seconds": time.Since(began).Seconds()})
			} else {
				fmt.Fprintf(cmd.OutOrStdout(), "%d of %d objects sent in %.1f s; %d files were not DICOM\n",
					sent, len(objects), time.Since(began).Seconds(), skipped)
			}
			return err
		},
	}
	as.bind(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print the outcome as JSON")
	return c
}

func echoVerb() *cobra.Command {
	var as speaker
	c := &cobra.Command{
		Use:   "echo HOST:PORT",
		Short: "Ask a DICOM node whether it is there (C-ECHO)",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := as.dialer(args[0])
			if err != nil {
				return err
			}
			began := time.Now()
			if err := echo(cmd.Context(), d, args[0]); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s at %s answers in %d ms\n", d.Called, args[0], time.Since(began).Milliseconds())
			return nil
		},
	}
	as.bind(c.Flags())
	return c
}

func echo(ctx context.Context, d dimse.Dialer, addr string) error {
	a, err := d.Dial(ctx, addr, dimse.Context{Class: dicom.Verification, Syntaxes: []study.UID{dicom.ImplicitLE}})
	if err != nil {
		return err
	}
	defer a.Release()
	status, err := a.Echo(ctx)
	if err == nil && status != dimse.Success {
		err = fmt.Errorf("C-ECHO to %s at %s: status %v: %w", d.Called, addr, status, study.ErrRefused)
	}
	return err
}

// outgoingFiles reads the headers of all files below the arguments. Files that
// are no DICOM are counted and passed over, as a folder from a CD holds others.
func outgoingFiles(args []string) (objects []outgoing, skipped int, err error) {
	for _, arg := range args {
		err := filepath.WalkDir(arg, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			o, err := outgoingFile(p)
			switch {
			case errors.Is(err, study.ErrInvalid):
				skipped++
				return nil
			case err != nil:
				return err
			}
			objects = append(objects, o)
			return nil
		})
		if err != nil {
			return nil, 0, fmt.Errorf("read %s: %w", arg, err)
		}
	}
	if len(objects) == 0 {
		return nil, skipped, fmt.Errorf("none of the %d files is DICOM: %w", skipped, study.ErrInvalid)
	}
	return objects, skipped, nil
}

// A dataSet is the rest of an open file behind its meta information.
type dataSet struct {
	io.Reader
	io.Closer
}

func outgoingFile(path string) (outgoing, error) {
	h, err := dicom.ReadFile(path)
	if err != nil {
		return outgoing{}, err
	}
	_, in, err := h.Describe()
	if err != nil {
		return outgoing{}, err
	}
	return outgoing{name: path, class: in.Class, uid: in.UID, kind: h.TransferSyntax, open: func() (io.ReadCloser, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		_, rest, err := dicom.DataSet(f)
		return dataSet{rest, f}, err
	}}, nil
}

// outgoingDrawn sends a synthetic study.
func outgoingDrawn(d studytest.Drawn) []outgoing {
	var objects []outgoing
	for _, o := range d.Objects {
		objects = append(objects, outgoing{name: d.Name, class: o.Class, uid: o.Instance, kind: o.Syntax,
			open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(o.DataSet)), nil }})
	}
	return objects
}

// sendAll stores objects over as many associations as their presentation
// contexts need, one after the other, and calls each after each object. It
// stops at the first refusal.
func sendAll(ctx context.Context, d dimse.Dialer, addr string, objects []outgoing, each func()) (sent int, err error) {
	for len(objects) > 0 {
		contexts, n := propose(objects)
		a, err := d.Dial(ctx, addr, contexts...)
		if err != nil {
			return sent, err
		}
		for _, o := range objects[:n] {
			if err := sendOne(ctx, a, o); err != nil {
				return sent, errors.Join(err, a.Release())
			}
			sent++
			if each != nil {
				each()
			}
		}
		if err := a.Release(); err != nil {
			return sent, err
		}
		objects = objects[n:]
	}
	return sent, nil
}

// propose gathers one context for each class and syntax of the first n objects.
func propose(objects []outgoing) (contexts []dimse.Context, n int) {
	for _, o := range objects {
		c := dimse.Context{Class: o.class, Syntaxes: []study.UID{o.kind}}
		known := slices.ContainsFunc(contexts, func(k dimse.Context) bool {
			return k.Class == c.Class && k.Syntaxes[0] == c.Syntaxes[0]
		})
		if !known {
			if len(contexts) == maxContexts {
				break
			}
			contexts = append(contexts, c)
		}
		n++
	}
	return contexts, n
}

func sendOne(ctx context.Context, a *dimse.Association, o outgoing) error {
	r, err := o.open()
	if err != nil {
		return fmt.Errorf("open %s: %w", o.name, err)
	}
	defer r.Close()
	status, err := a.Store(ctx, o.class, o.uid, o.kind, r)
	if err != nil {
		return fmt.Errorf("send %s: %w", o.name, err)
	}
	if !status.OK() {
		return fmt.Errorf("send %s: the receiver answers %v: %w", o.name, status, study.ErrRefused)
	}
	return nil
}
