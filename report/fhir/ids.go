package fhir

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"

	"varde/study"
)

// An ID is how a resource is called at our server: it holds the study, and what
// tells the models and the things of one study apart. FHIR allows 64 characters of
// letters, digits, "-" and "."; ours are lower-case, for there are servers to which
// case means nothing.
//
//	STUDY             an ImagingStudy
//	STUDY-MODEL       a report, a task, where a result comes from, its observation
//	STUDY-MODEL-ITEM  another observation of the result
type ID struct {
	Study study.UID
	Model string // by [ModelTag]; empty for what is of the study alone
	Item  string // by tag; empty for what is of the result as a whole
}

// tagSpace is how many tags there are: those of nine digits of base 36. Items are
// told apart within one result, and models within one study.
const tagDigits = 9

// tag makes nine digits of base 36 of what names a thing.
func tag(parts ...string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	n := new(big.Int).SetBytes(h[:])
	n.Mod(n, new(big.Int).Exp(big.NewInt(36), big.NewInt(tagDigits), nil))
	text := n.Text(36)
	return strings.Repeat("0", tagDigits-len(text)) + text
}

// ModelTag tells a model from others, as a part of an ID. Two versions, or two
// contents of one version, are two models.
func ModelTag(m study.ModelRef) string { return tag("model", m.ID, m.Version, m.SHA256.String()) }

// String writes the ID: at most 64 characters.
func (id ID) String() string {
	// The digits and dots of the UID as a number of base 11 behind a leading 1, so
	// that it can be read back; 64 of them are 44 digits of base 36.
	n := big.NewInt(1)
	eleven := big.NewInt(11)
	for _, c := range []byte(id.Study) {
		d := int64(10)
		if c != '.' {
			d = int64(c - '0')
		}
		n.Mul(n, eleven).Add(n, big.NewInt(d))
	}
	text := n.Text(36)
	for _, part := range []string{id.Model, id.Item} {
		if part != "" {
			text += "-" + part
		}
	}
	return text
}

// ParseID reads what [ID.String] wrote. Whatever else is an error of kind
// [study.ErrNotFound]: there is nothing of that name.
func ParseID(s string) (ID, error) {
	bad := fmt.Errorf("resource %.64q: %w", s, study.ErrNotFound)
	parts := strings.Split(s, "-")
	if len(s) > 64 || len(parts) > 3 || strings.ToLower(s) != s || strings.ContainsAny(s, "+_ ") {
		return ID{}, bad
	}
	n, ok := new(big.Int).SetString(parts[0], 36)
	if !ok || n.Sign() <= 0 {
		return ID{}, bad
	}
	digits := n.Text(11)
	if len(digits) < 2 || digits[0] != '1' {
		return ID{}, bad
	}
	uid, err := study.ParseUID(strings.ReplaceAll(digits[1:], "a", "."))
	if err != nil {
		return ID{}, bad
	}
	id := ID{Study: uid}
	for i, p := range parts[1:] {
		if len(p) != tagDigits {
			return ID{}, bad
		}
		if i == 0 {
			id.Model = p
		} else {
			id.Item = p
		}
	}
	if id.String() != s {
		return ID{}, bad
	}
	return id, nil
}

// uuid makes the address that an entry of a transaction has within it, from a
// resource's type and ID: a UUID, as a version-5 one is made.
func uuid(r Resource) string {
	h := sha256.Sum256([]byte("fhir\x00" + TypeOf(r) + "\x00" + IDOf(r)))
	u := h[:16]
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80 // version 8, RFC 9562 §5.8
	t := hex.EncodeToString(u)
	return "urn:uuid:" + t[:8] + "-" + t[8:12] + "-" + t[12:16] + "-" + t[16:20] + "-" + t[20:]
}

// oid writes a UID as a URI.
func oid(uid study.UID) string { return "urn:oid:" + string(uid) }

// Systems of identifiers that are ours.
var (
	systemResource = ownSystem("resource")     // what a resource of ours is called everywhere
	systemModel    = ownSystem("model sha256") // a model by its content
	systemState    = ownSystem("ai state")
	systemReason   = ownSystem("reason")
	systemItem     = ownSystem("item")
)

// own is the identifier of a resource of ours, by which another server knows it
// again. Each installation has a system of its own, for they may tell one server.
func (w Work) own(kind, id string) Identifier {
	system := systemResource
	if w.Device.Installation != "" {
		system = oid(w.Device.Derive("fhir", "system", "resource"))
	}
	return Identifier{System: system, Value: kind + "/" + id}
}

// UIDIdentifier is the identifier of a DICOM study, series or object.
func UIDIdentifier(uid study.UID) Identifier {
	return Identifier{System: systemUID, Value: oid(uid)}
}
