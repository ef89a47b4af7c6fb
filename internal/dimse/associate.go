package dimse

import (
	"encoding/binary"
	"strings"

	"varde/internal/dicom"
	"varde/study"
)

// The items of association PDUs, PS3.8 §9.3.2 and Annex D, PS3.7 Annex D. Others
// (asynchronous operations 53, extended negotiation 56 and 57, user identity 58) are skipped: leaving them unanswered is the standard's way of
// saying that the defaults hold.
const (
	itemApplication   = 0x10
	itemContextRQ     = 0x20
	itemContextAC     = 0x21
	itemAbstract      = 0x30
	itemSyntax        = 0x40
	itemUser          = 0x50
	itemMaxLength     = 0x51
	itemClassUID      = 0x52
	itemRole          = 0x54
	itemVersionName   = 0x55
	protocolVersion1  = 1 // bit 0
	associateFixedLen = 68
)

// Results of a presentation context, PS3.8 table 9-18.
const (
	contextAccepted       = 0
	contextNoReason       = 2
	contextAbstractSyntax = 3
	contextTransferSyntax = 4
)

// An associate is an A-ASSOCIATE-RQ or -AC.
type associate struct {
	version         uint16
	called, calling string // trimmed
	application     study.UID
	contexts        []contextItem
	maxLength       uint32 // of a data PDU that the sender of this wants to get; 0 = no limit
	roles           []role
	class           string // implementation
	versionName     string
}

// A role is which roles the one who asked for the association may play for a
// class, PS3.7 §D.3.3.4: proposed or granted. Without one it is the user (SCU).
type role struct {
	class    study.UID // not checked
	scu, scp bool
}

// A contextItem is a presentation context, proposed or answered.
type contextItem struct {
	id       byte
	result   byte      // of an answer
	abstract study.UID // of a proposal; not checked
	syntaxes []study.UID
}

// decodeAssociate reads the body of an A-ASSOCIATE-RQ or, with ac, of an -AC. Its
// errors are aborts. Items that it does not know are skipped (PS3.8 §9.3.1).
func decodeAssociate(b []byte, ac bool) (associate, error) {
	if len(b) < associateFixedLen {
		return associate{}, broken(reasonInvalidPart, "association PDU of %d bytes", len(b))
	}
	a := associate{
		version: binary.BigEndian.Uint16(b),
		called:  trimAE(b[4:20]),
		calling: trimAE(b[20:36]),
	}
	contextKind := byte(itemContextRQ)
	if ac {
		contextKind = itemContextAC
	}
	used := map[byte]bool{}
	err := items(b[associateFixedLen:], func(kind byte, v []byte) error {
		switch kind {
		case itemApplication:
			a.application = trimUID(v)
		case contextKind:
			c, err := decodeContext(v, ac)
			if err != nil {
				return err
			}
			if used[c.id] {
				return broken(reasonInvalidPart, "presentation context %d twice", c.id)
			}
			used[c.id] = true
			a.contexts = append(a.contexts, c)
		case itemUser:
			return items(v, a.user)
		}
		return nil
	})
	if err == nil && len(a.contexts) == 0 {
		err = broken(reasonInvalidPart, "no presentation context")
	}
	return a, err
}

// user takes one sub-item of the user information.
func (a *associate) user(kind byte, v []byte) error {
	switch kind {
	case itemMaxLength:
		if len(v) != 4 {
			return broken(reasonInvalidPart, "maximum length of %d bytes", len(v))
		}
		a.maxLength = binary.BigEndian.Uint32(v)
	case itemRole:
		return a.role(v)
	case itemClassUID:
		a.class = string(trimUID(v))
	case itemVersionName:
		a.versionName = strings.TrimSpace(string(v))
	}
	return nil
}

// role takes a role selection.
func (a *associate) role(v []byte) error {
	if len(v) < 4 || int(binary.BigEndian.Uint16(v)) != len(v)-4 {
		return broken(reasonInvalidPart, "role selection of %d bytes", len(v))
	}
	if len(a.roles) >= maxRoles {
		return broken(reasonInvalidPart, "more than %d role selections", maxRoles)
	}
	a.roles = append(a.roles, role{trimUID(v[2 : len(v)-2]), v[len(v)-2] == 1, v[len(v)-1] == 1})
	return nil
}

