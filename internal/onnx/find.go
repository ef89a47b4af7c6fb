package onnx

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"varde/study"
)

// The Go module that carries a build of the library for amd64 and arm64: the
// file pin.go keeps this very version in go.mod.
const (
	modulePath    = "github.com/k2-fsa/sherpa-onnx-go-linux"
	moduleVersion = "v1.13.8"
	module        = modulePath + "@" + moduleVersion
)

// downloadTime bounds how long `go mod download` may take: the module is 36 MB.
const downloadTime = 3 * time.Minute

// A candidate is a file that may be the library, or the reason why there is none
// on that route.
type candidate struct {
	route, path string
	err         error
}

// candidates gives the files to try, best first. The last ones ask the go
// command, so that they are looked for only when nothing else would do.
func (o Options) candidates() iter.Seq[candidate] {
	return func(yield func(candidate) bool) {
		if o.Library != "" {
			yield(candidate{route: routeConfigured, path: o.Library})
			return
		}
		for _, c := range slices.Concat(beside(), o.system()) {
			if !yield(c) {
				return
			}
		}
		o.fromModule(yield)
	}
}

// beside looks in the folder of the program, where an image or an archive has
// the library.
func beside() []candidate {
	program, err := os.Executable()
	if err != nil {
		return []candidate{{route: routeBeside, path: "the program's folder", err: err}}
	}
	if real, err := filepath.EvalSymlinks(program); err == nil {
		program = real
	}
	return inFolders(routeBeside, filepath.Dir(program))
}

// system looks where the dynamic linker looks.
func (o Options) system() []candidate {
	folders := filepath.SplitList(o.Getenv("LD_LIBRARY_PATH"))
	folders = append(folders, linkerFolders("/etc/ld.so.conf", 0)...)
	if t := triplet(); t != "" {
		folders = append(folders, "/lib/"+t, "/usr/lib/"+t)
	}
	return inFolders(routeSystem, append(folders, "/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib")...)
}

// inFolders gives the libraries in some folders, or one candidate that says that
// there are none.
func inFolders(route string, folders ...string) []candidate {
	var found []candidate
	var places []string
	seen := map[string]bool{}
	for i, dir := range folders {
		if slices.Contains(folders[:i], dir) {
			continue
		}
		places = append(places, dir)
		for _, pattern := range []string{"libonnxruntime.so.1", "libonnxruntime.so", "libonnxruntime.so.1.*"} {
			matches, _ := filepath.Glob(filepath.Join(dir, pattern)) // an odd folder name matches nothing
			for _, path := range matches {
				real, err := filepath.EvalSymlinks(path)
				if err != nil || seen[real] {
					continue
				}
				seen[real] = true
				found = append(found, candidate{route: route, path: path})
			}
		}
	}
	if len(found) == 0 {
		return []candidate{{route: route, path: strings.Join(places, ", "), err: errors.New("no libonnxruntime.so")}}
	}
	return found
}

// linkerFolders reads the folders of ld.so.conf and of the files that it
// includes, two levels deep. What can't be read is left out.
func linkerFolders(conf string, depth int) []string {
	b, err := os.ReadFile(conf)
	if err != nil || depth > 2 {
		return nil
	}
	var folders []string
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		switch words := strings.Fields(line); {
		case len(words) == 2 && words[0] == "include":
			files, _ := filepath.Glob(words[1])
			for _, f := range files {
				folders = append(folders, linkerFolders(f, depth+1)...)
			}
		case len(words) == 1 && filepath.IsAbs(words[0]):
			folders = append(folders, words[0])
		}
	}
	return folders
}

// fromModule looks into the module cache, first where it should be by the
// environment, then where the go command says, which downloads it if need be.
func (o Options) fromModule(yield func(candidate) bool) {
	lib := libraryInModule()
	if lib == "" {
		yield(candidate{route: routeModule, path: module, err: fmt.Errorf("has no build for %s on %s", runtime.GOARCH, runtime.GOOS)})
		return
	}
	cache := o.moduleCache()
	path := filepath.Join(cache, filepath.FromSlash(module), lib)
	if _, err := os.Stat(path); err == nil {
		yield(candidate{route: routeModule, path: path})
		return
	} else if cache != "" && !yield(candidate{route: routeModule, path: path, err: plainly(err)}) {
		return
	}
	dir, err := download()
	if err != nil {
		yield(candidate{route: routeModule, path: "go mod download " + module, err: err})
		return
	}
	yield(candidate{route: routeModule, path: filepath.Join(dir, lib)})
}

// moduleCache is the go command's rule: GOMODCACHE, else pkg/mod in the first
// folder of GOPATH, each from the environment or from the user's go settings,
// else in go in the home folder.
func (o Options) moduleCache() string {
	home := o.Getenv("HOME")
	settings := goSettings(o.Getenv, home)
	look := func(key string) string {
		if v := o.Getenv(key); v != "" {
			return v
		}
		return settings[key]
	}
	if v := look("GOMODCACHE"); v != "" {
		return v
	}
	if list := filepath.SplitList(look("GOPATH")); len(list) > 0 {
		return filepath.Join(list[0], "pkg", "mod")
	}
	if home == "" {
		return ""
	}
	return filepath.Join(home, "go", "pkg", "mod")
}

// goSettings reads what `go env -w` wrote.
func goSettings(getenv func(string) string, home string) map[string]string {
	path := getenv("GOENV")
	if path == "" {
		config := getenv("XDG_CONFIG_HOME")
		if config == "" {
			config = filepath.Join(home, ".config")
		}
		path = filepath.Join(config, "go", "env")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	settings := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			settings[key] = value
		}
	}
	return settings
}

// download asks the go command for the module's folder.
func download() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), downloadTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", module).Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("no go command here")
	}
	var m struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &m); err == nil {
		err = jsonErr
	}
	switch {
	case m.Error != "":
		return "", errors.New(m.Error)
	case err != nil:
		return "", err
	}
	return m.Dir, nil
}

// triplet is the name that Debian and the module give to this machine.
func triplet() string {
	if runtime.GOOS != "linux" {
		return ""
	}
	return map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[runtime.GOARCH]
}

func libraryInModule() string {
	t := triplet()
	if t == "" {
		return ""
	}
	return filepath.Join("lib", strings.Replace(t, "-linux-", "-unknown-linux-", 1), "libonnxruntime.so")
}

// pinned is the SHA-256 of the library in the module, which go.sum vouches for
// as a whole; a copy that someone changed afterwards is not loaded.
func pinned() string {
	return map[string]string{
		"amd64": "4b3607aebd1784b26b6f9b20e4bd974c7ab8287043e4d095cb7d2cb40b5e566e",
		"arm64": "cfc800d4438f15e8d9017521326776ca7117d8783cb847ccccc2fc61ac4d540f",
	}[runtime.GOARCH]
}

func fileHash(path string) (study.Hash, error) {
	f, err := os.Open(path)
	if err != nil {
		return study.Hash{}, plainly(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return study.Hash{}, plainly(err)
	}
	return study.Hash(h.Sum(nil)), nil
}

// plainly leaves out the path, which the line names already.
func plainly(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
