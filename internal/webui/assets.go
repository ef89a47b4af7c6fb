package webui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
)

//go:embed templates static
var files embed.FS

// An asset is a file that the pages load, as it is and packed.
type asset struct {
	kind        string
	plain, gzip []byte
}

// assets are all files, under one address that holds the hash of all of them: it
// changes when any file does, and so each may be kept for ever by a browser.
type assets struct {
	hash  string
	files map[string]asset
}

// loadAssets reads all files. Two of one name are a fault.
func loadAssets(from []fs.FS) (assets, error) {
	a := assets{files: map[string]asset{}}
	for _, f := range from {
		err := fs.WalkDir(f, ".", func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if _, taken := a.files[p]; taken {
				return fmt.Errorf("two assets are called %s", p)
			}
			b, err := fs.ReadFile(f, p)
			if err != nil {
				return err
			}
			a.files[p], err = pack(p, b)
			return err
		})
		if err != nil {
			return a, fmt.Errorf("load assets: %w", err)
		}
	}
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(a.files)) {
		fmt.Fprintf(h, "%s %d\n", name, len(a.files[name].plain))
		h.Write(a.files[name].plain)
	}
	a.hash = hex.EncodeToString(h.Sum(nil))[:16]
	return a, nil
}

func pack(name string, b []byte) (asset, error) {
	kind := mime.TypeByExtension(path.Ext(name))
	switch path.Ext(name) { // the machine's own table may say otherwise
	case ".js":
		kind = "text/javascript; charset=utf-8"
	case ".css":
		kind = "text/css; charset=utf-8"
	case ".svg":
		kind = "image/svg+xml"
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return asset{}, err
	}
	if _, err := z.Write(b); err != nil {
		return asset{}, err
	}
	if err := z.Close(); err != nil {
		return asset{}, err
	}
	return asset{kind, b, packed.Bytes()}, nil
}

func (a assets) prefix() string          { return "/assets/" + a.hash + "/" }
func (a assets) path(name string) string { return a.prefix() + name }

func (s *Site) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := s.assets.files[strings.TrimPrefix(r.URL.Path, s.assets.prefix())]
	if !ok {
		s.problem(w, r, http.StatusNotFound, "no such asset")
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("Vary", "Accept-Encoding")
	body := a.plain
	if AcceptsGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		body = a.gzip
	}
	_, _ = w.Write(body)
}

// AcceptsGzip reports whether the visitor unpacks gzip.
func AcceptsGzip(r *http.Request) bool {
	for item := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(item), ";")
		if name == "gzip" && strings.TrimSpace(q) != "q=0" {
			return true
		}
	}
	return false
}

// writeJSON writes v, which is made of plain values.
func writeJSON(w io.Writer, v any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // a visitor who has gone away needs no answer
}

// sub is the folder of an embedded tree, which is known to be there.
func sub(f fs.FS, dir string) fs.FS {
	s, err := fs.Sub(f, dir)
	if err != nil {
		panic("embedded folder: " + err.Error())
	}
	return s
}
