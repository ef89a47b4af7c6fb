// Package scu calls DICOM nodes as a service class user does: [Echo] asks whether one
// is there, [Send] stores objects there, which [Find] finds on the disk and
// [FromStudy] in a study that was drawn. The verbs echo and send, the demo, the
// doctor and the benchmarks call with it. Send stops at the first refusal; a [Sender]
// goes on, calls again when an association breaks, and tells of each object that is
// not there at the end. [Propose] and [Store] are the halves of Send, for who holds
// the association themselves.
package scu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
