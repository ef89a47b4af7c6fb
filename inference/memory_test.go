package inference_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

const (
	explicitLE study.UID = "1.2.840.10008.1.2.1"
	jpegXL     study.UID = "1.2.840.10008.1.2.4.112" // which no decoder here takes
	ctClass    study.UID = "1.2.840.10008.5.1.4.1.1.2"
	mgClass    study.UID = "1.2.840.10008.5.1.4.1.1.1.2"
	smClass    study.UID = "1.2.840.10008.5.1.4.1.1.77.1.6"
)

// A shelf is an object store and a frame index in memory.
type shelf struct {
	mu        sync.Mutex
	objects   map[string][]byte
	frames    map[study.UID]study.Frames
	instances []study.Instance
	broken    error // of every read, when set
}

func newShelf() *shelf {
	return &shelf{objects: map[string][]byte{}, frames: map[study.UID]study.Frames{}}
}

func (s *shelf) Range(_ context.Context, key string, off, n int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.objects[key]
	switch {
	case s.broken != nil:
		return nil, s.broken
	case !ok:
		return nil, fmt.Errorf("read %s: %w", key, study.ErrNotFound)
	case off > int64(len(b)):
		return nil, fmt.Errorf("read %s from %d: %w", key, off, study.ErrInvalid)
	case n < 0 || off+n > int64(len(b)):
		n = int64(len(b)) - off
	}
	return io.NopCloser(bytes.NewReader(b[off : off+n])), nil
}

