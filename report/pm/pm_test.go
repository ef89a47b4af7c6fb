package pm_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/studytest/peers"
	"varde/internal/words"
	"varde/report/identity"
	"varde/report/pm"
	"varde/study"
)

var at = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

const rows, columns, planes = 5, 7, 6

// value is what the network gave a voxel.
func value(field, plane, row, column int) uint8 {
	return uint8((50*field + 11*plane + 3*row + column) % 256)
}

// grid is one of so many planes from first, whose voxels are larger than the pixels.
func grid(first, n int, of ...string) study.ChanceGrid {
	g := study.ChanceGrid{Of: of, MaskGrid: study.MaskGrid{Columns: columns, Rows: rows, First: first, Planes: n, SpacingMM: [2]float64{1.5, 1.25}, StepMM: 2.5,
		Scale: [2]float64{2, 2}, Position: &[3]float64{-10, 20, 100}, Orientation: &[6]float64{1, 0, 0, 0, 1, 0}}}
	for f := range of {
		var v []uint8
		for k := range n {
			for y := range rows {
				for x := range columns {
					v = append(v, value(f, first+k, y, x))
				}
			}
		}
		g.Values = append(g.Values, v)
	}
	return g
}

// volume is a CT of slices 1 mm apart that two jobs looked at, with two fields.
func volume(lang words.Lang) pm.Work {
	uid := study.DerivedUID("pm")
	w := pm.Work{Lang: lang, What: map[string]study.Code{"nodule": {Value: "27925004", Scheme: "SCT", Meaning: "Nodule"}},
		Name: func(n int) (object, series study.UID) {
			return study.DerivedUID("pm", fmt.Sprint(n)), study.DerivedUID("pm", "series")
		},
		Identity: identity.Identity{At: at, Device: identity.Device{}.Filled(), Study: study.Study{UID: uid, Date: "20260314", Time: "080000", ID: "1", Accession: "A1",
			Patient: study.NewPatient(study.Person{ID: "P1", Name: "Ærø^Åse", Birth: "19500101", Sex: "F"})}},
		Result: study.Result{Study: uid, Name: "Nodules", AI: study.Flagged, Planned: 14, Seen: 14, At: at, Model: study.ModelRef{ID: "nodule", Version: "1.2", SHA256: study.Hash{1, 2}}}}
	a := pm.Drawing{Block: study.Block{Kind: study.Volume, Series: "2.25.5", OriginMM: 100, StepMM: 2.5}, Grids: []study.ChanceGrid{grid(0, 3, "nodule", "lung")}}
	b := pm.Drawing{Block: a.Block, Grids: []study.ChanceGrid{grid(3, 3, "nodule", "lung")}}
	b.Grids[0].Unseen = []int32{5}
	for n := range 14 {
		in := study.Instance{UID: study.DerivedUID(string(uid), fmt.Sprint(n)), Series: "2.25.5", Study: uid, Class: dicom.CTImage, Modality: study.CT, Number: n + 1, TransferSyntax: dicom.ExplicitLE,
			Image: &study.Image{Rows: 10, Columns: 14, Frames: 1, Samples: 1, BitsAllocated: 16, SpacingMM: [2]float64{0.625, 0.75}, ThicknessMM: 1,
				Position: &[3]float64{-10.375, 19.6875, 100 + float64(n)}, Orientation: &[6]float64{1, 0, 0, 0, 1, 0}, FrameOfRef: "2.25.77"}}
		w.Instances = append(w.Instances, in)
		d := &a
		if n >= 7 {
			d = &b
		}
		d.Block.Tiles = append(d.Block.Tiles, study.Tile{Instance: in.UID, W: 14, H: 10})
	}
	w.Drawings = []pm.Drawing{b, a} // the order of jobs is none of ours
	return w
}

