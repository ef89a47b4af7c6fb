package s3test

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm = "AWS4-HMAC-SHA256"
	stamp     = "20060102T150405Z"
	maxSkew   = 15 * time.Minute
	maxBody   = 256 << 20
)

// A signature is what a request was signed with: its chunks are signed on.
type signature struct {
	key   []byte // derived for the day
	date  string
	scope string
	last  string // signature of the request or of the last chunk
}

// authorize checks the signature of the header (Signature Version 4).
func authorize(r *http.Request) (*signature, *apiError) {
	denied := func(format string, a ...any) (*signature, *apiError) {
		return nil, refuse(http.StatusForbidden, "SignatureDoesNotMatch", format, a...)
	}
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), algorithm+" ")
	if !ok {
		return nil, refuse(http.StatusForbidden, "AccessDenied", "no signature")
	}
	fields := map[string]string{}
	for f := range strings.SplitSeq(rest, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(f), "=")
		fields[k] = v
	}
	cred := strings.SplitN(fields["Credential"], "/", 2)
	if len(cred) != 2 || cred[0] != AccessKey {
		return nil, refuse(http.StatusForbidden, "InvalidAccessKeyId", "key %q", cred[0])
	}
	scope := strings.Split(cred[1], "/")
	at, err := time.Parse(stamp, r.Header.Get("X-Amz-Date"))
	if err != nil || time.Since(at).Abs() > maxSkew {
		return nil, refuse(http.StatusForbidden, "RequestTimeTooSkewed", "date %q", r.Header.Get("X-Amz-Date"))
	}
	if len(scope) != 4 || scope[0] != at.Format("20060102") || scope[2] != "s3" || scope[3] != "aws4_request" {
		return denied("scope %q", cred[1])
	}
	signed := strings.Split(fields["SignedHeaders"], ";")
	if !slices.Contains(signed, "host") {
		return denied("host is not signed")
	}
	key := []byte("AWS4" + SecretKey)
	for _, part := range scope {
		key = mac(key, part)
	}
	s := &signature{key: key, date: at.Format(stamp), scope: cred[1], last: fields["Signature"]}
	request := sha256.Sum256([]byte(canonical(r, signed)))
	want := hex.EncodeToString(mac(key, strings.Join([]string{algorithm, s.date, s.scope, hex.EncodeToString(request[:])}, "\n")))
	if !hmac.Equal([]byte(want), []byte(s.last)) {
		return denied("the signature is of another request or another secret")
	}
	return s, nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = io.WriteString(h, text)
	return h.Sum(nil)
}

func canonical(r *http.Request, signed []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", r.Method, escape(r.URL.Path, true))
	var pairs []string
	for k, vs := range r.URL.Query() {
		for _, v := range vs {
			pairs = append(pairs, escape(k, false)+"="+escape(v, false))
		}
	}
	slices.Sort(pairs)
	fmt.Fprintf(&b, "%s\n", strings.Join(pairs, "&"))
	for _, name := range signed {
		v := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			v = r.Host
		case "content-length":
			v = strconv.FormatInt(r.ContentLength, 10)
		}
		fmt.Fprintf(&b, "%s:%s\n", name, strings.Join(strings.Fields(v), " "))
	}
	fmt.Fprintf(&b, "\n%s\n%s", strings.Join(signed, ";"), r.Header.Get("X-Amz-Content-Sha256"))
	return b.String()
}

// escape encodes all but unreserved characters (RFC 3986 §2.3), and slashes
// unless keep.
func escape(s string, keep bool) string {
	e := strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
	if keep {
		e = strings.ReplaceAll(e, "%2F", "/")
	}
	return e
}

// readBody authorizes r and reads its body, whichever way it is framed, and
// checks every hash and checksum that came with it.
func readBody(r *http.Request) ([]byte, *apiError) {
	sig, denied := authorize(r)
	if denied != nil {
		return nil, denied
	}
	word := r.Header.Get("X-Amz-Content-Sha256")
	sums := http.Header{}
	for name, v := range r.Header {
		sums[name] = v
	}
	var b []byte
	var err error
	if strings.HasPrefix(word, "STREAMING-") {
		b, err = readChunks(r, sig, word, sums)
	} else {
		b, err = io.ReadAll(io.LimitReader(r.Body, maxBody))
	}
	if err != nil {
		var api *apiError
		if errors.As(err, &api) {
			return nil, api
		}
		return nil, refuse(http.StatusBadRequest, "IncompleteBody", "after %d bytes: %v", len(b), err)
	}
	if sum := sha256.Sum256(b); len(word) == 64 && word != hex.EncodeToString(sum[:]) {
		return nil, refuse(http.StatusBadRequest, "XAmzContentSHA256Mismatch", "the body is another than was signed")
	}
	return b, checkSums(b, sums)
}

