package codec

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/ebitengine/purego"
)

// openLibrary loads a native library, which is looked for beside the program and
// then wherever the system looks, and fills in the functions named by symbol. It
// gives the name under which it was found.
func openLibrary(names []string, functions map[string]any) (string, error) {
	for _, name := range places(names) {
		l, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
		if err != nil {
			continue
		}
		for symbol, f := range functions {
			p, err := purego.Dlsym(l, symbol)
			if err != nil {
				return "", fmt.Errorf("%s has no %s", name, symbol)
			}
			purego.RegisterFunc(f, p)
		}
		return name, nil
	}
	return "", fmt.Errorf("%s is not installed", names[0])
}

func places(names []string) []string {
	var places []string
	if program, err := os.Executable(); err == nil {
		for _, name := range names {
			if beside := filepath.Join(filepath.Dir(program), name); exists(beside) {
				places = append(places, beside)
			}
		}
	}
	return append(places, names...)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// provenance names the file that was loaded and the beginning of its hash. The
// name alone is given where the system does not tell what it loaded.
func provenance(name string) string {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return name
	}
	defer func() { _ = maps.Close() }()
	for s := bufio.NewScanner(maps); s.Scan(); {
		i := strings.IndexByte(s.Text(), '/')
		if i < 0 || !strings.EqualFold(firstPart(name), firstPart(s.Text()[i:])) {
			continue
		}
		file, err := os.Open(s.Text()[i:])
		if err != nil {
			return name
		}
		defer func() { _ = file.Close() }()
		h := sha256.New()
		if _, err := io.Copy(h, file); err != nil {
			return name
		}
		return filepath.Base(file.Name()) + " sha256:" + hex.EncodeToString(h.Sum(nil)[:6])
	}
	return name
}

// firstPart is a file's name up to its first dot.
func firstPart(path string) string {
	stem, _, _ := strings.Cut(filepath.Base(path), ".")
	return stem
}