func maps(t testing.TB, w pm.Work) [][]byte {
	t.Helper()
	all, err := w.Maps()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func read(t testing.TB, b []byte) *dicom.Header {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestEveryProbabilityIsWhereItWasGiven reads the maps back: each field has an object,
// each plane that was seen a frame with its place and its sources, and each pixel is
// the number that the network gave.
func TestEveryProbabilityIsWhereItWasGiven(t *testing.T) {
	all := maps(t, volume(words.English))
	if len(all) != 2 {
		t.Fatalf("%d maps of two fields", len(all))
	}
	for field, b := range all {
		h := read(t, b)
		frames := h.Data.Items(dicom.PerFrameFunctionalGroupsSequence)
		shared := h.Data.Item(dicom.SharedFunctionalGroupsSequence)
		mapping := shared.Item(dicom.RealWorldValueMappingSequence)
		slope, _ := mapping.Float(dicom.RealWorldValueSlope)
		what := mapping.Item(dicom.QuantityDefinitionSequence).Item(dicom.ConceptCodeSequence).Text(dicom.CodeValue)
		if len(frames) != planes-1 || math.Abs(255*slope-1) > 1e-12 || what != []string{"27925004", "MODELOUTPUT"}[field] || mapping.Text(dicom.LUTLabel) != []string{"nodule", "lung"}[field] {
			t.Errorf("field %d: %d frames, slope %v, of %s", field, len(frames), slope, what)
		}
		if got := shared.Item(dicom.PixelMeasuresSequence).Floats(dicom.PixelSpacing); got[0] != 1.25 || got[1] != 1.5 {
			t.Errorf("pixels lie %v apart", got)
		}
		for k, f := range frames {
			position := f.Item(dicom.PlanePositionSequence).Floats(dicom.ImagePositionPatient)
			if position[0] != -10 || position[1] != 20 || position[2] != 100+2.5*float64(k) {
				t.Errorf("frame %d lies at %v", k+1, position)
			}
			sources := f.Item(dicom.DerivationImageSequence).Items(dicom.SourceImageSequence)
			for _, s := range sources {
				n := 0
				for n < 14 && string(volume("en").Instances[n].UID) != s.Text(dicom.ReferencedSOPInstanceUID) {
					n++
				}
				if off := math.Abs(float64(n) - 2.5*float64(k)); off > 1.25 {
					t.Errorf("frame %d is said to be of slice %d", k+1, n+1)
				}
			}
			if len(sources) < 2 {
				t.Errorf("frame %d is of %d slices", k+1, len(sources))
			}
			off := h.Frames.Spans[k].Off
			for i := range rows * columns {
				if got := binary.LittleEndian.Uint16(b[off+2*int64(i):]); got != uint16(value(field, k, i/columns, i%columns)) {
					t.Fatalf("field %d, frame %d, pixel %d is %d", field, k+1, i, got)
				}
			}
		}
	}
	again := maps(t, volume(words.English))
	if !bytes.Equal(all[0], again[0]) || !bytes.Equal(all[1], again[1]) {
		t.Error("written twice, two objects")
	}
}

// TestWhatHasNoPlaceHasNoMap: of an image that does not say where it lies nothing is
// made up, and what is beside it is written.
func TestWhatHasNoPlaceHasNoMap(t *testing.T) {
	w := volume(words.English)
	in := study.Instance{UID: "2.25.9", Series: "2.25.8", Class: dicom.MGImagePresentation, Modality: study.MG, Image: &study.Image{Rows: 10, Columns: 14, Frames: 1}}
	w.Instances = append(w.Instances, in)
	g := grid(0, 1, "mass")
	g.Position, g.Orientation = nil, nil
	w.Drawings = append(w.Drawings, pm.Drawing{Block: study.Block{Kind: study.Images, Series: in.Series, Tiles: []study.Tile{{Instance: in.UID}}}, Grids: []study.ChanceGrid{g}})
	all, err := w.Maps()
	if len(all) != 2 || !errors.Is(err, study.ErrUnsupported) {
		t.Errorf("%d maps, %v", len(all), err)
	}
	w = volume(words.English)
	w.Drawings[0].Grids[0].Values[0] = w.Drawings[0].Grids[0].Values[0][1:]
	if _, err := w.Maps(); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("of too few numbers: %v", err)
	}
}

// flat is an image that says where it lies.
func flat() pm.Work {
	w := volume(words.Danish)
	d := pm.Drawing{Block: study.Block{Kind: study.Images, Series: "2.25.5", Tiles: []study.Tile{{Instance: w.Instances[3].UID}}}, Grids: []study.ChanceGrid{grid(0, 1, "a very long name of a field")}}
	w.Drawings = []pm.Drawing{d}
	w.Result.Seen, w.Result.CE = 12, "2797"
	return w
}

func TestJudgesFindNoFault(t *testing.T) {
	iod, dump := peers.Need(t, "dciodvfy", "dicom3tools"), peers.Need(t, "dcmdump", "dcmtk")
	for name, w := range map[string]pm.Work{"en": volume(words.English), "nb": volume(words.Bokmal), "flat": flat()} {
		for n, b := range maps(t, w) {
			file := filepath.Join(t.TempDir(), "map.dcm")
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), iod, "-new", file).CombinedOutput()
			for line := range strings.Lines(string(out)) {
				known := strings.Contains(line, "is only permitted to be empty when actually unknown") || strings.Contains(line, "Unrecognized defined term = <99VARDE>") || strings.Contains(line, "Unrecognized defined term = <QUANTITY>")
				if (strings.HasPrefix(line, "Error") || strings.HasPrefix(line, "Warning")) && !known {
					t.Errorf("%s %d: %s", name, n, line)
				}
			}
			if err != nil || !bytes.Contains(out, []byte("ParametricMap")) {
				t.Errorf("%s %d: %v, %s", name, n, err, out)
			}
			if out, err := exec.CommandContext(t.Context(), dump, "-q", "+P", "RealWorldValueSlope", "+P", "NumberOfFrames", file).CombinedOutput(); err != nil || bytes.Count(out, []byte("\n")) != 2 {
				t.Errorf("%s %d: dcmdump: %v, %s", name, n, err, out)
			}
		}
	}
}
