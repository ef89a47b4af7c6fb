package format

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	// maxDepth and maxElements bound what is kept of a maker's XML.
	maxDepth    = 64
	maxElements = 1 << 16
	// maxValue is how much of an element's text is kept: labels in base64 are
	// not wanted, and what is wanted is short.
	maxValue = 256
)

// A node is an element of a maker's XML: its name without a name space, its
// attributes, its children, and the beginning of its text.
type node struct {
	name     string
	attrs    map[string]string
	children []*node
	text     string
}

// attr gives an attribute without blanks around it.
func (n *node) attr(name string) string { return strings.TrimSpace(n.attrs[name]) }

// all gives the children of a name.
func (n *node) all(name string) []*node {
	var out []*node
	for _, c := range n.children {
		if c.name == name {
			out = append(out, c)
		}
	}
	return out
}

// child gives the first child at the end of a path of names, or an empty node.
func (n *node) child(path ...string) *node {
	for _, name := range path {
		i := slices.IndexFunc(n.children, func(c *node) bool { return c.name == name })
		if i < 0 {
			return &node{}
		}
		n = n.children[i]
	}
	return n
}

// find gives the first element of a name, wherever it is, or nil.
func (n *node) find(name string) *node {
	if n.name == name {
		return n
	}
	for _, c := range n.children {
		if found := c.find(name); found != nil {
			return found
		}
	}
	return nil
}

// document reads the XML that a tag holds, bit by bit: what is long in it is not
// kept, and neither is an element that pass, if there is one, looks at and is
// done with.
func (s *source) document(d *directory, tag uint16, pass func(*node) bool) (*node, error) {
	e := d.tags[tag]
	if e.count > maxText || e.kind != 1 && e.kind != 2 && e.kind != 7 {
		return nil, damaged("XML of %d bytes in TIFF type %d", e.count, e.kind)
	}
	body, _, err := s.raw(e)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	root, err := parse(body, pass)
	if err != nil {
		return nil, fmt.Errorf("XML of tag %d: %w", tag, err)
	}
	return root, nil
}

// parse reads one document. What stands behind its end pads it.
func parse(r io.Reader, pass func(*node) bool) (*node, error) {
	way := &trouble{r: r}
	in := xml.NewDecoder(way)
	// Makers write in ASCII whatever they declare; numbers and names, which are
	// all that is wanted, are the same in every set of characters.
	in.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	top := &node{}
	stack := []*node{top}
	for elements := 0; ; {
		token, err := in.RawToken()
		switch {
		case way.err != nil:
			return nil, way.err
		case err == io.EOF:
			return nil, damaged("it ends amid an element")
		case err != nil:
			return nil, damaged("%v", err)
		}
		at := stack[len(stack)-1]
		switch t := token.(type) {
		case xml.StartElement:
			n := &node{name: t.Name.Local}
			for _, a := range t.Attr {
				if n.attrs == nil {
					n.attrs = map[string]string{}
				}
				n.attrs[a.Name.Local] = clip(a.Value)
			}
			if pass == nil || !pass(n) {
				elements++
				at.children = append(at.children, n)
			}
			if stack = append(stack, n); elements > maxElements || len(stack) > maxDepth {
				return nil, damaged("more than %d elements, or %d in each other", maxElements, maxDepth)
			}
		case xml.EndElement:
			if at.name != t.Name.Local {
				return nil, damaged("element %s ends as %s", clip(at.name), clip(t.Name.Local))
			}
			if stack = stack[:len(stack)-1]; len(stack) == 1 {
				return at, nil
			}
		case xml.CharData:
			at.text = clip(at.text + clip(string(t)))
		}
	}
}

// trouble tells what goes wrong on the way to a text from damage of the text.
type trouble struct {
	r   io.Reader
	err error
}

// Read hands bytes on.
func (t *trouble) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if err != nil && err != io.EOF {
		t.err = err
	}
	return n, err
}

func clip(s string) string {
	if len(s) > maxValue {
		return strings.Clone(s[:maxValue])
	}
	return s
}