func appendRole(b []byte, r role) []byte {
	v := binary.BigEndian.AppendUint16(nil, uint16(len(r.class)))
	v = append(v, r.class...)
	for _, plays := range []bool{r.scu, r.scp} {
		if plays {
			v = append(v, 1)
		} else {
			v = append(v, 0)
		}
	}
	return appendItem(b, itemRole, v)
}

func decodeContext(v []byte, ac bool) (contextItem, error) {
	if len(v) < 4 {
		return contextItem{}, broken(reasonInvalidPart, "presentation context of %d bytes", len(v))
	}
	c := contextItem{id: v[0], result: v[2]}
	if c.id%2 == 0 {
		return c, broken(reasonInvalidPart, "presentation context %d is even", c.id)
	}
	abstracts := 0
	err := items(v[4:], func(kind byte, v []byte) error {
		switch kind {
		case itemAbstract:
			c.abstract = trimUID(v)
			abstracts++
		case itemSyntax:
			c.syntaxes = append(c.syntaxes, trimUID(v))
		}
		return nil
	})
	switch {
	case err != nil:
	case !ac && (abstracts != 1 || len(c.syntaxes) == 0):
		err = broken(reasonInvalidPart, "presentation context %d has %d abstract and %d transfer syntaxes", c.id, abstracts, len(c.syntaxes))
	case ac && c.result == contextAccepted && len(c.syntaxes) != 1:
		err = broken(reasonInvalidPart, "presentation context %d accepted with %d transfer syntaxes", c.id, len(c.syntaxes))
	}
	return c, err
}

// items walks a list of items: type, a reserved byte, 16-bit length, value.
func items(b []byte, item func(kind byte, v []byte) error) error {
	for len(b) > 0 {
		if len(b) < 4 {
			return broken(reasonInvalidPart, "item header of %d bytes", len(b))
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b)-4 {
			return broken(reasonInvalidPart, "item %02X of %d bytes where %d are left", b[0], n, len(b)-4)
		}
		if err := item(b[0], b[4:4+n]); err != nil {
			return err
		}
		b = b[4+n:]
	}
	return nil
}

// encode makes the PDU.
func (a associate) encode(kind byte) []byte {
	b := make([]byte, associateFixedLen, 4096)
	binary.BigEndian.PutUint16(b, or(a.version, protocolVersion1))
	copy(b[4:20], padAE(a.called))
	copy(b[20:36], padAE(a.calling))
	b = appendItem(b, itemApplication, []byte(applicationContext))
	contextKind := byte(itemContextRQ)
	if kind == pduAssociateAC {
		contextKind = itemContextAC
	}
	for _, c := range a.contexts {
		v := []byte{c.id, 0, c.result, 0}
		if contextKind == itemContextRQ {
			v = appendItem(v, itemAbstract, []byte(c.abstract))
		}
		for _, s := range c.syntaxes {
			v = appendItem(v, itemSyntax, []byte(s))
		}
		b = appendItem(b, contextKind, v)
	}
	user := appendItem(nil, itemMaxLength, binary.BigEndian.AppendUint32(nil, a.maxLength))
	user = appendItem(user, itemClassUID, []byte(dicom.ImplementationUID))
	for _, r := range a.roles {
		user = appendRole(user, r)
	}
	user = appendItem(user, itemVersionName, []byte(dicom.ImplementationName))
	return pdu(kind, appendItem(b, itemUser, user))
}

func appendItem(b []byte, kind byte, v []byte) []byte {
	b = append(b, kind, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(v)))
	return append(b, v...)
}

// trimUID takes off the padding that senders add against PS3.8 Annex F.
func trimUID(v []byte) study.UID { return study.UID(strings.Trim(string(v), " \x00")) }

// trimAE takes off the blanks, which mean nothing in an AE title (PS3.5 §6.2).
func trimAE(v []byte) string { return strings.Trim(string(v), " \x00") }

func padAE(s string) string { return (s + strings.Repeat(" ", 16))[:16] }

// validAE reports whether s may be an AE title: 1 to 16 characters of the default
// repertoire, no backslash and no control character.
func validAE(s string) bool {
	if s == "" || len(s) > 16 || strings.TrimSpace(s) != s {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '\\' {
			return false
		}
	}
	return true
}