func (s *shelf) Put(_ context.Context, key string, r io.Reader, _ int64) error {
	b, err := io.ReadAll(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = b
	return err
}

func (s *shelf) Frames(_ context.Context, uid study.UID) (study.Frames, error) {
	f, ok := s.frames[uid]
	if !ok {
		return f, fmt.Errorf("frames of %s: %w", uid, study.ErrNotFound)
	}
	return f, nil
}

// keep shelves an instance whose frames lie one behind the other.
func (s *shelf) keep(in study.Instance, frames ...[]byte) {
	in.Study, in.Key = "2.25.1", "dicom/"+string(in.UID)
	f := study.Frames{First: []int32{0}}
	var all []byte
	for i, b := range frames {
		f.Spans = append(f.Spans, study.Span{Off: int64(len(all)), Len: int64(len(b))})
		f.First = append(f.First, int32(i+1))
		all = append(all, b...)
	}
	s.objects[in.Key], s.frames[in.UID] = all, f
	s.instances = append(s.instances, in)
}

// ct shelves an axial stack of n slices of size×size pixels, 1 mm apart along
// every axis, and gives its tiles.
func (s *shelf) ct(n, size int, hu func(x, y, z int) int) []study.Tile {
	var tiles []study.Tile
	for z := range n {
		b := make([]byte, 0, 2*size*size)
		for i := range size * size {
			b = binary.LittleEndian.AppendUint16(b, uint16(hu(i%size, i/size, z)+1024))
		}
		uid := study.UID(fmt.Sprintf("2.25.1.2.%d", z+1))
		s.keep(study.Instance{
			UID: uid, Series: "2.25.1.2", Class: ctClass, TransferSyntax: explicitLE, Modality: study.CT, Number: z + 1,
			Image: &study.Image{
				Rows: size, Columns: size, Frames: 1, Samples: 1, BitsAllocated: 16, BitsStored: 12, HighBit: 11,
				Photometric: "MONOCHROME2", Slope: 1, Intercept: -1024, HasRescale: true, ThicknessMM: 1,
				SpacingMM: [2]float64{1, 1}, SpacingKind: "pixel", Position: &[3]float64{-20, -30, float64(z) + 100},
				Orientation: &[6]float64{1, 0, 0, 0, 1, 0},
			},
		}, b)
		tiles = append(tiles, study.Tile{Instance: uid, W: size, H: size})
	}
	return tiles
}

// cut makes even blocks of a stack of slices 1 mm apart, with the slices that a
// halo reaches as context.
func cut(tiles []study.Tile, blocks, halo int) []study.Block {
	var out []study.Block
	n := len(tiles)
	for i := range blocks {
		b := study.Block{Kind: study.Volume, Series: "2.25.1.2", OriginMM: 100, StepMM: 1, First: i * n / blocks, Last: (i+1)*n/blocks - 1}
		for z, t := range tiles {
			t.Context = z < b.First || z > b.Last
			if z >= b.First-halo-1 && z <= b.Last+halo+1 {
				b.Tiles = append(b.Tiles, t)
			}
		}
		out = append(out, b)
	}
	return out
}

// projection shelves a gray image of 8 bits and gives its tile.
func (s *shelf) projection(n, w, h int, change func(*study.Image), gray func(x, y int) uint8) study.Tile {
	b := make([]byte, w*h)
	for i := range b {
		b[i] = gray(i%w, i/w)
	}
	uid := study.UID(fmt.Sprintf("2.25.1.3.%d", n))
	img := &study.Image{
		Rows: h, Columns: w, Frames: 1, Samples: 1, BitsAllocated: 8, BitsStored: 8, HighBit: 7, Photometric: "MONOCHROME2",
		SpacingMM: [2]float64{0.1, 0.1}, SpacingKind: "imager", Laterality: "L", Intent: "FOR PRESENTATION",
	}
	if change != nil {
		change(img)
	}
	s.keep(study.Instance{UID: uid, Series: "2.25.1.3", Class: mgClass, TransferSyntax: explicitLE, Modality: study.MG, Number: n, Image: img}, b)
	return study.Tile{Instance: uid, W: w, H: h}
}

// slide shelves one level of across×down frames of 32×32 pixels and gives a tile
// for each patch of 16×16.
func (s *shelf) slide(across, down int, gray func(x, y int) uint8) []study.Tile {
	const side = 32
	var frames [][]byte
	for f := range across * down {
		b := make([]byte, 0, 3*side*side)
		for i := range side * side {
			g := gray(f%across*side+i%side, f/across*side+i/side)
			b = append(b, g, g/2, 255-g)
		}
		frames = append(frames, b)
	}
	s.keep(study.Instance{
		UID: "2.25.1.4.1", Series: "2.25.1.4", Class: smClass, TransferSyntax: explicitLE, Modality: study.SM, Number: 1,
		Image: &study.Image{
			Rows: side, Columns: side, Frames: across * down, Samples: 3, BitsAllocated: 8, BitsStored: 8, HighBit: 7, Photometric: "RGB",
			Slide: &study.SlideLevel{TotalColumns: across * side, TotalRows: down * side, MicronsPerPixel: [2]float64{0.5, 0.5}, TiledFull: true, Kind: "VOLUME"},
		},
	}, frames...)
	var tiles []study.Tile
	for y := range down * 2 {
		for x := range across * 2 {
			tiles = append(tiles, study.Tile{Instance: "2.25.1.4.1", X: x * 16, Y: y * 16, W: 16, H: 16})
		}
	}
	return tiles
}

// A network stands for a session: plain arithmetic on its input.
type network func(in pixel.Tensor) (map[string]pixel.Tensor, error)

// Run runs the arithmetic on the one input.
func (n network) Run(_ context.Context, in map[string]pixel.Tensor) (map[string]pixel.Tensor, error) {
	for _, t := range in {
		return n(t)
	}
	return nil, fmt.Errorf("no input: %w", study.ErrInvalid)
}

// values gives any input as floats.
func values(t pixel.Tensor) []float32 {
	if b, ok := t.Data.([]uint8); ok {
		v := make([]float32, len(b))
		for i, x := range b {
			v[i] = float32(x)
		}
		return v
	}
	return t.Data.([]float32)
}

// bright gives the mean of each tile and, as a map, the tile itself.
func bright(in pixel.Tensor) (map[string]pixel.Tensor, error) {
	v, n := values(in), int(in.Shape[0])
	means := make([]float32, n)
	for i := range n {
		row := v[i*len(v)/n : (i+1)*len(v)/n]
		sum := 0.0
		for _, x := range row {
			sum += float64(x)
		}
		means[i] = float32(sum / float64(len(row)))
	}
	return map[string]pixel.Tensor{
		"mean": {Shape: []int64{int64(n), 1}, Data: means},
		"map":  {Shape: in.Shape, Data: append([]float32(nil), v...)},
	}, nil
}

// thick gives for each voxel the mean of the five planes around it: what a block
// answers depends on two planes beyond it.
func thick(in pixel.Tensor) (map[string]pixel.Tensor, error) {
	v, d := values(in), int(in.Shape[2])
	size := len(v) / d
	out := make([]float32, len(v))
	for z := range d {
		for i := range size {
			sum := 0.0
			for k := -2; k <= 2; k++ {
				sum += float64(v[min(max(z+k, 0), d-1)*size+i])
			}
			out[z*size+i] = float32(sum / 5)
		}
	}
	return map[string]pixel.Tensor{"map": {Shape: in.Shape, Data: out}}, nil
}

var (
	nodule  = study.Code{Value: "27925004", Scheme: "SCT", Meaning: "Nodule"}
	density = study.Code{Value: "MEAN", Scheme: "99TEST", Meaning: "Mean brightness"}
	unit    = study.Code{Value: "1", Scheme: "UCUM", Meaning: "no units"}
)

// ctCard is of a model that finds what is at or above 0 HU.
func ctCard() modelcard.Card {
	return modelcard.Card{
		Gate: ungated(),
		ID:   "ct", Version: "1", Name: "CT test", SHA256: study.Hash{1}, Hash: study.Hash{2},
		Input:  modelcard.Input{Name: "x", Kind: study.Volume, Type: "float32", Layout: "NCDHW", Values: "hu", HaloPlanes: 2},
		Output: []modelcard.Output{{Name: "map", Role: "map"}},
		Find:   &modelcard.Find{Map: "map", Threshold: 0, MinMM: 2, What: nodule},
		Flag:   modelcard.Flag{By: "findings", Flagged: 1},
	}
}

// mgCard is of a model that measures the brightness of an image and finds what is
// brighter than half.
func mgCard() modelcard.Card {
	return modelcard.Card{
		Gate: ungated(),
		ID:   "mg", Version: "1", Name: "MG test", SHA256: study.Hash{3}, Hash: study.Hash{4},
		Input: modelcard.Input{Name: "x", Kind: study.Images, Type: "float32", Layout: "NCHW", Values: "unit"},
		Output: []modelcard.Output{
			{Name: "mean", Role: "scalar", Aggregate: "mean", Measure: density, Unit: unit},
			{Name: "map", Role: "map"},
		},
		Find: &modelcard.Find{Map: "map", Threshold: 0.5, What: nodule},
		Flag: modelcard.Flag{By: "mean", Flagged: 0.5, Uncertain: 0.25},
	}
}

// smCard is of a model that measures the brightness of patches.
func smCard() modelcard.Card {
	return modelcard.Card{
		ID: "sm", Version: "1", Name: "SM test", SHA256: study.Hash{5}, Hash: study.Hash{6},
		Input: modelcard.Input{Name: "x", Kind: study.Patches, Type: "uint8", Layout: "NHWC", Values: "rgb", Width: 16, Height: 16, MicronsPerPixel: 0.5},
		Output: []modelcard.Output{
			{Name: "mean", Role: "scalar", Aggregate: "top", Measure: density, Unit: unit},
		},
		Find: &modelcard.Find{Scalar: "mean", Threshold: 100, Max: 3, What: nodule},
		Flag: modelcard.Flag{By: "mean", Flagged: 100},
	}
}

// ball is bright within r of a point, and air elsewhere.
func ball(cx, cy, cz, r int) func(x, y, z int) bool {
	return func(x, y, z int) bool { return (x-cx)*(x-cx)+(y-cy)*(y-cy)+(z-cz)*(z-cz) <= r*r }
}

func balls(all ...func(x, y, z int) bool) func(x, y, z int) int {
	return func(x, y, z int) int {
		for i, b := range all {
			if b(x, y, z) {
				return 900 + 10*i
			}
		}
		return -1000
	}
}