// readChunks reads a body of signed or unsigned chunks with its trailers, which
// it adds to sums.
func readChunks(r *http.Request, sig *signature, word string, sums http.Header) ([]byte, error) {
	signed := strings.HasPrefix(word, "STREAMING-"+algorithm)
	in := bufio.NewReader(r.Body)
	var body []byte
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return body, err
		}
		text, chunkSig, _ := strings.Cut(strings.TrimSpace(line), ";chunk-signature=")
		size, err := strconv.ParseInt(text, 16, 32)
		if err != nil || size > maxBody {
			return body, refuse(http.StatusBadRequest, "InvalidChunkSizeError", "chunk %q", text)
		}
		chunk := make([]byte, size)
		if _, err := io.ReadFull(in, chunk); err != nil {
			return body, err
		}
		if signed {
			if err := sig.check("-PAYLOAD", chunkSig, sha256.Sum256(nil), sha256.Sum256(chunk)); err != nil {
				return body, err
			}
		}
		body = append(body, chunk...)
		if size == 0 {
			break
		}
		if _, err := in.Discard(2); err != nil { // CR LF
			return body, err
		}
	}
	if strings.HasSuffix(word, "-TRAILER") {
		if err := readTrailers(in, sig, signed, sums); err != nil {
			return body, err
		}
	}
	if want := r.Header.Get("X-Amz-Decoded-Content-Length"); want != strconv.Itoa(len(body)) {
		return body, refuse(http.StatusBadRequest, "IncompleteBody", "%d bytes of %s", len(body), want)
	}
	return body, nil
}

func (s *signature) check(kind, got string, hashes ...[32]byte) error {
	text := []string{algorithm + kind, s.date, s.scope, s.last}
	for _, h := range hashes {
		text = append(text, hex.EncodeToString(h[:]))
	}
	want := hex.EncodeToString(mac(s.key, strings.Join(text, "\n")))
	if want != got {
		return refuse(http.StatusForbidden, "SignatureDoesNotMatch", "a chunk is signed for another body")
	}
	s.last = got
	return nil
}

func readTrailers(in *bufio.Reader, sig *signature, signed bool, sums http.Header) error {
	var text bytes.Buffer
	for {
		line, err := in.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		switch {
		case ok && strings.EqualFold(name, "x-amz-trailer-signature"):
			if signed {
				return sig.check("-TRAILER", strings.TrimSpace(value), sha256.Sum256(text.Bytes()))
			}
		case ok:
			value = strings.TrimSpace(value)
			fmt.Fprintf(&text, "%s:%s\n", strings.ToLower(name), value)
			sums.Set(name, value)
		}
		if err == io.EOF && !signed {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// checkSums compares all checksums that came before or behind the body.
func checkSums(b []byte, sums http.Header) *apiError {
	kinds := map[string]func() hash.Hash{
		"Content-Md5":              md5.New,
		"X-Amz-Checksum-Crc32":     func() hash.Hash { return crc32.NewIEEE() },
		"X-Amz-Checksum-Crc32c":    func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
		"X-Amz-Checksum-Crc64nvme": func() hash.Hash { return crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5)) },
		"X-Amz-Checksum-Sha1":      sha1.New,
		"X-Amz-Checksum-Sha256":    sha256.New,
	}
	for name, kind := range kinds {
		want := sums.Get(name)
		if want == "" || strings.Contains(want, "-") { // of parts, not of bytes
			continue
		}
		h := kind()
		h.Write(b)
		if base64.StdEncoding.EncodeToString(h.Sum(nil)) != want {
			return refuse(http.StatusBadRequest, "BadDigest", "%s differs", name)
		}
	}
	return nil
}
