package dicomweb_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"testing"

	"varde/ingest"
	"varde/ingest/slidefile"
	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/internal/studytest"
	"varde/study"
)

// keepSlide takes a slide file in and gives its levels, the finest first.
func (s *site) keepSlide(t *testing.T, f studytest.SlideFile) []study.Instance {
	t.Helper()
	b, err := f.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	k := &slidefile.Keeper{Archive: s.objects, Receiver: s.receiver, Traffic: &ingest.Traffic{}, Log: slog.New(slog.DiscardHandler)}
	kept, err := k.Keep(t.Context(), ingest.Source{Kind: "upload"}, slidefile.Identifiers{PatientID: "P-1"}, "a"+f.Kind.Ext(), bytes.NewReader(b), 0)
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.ledger.ObjectsOf(t.Context(), kept.Study, kept.Series)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func instancePath(in study.Instance) string {
	return fmt.Sprintf("/studies/%s/series/%s/instances/%s", in.Study, in.Series, in.UID)
}

func TestFramesOfASlideFileComeAsJPEGThatStandsByItself(t *testing.T) {
	s := newSite(t)
	all := s.keepSlide(t, studytest.SlideFile{Kind: studytest.AperioSVS, Coding: "jpeg-rgb", Columns: 700, Rows: 500})
	in := all[0]
	index, err := s.ledger.Frames(t.Context(), in.UID)
	if err != nil {
		t.Fatal(err)
	}
	want, err := codec.ReadFrame(t.Context(), s.objects, in, index, 1)
	if err != nil {
		t.Fatal(err)
	}
	rgb, err := want.RGB()
	if err != nil {
		t.Fatal(err)
	}
	code, header, body := s.get(t, instancePath(in)+"/frames/2", "image/jpeg")
	if code != 200 || header.Get("Content-Type") != "image/jpeg; transfer-syntax="+string(dicom.JPEGBaseline) {
		t.Fatalf("%d %s", code, header.Get("Content-Type"))
	}
	got, err := codec.Decode(study.Image{Rows: 256, Columns: 256, Samples: 3, BitsAllocated: 8, BitsStored: 8, HighBit: 7, Frames: 1,
		Photometric: "RGB"}, dicom.JPEGBaseline, [][]byte{body})
	if err != nil {
		t.Fatal(err)
	}
	if shown, err := got.RGB(); err != nil || !bytes.Equal(shown, rgb) {
		t.Error("the frame shows other pixels than the file", err)
	}
	code, header, body = s.get(t, instancePath(in)+"/frames/1,2", `multipart/related; type="image/jpeg"`)
	if two := parts(t, header, body); code != 200 || len(two) != 2 {
		t.Errorf("%d with %d frames", code, len(two))
	}
	code, _, body = s.get(t, instancePath(in)+"/frames/2", `application/octet-stream`)
	if code != 200 || !bytes.Equal(body, rgb) {
		t.Errorf("decoded: %d with %d bytes", code, len(body))
	}
	if code, _, _ = s.get(t, instancePath(in)+"/frames/999", "image/jpeg"); code != 404 {
		t.Errorf("a frame that is not there: %d", code)
	}
	for _, at := range []string{instancePath(in) + "/frames/2/rendered", instancePath(in) + "/rendered",
		fmt.Sprintf("/studies/%s/series/%s/thumbnail", in.Study, in.Series)} {
		if img, kind := s.shown(t, at, "image/png"); kind != "png" || img.Bounds().Empty() {
			t.Errorf("%s: %s", at, kind)
		}
	}
}

func TestLevelOfASlideFileIsRetrievedWhole(t *testing.T) {
	s := newSite(t)
	for _, f := range []studytest.SlideFile{{Columns: 700, Rows: 500, Coding: "jpeg", Sparse: true, Tile: 64}, {Columns: 700, Rows: 500, Coding: "lzw"}} {
		all := s.keepSlide(t, f)
		code, header, body := s.get(t, fmt.Sprintf("/studies/%s", all[0].Study), `multipart/related; type="application/dicom"; transfer-syntax=*`)
		objects := parts(t, header, body)
		if code != 200 || len(objects) != len(all) {
			t.Fatalf("%d with %d of %d objects", code, len(objects), len(all))
		}
		for _, b := range objects {
			h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
			if err != nil || h.FramesErr != nil || h.Frames.Len() == 0 {
				t.Error(err, h.FramesErr)
			}
		}
		code, header, body = s.get(t, instancePath(all[0]), "application/dicom")
		if code != 200 || header.Get("Content-Length") != fmt.Sprint(len(body)) || !bytes.Equal(body, objects[0]) {
			t.Errorf("by itself: %d, %s of %d bytes", code, header.Get("Content-Length"), len(body))
		}
	}
}

func TestMetadataOfASlideFileLeadsToItsPixels(t *testing.T) {
	s := newSite(t)
	all := s.keepSlide(t, studytest.SlideFile{Columns: 400, Rows: 300})
	code, _, body := s.get(t, fmt.Sprintf("/studies/%s/metadata", all[0].Study), "application/dicom+json")
	var found []map[string]struct {
		VR          string `json:"vr"`
		BulkDataURI string
		Value       []any
	}
	if err := json.Unmarshal(body, &found); err != nil || code != 200 || len(found) != len(all) {
		t.Fatalf("%d %v %s", code, err, body)
	}
	pixels := found[0]["7FE00010"]
	code, header, body := s.get(t, pixels.BulkDataURI, `multipart/related; type="image/jpeg"`)
	if frames := parts(t, header, body); code != 200 || len(frames) != all[0].Image.Frames {
		t.Errorf("%d with %d frames", code, len(frames))
	}
	if v := found[0]["00480006"].Value; len(v) != 1 || v[0] != float64(400) {
		t.Errorf("total columns %v", v)
	}
}

func TestSlideFileGoesOutAndComesInAsDICOM(t *testing.T) {
	from, to := newSite(t), newSite(t)
	for _, in := range from.keepSlide(t, studytest.SlideFile{Columns: 700, Rows: 500}) {
		body, _, err := slidefile.Objects{Archive: from.objects, Frames: from.ledger.Frames}.Open(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		if code, answer := to.post(t, "/studies", b); code != 200 {
			t.Fatalf("%d %v", code, answer)
		}
		if got, err := to.ledger.Instance(t.Context(), in.UID); err != nil || got.Image.Origin != nil || got.Image.Trouble != "" {
			t.Errorf("%+v %v", got, err)
		}
	}
}

// scattered draws one part of a level whose frames lie anywhere: TILED_SPARSE, in
// a concatenation. Frame n of the level is filled with the shade 10·n.
func scattered(t *testing.T, part int, places ...[2]int) ([]byte, study.Instance) {
	t.Helper()
	in := study.Instance{Study: "1.2.3", Series: "1.2.3.4", UID: study.UID(fmt.Sprintf("1.2.3.4.%d", part))}
	obj := dicom.NewObject(dicom.WholeSlideImage, in.UID)
	obj.Set(dicom.StudyInstanceUID, in.Study).Set(dicom.SeriesInstanceUID, in.Series).Set(dicom.PatientID, "P").Set(dicom.Modality, study.SM).
		Set(dicom.ImageType, "ORIGINAL", "PRIMARY", "VOLUME", "NONE").Set(dicom.DimensionOrganizationType, "TILED_SPARSE").
		Set(dicom.TotalPixelMatrixColumns, 64).Set(dicom.TotalPixelMatrixRows, 64).
		Set(dicom.ConcatenationUID, "1.2.3.9").Set(dicom.InConcatenationNumber, part+1).Set(dicom.InConcatenationTotalNumber, 2).
		Set(dicom.ConcatenationFrameOffsetNumber, 2*part)
	var groups []*dicom.Item
	var frames [][]byte
	for n, at := range places {
		groups = append(groups, dicom.NewItem().Seq(dicom.PlanePositionSlideSequence, dicom.NewItem().
			Set(dicom.ColumnPositionInTotalImagePixelMatrix, at[0]+1).Set(dicom.RowPositionInTotalImagePixelMatrix, at[1]+1)))
		frames = append(frames, bytes.Repeat([]byte{byte(10 * (2*part + n))}, 3*16*16))
	}
	obj.Seq(dicom.PerFrameFunctionalGroupsSequence, groups...)
	obj.Native(16, 16, 3, 8, false, frames...)
	b, err := obj.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b, in
}

func TestFramesOfAScatteredLevelInPartsAreShown(t *testing.T) {
	s := newSite(t)
	for part, places := range [][][2]int{{{48, 32}, {0, 0}}, {{16, 48}, {32, 0}}} {
		b, in := scattered(t, part, places...)
		if code, answer := s.post(t, "/studies", b); code != 200 {
			t.Fatalf("%d %v", code, answer)
		}
		for n := range places {
			shade := byte(10 * (2*part + n))
			code, _, body := s.get(t, fmt.Sprintf("%s/frames/%d", instancePath(in), n+1), "application/octet-stream")
			if code != 200 || !bytes.Equal(body, bytes.Repeat([]byte{shade}, 3*16*16)) {
				t.Errorf("part %d, frame %d: %d with %d bytes", part+1, n+1, code, len(body))
			}
			img, _ := s.shown(t, fmt.Sprintf("%s/frames/%d/rendered", instancePath(in), n+1), "image/png")
			if r, g, b, _ := img.At(7, 7).RGBA(); img.Bounds().Dx() != 16 || byte(r>>8) != shade || byte(g>>8) != shade || byte(b>>8) != shade {
				t.Errorf("part %d, frame %d is drawn in %d %d %d", part+1, n+1, r>>8, g>>8, b>>8)
			}
		}
	}
}
