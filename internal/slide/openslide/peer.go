// Package openslide calls the OpenSlide library, which is found at run time.
//
//	Load             finds the library
//	Library.Open     opens a slide file
//	Slide.Read       gives a rectangle of a level
//	Retiler.Retile   a child process reads a slide and cuts it into tiles anew
//	ServeChild       … which is this program, started once more
package openslide

import (
	"fmt"
	"sync"

	"github.com/ebitengine/purego"

	"varde/study"
)

// libraryNames are the names under which OpenSlide is found, 4 before 3.
var libraryNames = [...]string{"libopenslide.so.1", "libopenslide.so.0", "libopenslide.1.dylib", "libopenslide.0.dylib"}

// A Library is OpenSlide in the memory of this process. It is native code that
// reads strangers' bytes: a server never loads it, a child process or a
// benchmark may.
type Library struct {
	Name string // under which it was found

	version    func() string
	open       func(path string) uintptr
	close      func(slide uintptr)
	failure    func(slide uintptr) string
	levels     func(slide uintptr) int32
	dimensions func(slide uintptr, level int32, w, h *int64)
	downsample func(slide uintptr, level int32) float64
	property   func(slide uintptr, name string) string
	read       func(slide uintptr, dst *uint32, x, y int64, level int32, w, h int64)
}

// Load finds the library and loads it, once in a process. Its absence is a
// normal state, and an error that wraps [study.ErrUnsupported] and names the
// remedy.
func Load() (*Library, error) { return library() }

// library is loaded at the first question for it.
var library = sync.OnceValues(load)

func load() (*Library, error) {
	for _, name := range libraryNames {
		at, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
		if err != nil {
			continue
		}
		l := &Library{Name: name}
		for symbol, f := range map[string]any{
			"openslide_get_version": &l.version, "openslide_open": &l.open, "openslide_close": &l.close,
			"openslide_get_error": &l.failure, "openslide_get_level_count": &l.levels,
			"openslide_get_level_dimensions": &l.dimensions, "openslide_get_level_downsample": &l.downsample,
			"openslide_get_property_value": &l.property, "openslide_read_region": &l.read,
		} {
			p, err := purego.Dlsym(at, symbol)
			if err != nil {
				return nil, fmt.Errorf("%s has no %s: %w: install OpenSlide 3.4 or later", name, symbol, study.ErrUnsupported)
			}
			purego.RegisterFunc(f, p)
		}
		return l, nil
	}
	return nil, fmt.Errorf("OpenSlide is not here: %w: install libopenslide0 or libopenslide1", study.ErrUnsupported)
}

// Version is the library's version.
func (l *Library) Version() string { return l.version() }

// A Slide is a slide file open in OpenSlide. Its methods may be called at the
// same time, but for Close.
type Slide struct {
	lib    *Library
	handle uintptr
}

// Open opens a slide file. A file that OpenSlide does not know is an error that
// wraps [study.ErrUnsupported], one that it finds broken wraps
// [study.ErrInvalid].
func (l *Library) Open(path string) (*Slide, error) {
	h := l.open(path)
	if h == 0 {
		return nil, fmt.Errorf("OpenSlide does not know the file: %w", study.ErrUnsupported)
	}
	s := &Slide{l, h}
	if err := s.fault(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// fault is the error that sticks to the handle, if there is one.
func (s *Slide) fault() error {
	if text := s.lib.failure(s.handle); text != "" {
		return fmt.Errorf("OpenSlide: %s: %w", text, study.ErrInvalid)
	}
	return nil
}

// Close gives the slide back. It must not be used afterwards.
func (s *Slide) Close() { s.lib.close(s.handle) }

// Levels is the number of levels, the finest being level 0.
func (s *Slide) Levels() int { return int(max(0, s.lib.levels(s.handle))) }

// Size gives the width and height of a level in pixels, −1 for none.
func (s *Slide) Size(level int) (w, h int64) {
	s.lib.dimensions(s.handle, int32(level), &w, &h)
	return w, h
}

// Downsample is how many times smaller than level 0 a level is.
func (s *Slide) Downsample(level int) float64 { return s.lib.downsample(s.handle, int32(level)) }

// Property gives a property such as "openslide.mpp-x", empty when it is not
// known.
func (s *Slide) Property(name string) string { return s.lib.property(s.handle, name) }

// Read fills dst with a rectangle of a level: w×h pixels of premultiplied ARGB,
// native byte order, transparent where the slide has none. x and y are pixels of
// level 0. After an error the slide gives nothing more.
func (s *Slide) Read(dst []uint32, x, y int64, level, w, h int) error {
	if w <= 0 || h <= 0 || len(dst) < w*h {
		return fmt.Errorf("region of %d×%d pixels into %d: %w", w, h, len(dst), study.ErrInvalid)
	}
	s.lib.read(s.handle, &dst[0], x, y, int32(level), int64(w), int64(h))
	return s.fault()
}

// RGB lays ARGB pixels of [Slide.Read] on white as interleaved RGB: dst has
// three bytes for each of them.
func RGB(dst []byte, argb []uint32) {
	for i, p := range argb {
		a := byte(p >> 24)
		o := dst[3*i : 3*i+3 : 3*i+3]
		// Premultiplied: what is missing to opaque is white.
		o[0], o[1], o[2] = byte(p>>16)+255-a, byte(p>>8)+255-a, byte(p)+255-a
	}
}
