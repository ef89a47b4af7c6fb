// Package scu calls DICOM nodes as a service class user does: [Echo] asks whether one
// is there, [Send] stores objects there, which [FromFiles] finds on the disk and
// [FromStudy] in a study that was drawn. The verbs echo and send, the demo, the
// doctor and the benchmarks call with it. [Propose] and [Store] are the halves of
// Send, for who holds the association themselves.
package scu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/study"
)

// An Object is what one C-STORE needs.
type Object struct {
	Name               string                        // in errors
	Class, UID, Syntax study.UID                     // of SOP, of the instance, of transfer
	Open               func() (io.ReadCloser, error) // the bare data set
}

// maxContexts is how many presentation contexts an association can hold: their
// identifiers are the odd numbers of one byte, PS3.8 §9.3.2.2.
const maxContexts = 128

// Echo asks a node at host:port whether it is there, by C-ECHO.
func Echo(ctx context.Context, d dimse.Dialer, addr string) error {
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

// FromFiles reads the headers of all files below the arguments. Files that
// are no DICOM are counted and passed over, as a folder from a CD holds others.
func FromFiles(args []string) (objects []Object, skipped int, err error) {
	for _, arg := range args {
		err := filepath.WalkDir(arg, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			o, err := fromFile(p)
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

func fromFile(path string) (Object, error) {
	h, err := dicom.ReadFile(path)
	if err != nil {
		return Object{}, err
	}
	_, in, err := h.Describe()
	if err != nil {
		return Object{}, err
	}
	return Object{Name: path, Class: in.Class, UID: in.UID, Syntax: h.TransferSyntax, Open: func() (io.ReadCloser, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		_, rest, err := dicom.DataSet(f)
		return dataSet{rest, f}, err
	}}, nil
}

// FromStudy gives the objects of a synthetic study.
func FromStudy(d studytest.Drawn) []Object {
	var objects []Object
	for _, o := range d.Objects {
		objects = append(objects, Object{Name: d.Name, Class: o.Class, UID: o.Instance, Syntax: o.Syntax,
			Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(o.DataSet)), nil }})
	}
	return objects
}

// Send stores objects over as many associations as their presentation
// contexts need, one after the other, and calls each, where there is one, after each
// object. It stops at the first refusal, and tells how many objects are stored.
func Send(ctx context.Context, d dimse.Dialer, addr string, objects []Object, each func()) (sent int, err error) {
	for len(objects) > 0 {
		contexts, n := Propose(objects)
		a, err := d.Dial(ctx, addr, contexts...)
		if err != nil {
			return sent, err
		}
		for _, o := range objects[:n] {
			if err := Store(ctx, a, o); err != nil {
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

// Propose gathers one context for each class and syntax of the first n objects.
func Propose(objects []Object) (contexts []dimse.Context, n int) {
	for _, o := range objects {
		c := dimse.Context{Class: o.Class, Syntaxes: []study.UID{o.Syntax}}
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

// Store stores one object over an association that has its context. A status that is
// neither success nor a warning is [study.ErrRefused].
func Store(ctx context.Context, a *dimse.Association, o Object) error {
	r, err := o.Open()
	if err != nil {
		return fmt.Errorf("open %s: %w", o.Name, err)
	}
	defer r.Close()
	status, err := a.Store(ctx, o.Class, o.UID, o.Syntax, r)
	if err != nil {
		return fmt.Errorf("send %s: %w", o.Name, err)
	}
	if !status.OK() {
		return fmt.Errorf("send %s: the receiver answers %v: %w", o.Name, status, study.ErrRefused)
	}
	return nil
}
