package dicom

import (
	"fmt"
	"strings"
)

// A Tag names an attribute: group<<16 | element. The constants of this package
// bear the keywords of PS3.6.
type Tag uint32

// Group is the first half of the tag.
func (t Tag) Group() uint16 { return uint16(t >> 16) }

// Element is the second half of the tag.
func (t Tag) Element() uint16 { return uint16(t) }

// Private reports whether a vendor, and not the standard, gives the tag its meaning.
func (t Tag) Private() bool { return t.Group()&1 == 1 }

// String writes the tag as the standard does: (0010,0010).
func (t Tag) String() string { return fmt.Sprintf("(%04X,%04X)", t.Group(), t.Element()) }

// Keyword gives the name of PS3.6, or the empty string for a tag that the
// dictionary does not know.
func (t Tag) Keyword() string {
	_, keyword := t.definition()
	return keyword
}

// VRs gives the value representations that PS3.6 allows, the usual one first;
// none for a tag that the dictionary does not know.
func (t Tag) VRs() []string {
	switch {
	case t.Private() && t.Element() >= 0x10 && t.Element() <= 0xFF:
		return []string{"LO"} // private creator, PS3.5 §7.8.1
	case t == EncapsulatedPixelDataValueTotalLength:
		return []string{"UV"}
	case t.Private():
		return nil
	}
	vrs, _ := t.definition()
	switch {
	case vrs != "":
		return strings.Split(vrs, "/")
	case t.Element() == 0:
		return []string{"UL"} // group length, PS3.5 §7.2
	}
	return nil
}

// definition gives what PS3.6 says of the tag: value representations, divided by
// a slash, and the keyword. Repeating groups (PS3.5 §7.6) are known by the first
// of them.
func (t Tag) definition() (vrs, keyword string) {
	g := t.Group()
	if g&1 == 0 && (g > 0x5000 && g <= 0x50FF || g > 0x6000 && g <= 0x60FF) {
		g &= 0xFF00
	}
	text, _ := lookUp(dictionary, fmt.Sprintf("%04X%04X", g, t.Element()))
	vrs, keyword, _ = strings.Cut(text, " ")
	return vrs, keyword
}
