package main_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"varde/inference"
	"varde/internal/dicom"
	"varde/internal/words"
	"varde/models/modelcard"
	"varde/report/identity"
	"varde/report/masks"
	"varde/study"
)

// TestFindingsOfMasksAreTheirSegments draws findings of masks as a worker does, and
// writes the masks as a report does: each finding is a segment with its own identity
// and just its own voxels, in a volume whose planes lie between the slices, and on
// images without a place.
func TestFindingsOfMasksAreTheirSegments(t *testing.T) {
	nodule := study.Code{Value: "27925004", Scheme: "SCT", Meaning: "Nodule"}
	runs := []int32{1, 10, 10, 15, 1, 11, 9, 16, 2, 11, 10, 14, 4, 30, 30, 33, 4, 31, 30, 35, 4, 5, 5, 5}
	pieces := []int64{6 + 8 + 5, 4 + 6}
	for _, kind := range []study.Kind{study.Volume, study.Images} {
		uid := study.DerivedUID("masks of", string(kind))
		card := modelcard.Card{ID: "their-nodules", Version: "1", Input: modelcard.Input{Kind: kind}, Flag: modelcard.Flag{By: "findings", Flagged: 1},
			Output:  []modelcard.Output{{Name: "classes", Role: modelcard.RoleSegments}},
			Segment: []modelcard.Segment{{Name: "nodule", Output: "classes", What: nodule, Lesions: true, MinMM: 3}}}
		part := study.Part{Study: uid, Rev: 1, Block: study.Block{Kind: kind, Series: "2.25.2"}, Masks: &study.Masks{}}
		var instances []study.Instance
		for n := range 6 {
			img := &study.Image{Rows: 64, Columns: 80, Frames: 1, Samples: 1, BitsAllocated: 16, SpacingMM: [2]float64{0.8, 0.6}}
			if kind == study.Volume {
				img.Position, img.Orientation, img.FrameOfRef, img.ThicknessMM = &[3]float64{-5, 7, 50 + 2*float64(n)}, &[6]float64{1, 0, 0, 0, 1, 0}, "2.25.4", 2
			}
			in := study.Instance{UID: study.DerivedUID(string(uid), fmt.Sprint(n)), Series: "2.25.2", Study: uid, Class: dicom.CTImage, Modality: study.CT, Number: n + 1, Image: img}
			instances = append(instances, in)
			part.Block.Tiles = append(part.Block.Tiles, study.Tile{Instance: in.UID, W: 80, H: 64})
			part.Scores = append(part.Scores, study.Score{Tile: n})
		}
		grid := study.MaskGrid{Columns: 80, Rows: 64, Scale: [2]float64{1, 1}, SpacingMM: [2]float64{0.6, 0.8}}
		if kind == study.Volume {
			part.Block.Last, part.Block.OriginMM, part.Block.StepMM = 5, 50.4, 2
			grid.Planes, grid.StepMM, grid.Position, grid.Orientation, grid.Runs = 6, 2, &[3]float64{-5, 7, 50.4}, &[6]float64{1, 0, 0, 0, 1, 0}, [][]int32{runs}
			part.Masks.Grids = append(part.Masks.Grids, grid)
		} else {
			for i := 0; i < len(runs); i += 4 { // each plane is an image of its own
				if n := len(part.Masks.Grids); n > 0 && part.Masks.Grids[n-1].Tile == int(runs[i]) {
					part.Masks.Grids[n-1].Runs[0] = append(part.Masks.Grids[n-1].Runs[0], 0, runs[i+1], runs[i+2], runs[i+3])
					continue
				}
				g := grid
				g.Tile, g.Planes, g.Runs = int(runs[i]), 1, [][]int32{{0, runs[i+1], runs[i+2], runs[i+3]}}
				part.Masks.Grids = append(part.Masks.Grids, g)
			}
		}
		r := inference.Conclude(inference.Facts{Card: card, Study: uid, Rev: 1, Parts: []study.Part{part}, Instances: instances, At: time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)})
		want := map[study.Kind]int{study.Volume: 2, study.Images: 2}[kind]
		if len(r.Findings) < want {
			t.Fatalf("%s: %d findings, %s", kind, len(r.Findings), r.AI)
		}
		all, err := masks.Work{Identity: identity.Identity{Study: study.Study{UID: uid}, Device: identity.Device{}.Filled(), At: r.At}, Result: r, Instances: instances,
			Segments: []masks.Segment{{Name: "nodule", What: nodule, Lesions: true}}, Drawings: []masks.Drawing{{Block: part.Block, Grids: part.Masks.Grids}}, Lang: words.English,
			Name: func(n int) (object, series study.UID) {
				return study.DerivedUID(string(uid), "o", fmt.Sprint(n)), "2.25.3"
			}}.Segmentations()
		if err != nil {
			t.Fatal(err)
		}
		written := map[study.UID]bool{}
		for _, o := range all {
			for tracking := range o.Segments {
				written[tracking] = true
			}
			if kind == study.Volume {
				h, err := dicom.Scan(bytes.NewReader(o.Bytes), dicom.ScanOptions{Size: int64(len(o.Bytes))})
				if err != nil {
					t.Fatal(err)
				}
				checkVoxels(t, h, o.Bytes, pieces)
			}
		}
		for _, f := range r.Findings {
			if !written[f.Tracking] {
				t.Errorf("%s: finding %d is in no mask", kind, f.Number)
			}
		}
		if len(written) != len(r.Findings) {
			t.Errorf("%s: %d segments of %d findings", kind, len(written), len(r.Findings))
		}
	}
}

// checkVoxels counts the pixels of each segment, the largest piece first.
func checkVoxels(t *testing.T, h *dicom.Header, b []byte, want []int64) {
	t.Helper()
	counts := make([]int64, len(want))
	n := 0
	for f := range h.Data.Each(dicom.PerFrameFunctionalGroupsSequence) {
		segment, _ := f.Item(dicom.SegmentIdentificationSequence).Int(dicom.ReferencedSegmentNumber)
		for i := range 64 * 80 {
			at := n*64*80 + i
			counts[segment-1] += int64(b[h.Frames.Spans[0].Off+int64(at/8)]>>(at%8)) & 1
		}
		n++
	}
	for i := range want {
		if counts[i] != want[i] {
			t.Errorf("segment %d has %d pixels, not %d", i+1, counts[i], want[i])
		}
	}
}
