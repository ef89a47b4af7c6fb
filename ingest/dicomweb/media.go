package dicomweb

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"varde/internal/dicom"
	"varde/study"
)

// Media types of PS3.18 §8.7.
const (
	typeJSON      = "application/dicom+json"
	typeDICOM     = "application/dicom"
	typeOctets    = "application/octet-stream"
	typeMultipart = "multipart/related"
)

// errNotAcceptable is a request for a representation that we do not make: we
// give objects as they are stored, frames also decoded, and pictures.
var errNotAcceptable = errors.New("not available in a media type and transfer syntax that the request accepts; objects are given as they are stored, and their frames also uncompressed or drawn as JPEG or PNG")

// parseMedia reads a media type with its parameters. It takes what clients
// write and the standard library refuses: an unquoted type=application/dicom.
func parseMedia(s string) (string, map[string]string) {
	params := map[string]string{}
	media, rest, _ := strings.Cut(s, ";")
	for rest != "" {
		name, after, ok := strings.Cut(strings.TrimLeft(rest, " \t;"), "=")
		if !ok {
			break
		}
		after = strings.TrimLeft(after, " \t")
		var value string
		if strings.HasPrefix(after, `"`) {
			value, rest = unquote(after[1:])
		} else {
			value, rest, _ = strings.Cut(after, ";")
			value = strings.TrimSpace(value)
		}
		params[strings.ToLower(strings.TrimSpace(name))] = value
	}
	return strings.ToLower(strings.TrimSpace(media)), params
}

// unquote reads a quoted string whose first quote is gone.
func unquote(s string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:]
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}

// A wish is one media range of an Accept header.
type wish struct {
	media  string // multipart/related, or a single part's type
	inner  string // the type of the parts of multipart/related; empty = any
	syntax string // transfer-syntax; empty = not said, * = any
	q      float64
}

// wishes reads the accept parameter of the URL and the Accept header (PS3.18
// §8.3.3.1), the most wanted first. Without either, all is accepted.
func wishes(r *http.Request) []wish {
	var out []wish
	headers := append(slices.Clone(r.URL.Query()["accept"]), r.Header.Values("Accept")...)
	for _, h := range headers {
		for _, part := range splitList(h) {
			media, params := parseMedia(part)
			if media == "" {
				continue
			}
			w := wish{media: media, inner: strings.ToLower(params["type"]), syntax: params["transfer-syntax"], q: 1}
			if q, err := strconv.ParseFloat(params["q"], 64); err == nil {
				w.q = q
			}
			if w.q > 0 {
				out = append(out, w)
			}
		}
	}
	if len(out) == 0 {
		return []wish{{media: "*/*", q: 1}}
	}
	slices.SortStableFunc(out, func(a, b wish) int {
		switch {
		case a.q > b.q:
			return -1
		case a.q < b.q:
			return 1
		}
		return 0
	})
	return out
}

// splitList splits at commas that stand in no quotes.
func splitList(s string) []string {
	var out []string
	from, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if quoted {
				i++
			}
		case '"':
			quoted = !quoted
		case ',':
			if !quoted {
				out = append(out, s[from:i])
				from = i + 1
			}
		}
	}
	return append(out, s[from:])
}

// covers reports whether a media range takes a media type.
func covers(wanted, media string) bool {
	if wanted == "" || wanted == "*/*" || wanted == media {
		return true
	}
	family, ok := strings.CutSuffix(wanted, "/*")
	return ok && strings.HasPrefix(media, family+"/")
}

// takes reports whether a wish takes bytes in a transfer syntax. A client that
// does not say gets what there is.
func (w wish) takes(ts study.UID) bool {
	return w.syntax == "" || w.syntax == "*" || w.syntax == string(ts)
}

// acceptsJSON reports whether the client takes the JSON model.
func acceptsJSON(r *http.Request) bool {
	return slices.ContainsFunc(wishes(r), func(w wish) bool {
		return covers(w.media, typeJSON) || w.media == "application/json" ||
			w.media == typeMultipart && w.inner == typeJSON
	})
}

// frameType is the media type of one frame in a transfer syntax, PS3.18 §8.7.3.
func frameType(ts study.UID) string {
	switch ts {
	case dicom.JPEGBaseline, dicom.JPEGExtended, dicom.JPEGLossless57, dicom.JPEGLosslessSV1:
		return "image/jpeg"
	case dicom.RLE:
		return "image/dicom-rle"
	case dicom.JPEGLS, dicom.JPEGLSNear:
		return "image/jls"
	case dicom.J2KLossless, dicom.J2K:
		return "image/jp2"
	case dicom.HTJ2KLossless, dicom.HTJ2K, dicom.HTJ2KLosslessRPCL:
		return "image/jphc"
	}
	return typeOctets
}
