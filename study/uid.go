package study

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"strings"
)

// A UID is a DICOM unique identifier, PS3.5 §9: digits and dots, at most 64.
type UID string

// ParseUID trims the padding that senders leave (NUL and blanks) and checks the
// rest, so that a UID can become part of a key. Leading zeros in a component are
// let through, for old devices write them.
func ParseUID(s string) (UID, error) {
	s = strings.Trim(s, " \x00")
	if s == "" || len(s) > 64 {
		return "", fmt.Errorf("UID of %d characters: %w", len(s), ErrInvalid)
	}
	for i := range len(s) {
		if c := s[i]; c != '.' && (c < '0' || c > '9') {
			return "", fmt.Errorf("UID %q holds %q: %w", s, c, ErrInvalid)
		}
	}
	if s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return "", fmt.Errorf("UID %q has an empty component: %w", s, ErrInvalid)
	}
	return UID(s), nil
}

// uidSpace is the name space of the UIDs that Varde makes: a random UUID of ours.
var uidSpace = [16]byte{0x5b, 0x0e, 0xd1, 0x3a, 0x7c, 0x21, 0x4f, 0x6e, 0x9a, 0x44, 0x1d, 0x8b, 0xc0, 0x57, 0xe2, 0x96}

// DerivedUID makes the same UID from the same parts in any process, so that a
// report that is written twice is one object to every archive. It is a version-5
// UUID (RFC 9562 §5.5) under 2.25 (PS3.5 §B.2), at most 44 characters.
func DerivedUID(parts ...string) UID {
	h := sha1.New()
	h.Write(uidSpace[:])
	_, _ = io.WriteString(h, strings.Join(parts, "\x00"))
	u := h.Sum(nil)[:16]
	u[6], u[8] = u[6]&0x0f|0x50, u[8]&0x3f|0x80
	return UID("2.25." + new(big.Int).SetBytes(u).String())
}

// A Hash is a SHA-256.
type Hash [sha256.Size]byte

// String gives 64 hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Short gives the first twelve digits, for people.
func (h Hash) Short() string { return h.String()[:12] }

// MarshalText writes the digits.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads the digits.
func (h *Hash) UnmarshalText(b []byte) error {
	v, err := ParseHash(string(b))
	*h = v
	return err
}

// ParseHash reads what [Hash.String] wrote.
func ParseHash(s string) (Hash, error) {
	var h Hash
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) {
		return h, fmt.Errorf("SHA-256 %q is not 64 hexadecimal digits: %w", s, ErrInvalid)
	}
	copy(h[:], b)
	return h, nil
}

// A Code is a coded concept, PS3.3 §8: value, scheme, meaning.
type Code struct {
	Value   string `json:"value" toml:"value"`
	Scheme  string `json:"scheme" toml:"scheme"`
	Meaning string `json:"meaning" toml:"meaning"`
}

// Zero reports whether there is no code.
func (c Code) Zero() bool { return c.Value == "" }
