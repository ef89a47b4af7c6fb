package dicom

import "varde/internal/dicom/charset"

// charset finds the character set in force: the data set's own, or that of the
// one around it, PS3.5 §7.5.3.
func (d *Dataset) charset() charset.Set {
	for x := d; x != nil; x = x.outer {
		e, ok := x.ownCharset()
		if !ok {
			continue
		}
		if c := charset.Parse(string(e.Value)); c.Named() {
			return c
		}
		break
	}
	return charset.Parse(d.doc.fallback)
}

// ownCharset finds (0008,0005), which stands before almost everything else: that
// the search ends there keeps it cheap for each of a million texts.
func (d *Dataset) ownCharset() (Element, bool) {
	for i := d.from; i < d.to && d.doc.entries[i].tag <= SpecificCharacterSet; i = d.doc.entries[i].end {
		if d.doc.entries[i].tag == SpecificCharacterSet {
			return d.element(i), true
		}
	}
	return Element{}, false
}

// ends are the characters that end a value or a component of it.
func (v vr) ends() string {
	switch {
	case v == vrPN:
		return `\^=`
	case v.single():
		return ""
	}
	return `\`
}
