package worldlist_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"net/http/httptest"
	"testing"
	"time"

	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/internal/mask"
	"varde/internal/webui"
	"varde/study"
	"varde/worldlist"
)

const (
	priorCT study.UID = "2.25.150" // of the patient of the chest CT
	looksXR study.UID = "2.25.151" // one series for each way to be shown
	cineUS  study.UID = "2.25.152" // a loop
)

// A scene is a ward whose images tell in their headers how they want to be shown.
type scene struct {
	*ward
	heads map[study.UID]*dicom.Dataset
	ramps map[study.UID]bool // images that rise from left to right
}

const (
	rampColumns = 64
	rampRows    = 32
	rampLow     = -500 // value of the left column
	rampStep    = 20   // from column to column
)

func (s *scene) Header(_ context.Context, in study.Instance) (*dicom.Dataset, error) {
	if d := s.heads[in.UID]; d != nil {
		return d, nil
	}
	return s.head(dicom.NewItem().Set(dicom.Modality, string(in.Modality))), nil
}

// head makes the data set of a header.
func (s *scene) head(i *dicom.Item) *dicom.Dataset {
	b, err := i.DataSet(dicom.ExplicitLE)
	if err != nil {
		panic(err)
	}
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{TransferSyntax: dicom.ExplicitLE, Charset: "ISO_IR 192", Limits: dicom.Limits{Value: 128 << 10}})
	if err != nil {
		panic(err)
	}
	return h.Data
}

func (s *scene) Frame(ctx context.Context, in study.Instance, n int) (codec.Frame, error) {
	switch {
	case s.ramps[in.UID]:
		f := codec.Frame{Rows: rampRows, Columns: rampColumns, Samples: 1, Bits: 16, Stored: 16, Signed: true, Color: codec.Gray, Data: make([]byte, 2*rampColumns*rampRows)}
		for i := range rampColumns * rampRows {
			binary.LittleEndian.PutUint16(f.Data[2*i:], uint16(int16(rampLow+rampStep*(i%rampColumns))))
		}
		return f, nil
	case in.Study == cineUS:
		f := codec.Frame{Rows: 48, Columns: 64, Samples: 1, Bits: 8, Stored: 8, Color: codec.Gray, Data: make([]byte, 48*64)}
		for i := range f.Data {
			f.Data[i] = byte(20 * n)
		}
		return f, nil
	}
	return s.ward.Frame(ctx, in, n)
}

// lut is a table that is the square of its place: 1,300 entries of 12 bits from −500
// on.
func lut() []byte {
	b := make([]byte, 2*1300)
	for i := range 1300 {
		binary.LittleEndian.PutUint16(b[2*i:], uint16(4095*i*i/(1299*1299)))
	}
	return b
}

// ramp adds a series of one image that rises.
func (s *scene) ramp(n int, text, photometric string, i *dicom.Item, spacing [2]float64, kind string) {
	uid := study.UID(fmt.Sprintf("%s.%d.1", looksXR, n))
	s.ramps[uid], s.heads[uid] = true, s.head(i)
	s.instances[looksXR] = append(s.instances[looksXR], study.Instance{UID: uid, Series: study.UID(fmt.Sprintf("%s.%d", looksXR, n)), Study: looksXR, Modality: "CR", Number: 1, SeriesNumber: n, SeriesText: text, SHA256: hash(string(uid)),
		Image: &study.Image{Rows: rampRows, Columns: rampColumns, Frames: 1, Samples: 1, BitsAllocated: 16, BitsStored: 16, Signed: true, Photometric: photometric, SpacingMM: spacing, SpacingKind: kind}})
}

// newScene is a ward with priors, with loops, with every way to show an image, and
// with what a network drew.
func newScene() *scene {
	s := &scene{ward: newWard(), heads: map[study.UID]*dicom.Dataset{}, ramps: map[study.UID]bool{}}
	day := time.Date(2025, 3, 12, 9, 0, 0, 0, time.UTC)
	prior := one(priorCT, "Hansen^Kari", "CT thorax", study.CT, day, "", time.Time{})
	prior.Study.Patient, prior.Study.Status = s.cases[chestCT].Study.Patient, study.Read
	looks := one(looksXR, "Lie^Tom", "Ways to be shown", "CR", day, "", time.Time{})
	cine := one(cineUS, "Rud^Ida", "Loop", "US", day, "", time.Time{})
	for _, c := range []study.Case{prior, looks, cine} {
		c.Study.Note = study.ReasonNoModel
		s.cases[c.Study.UID] = &c
	}
	place := func(in *study.Instance, ref study.UID, z float64) {
		in.Image.FrameOfRef, in.Image.Position, in.Image.Orientation = ref, &[3]float64{-115, -115, z}, &[6]float64{1, 0, 0, 0, 1, 0}
		in.SHA256 = hash(string(in.UID))
	}
	s.instances[chestCT] = append([]study.Instance(nil), s.instances[chestCT]...)
	for i := range s.instances[chestCT] {
		in := &s.instances[chestCT][i]
		img := *in.Image
		in.Image = &img
		place(in, "2.25.1010", 2*float64(i))
		s.heads[in.UID] = s.head(dicom.NewItem().Set(dicom.WindowCenter, -600.0, 50.0).Set(dicom.WindowWidth, 1500.0, 350.0).Set(dicom.WindowCenterWidthExplanation, "Lunge", "Weichteil ß"))
	}
	more := func(uid, series, ref study.UID, text string, count, number int, step float64) {
		for n := range count {
			in := s.instances[chestCT][0]
			img := *in.Image
			in.UID, in.Series, in.Study, in.SeriesText, in.Image = study.UID(fmt.Sprintf("%s.%d", series, n+1)), series, uid, text, &img
			in.Number = 1 + int(float64(n)*step/2)
			place(&in, ref, float64(n)*step)
			s.heads[in.UID] = s.heads[chestCT+".1.1"]
			s.instances[uid] = append(s.instances[uid], in)
		}
	}
	more(chestCT, chestCT+".2", "2.25.1010", "Thorax 4.0 B60", 12, 2, 4)
	more(priorCT, priorCT+".1", "2.25.1500", "Thorax 2.0 B30", 12, 1, 4)

	window := func() *dicom.Item {
		return dicom.NewItem().Set(dicom.WindowCenter, 100.0).Set(dicom.WindowWidth, 600.0)
	}
	s.ramp(1, "linear", "MONOCHROME2", window(), [2]float64{0.5, 0.25}, "pixel")
	s.ramp(2, "exact", "MONOCHROME2", window().Set(dicom.VOILUTFunction, "LINEAR_EXACT"), [2]float64{0.2, 0.2}, "imager")
	s.ramp(3, "sigmoid", "MONOCHROME2", window().Set(dicom.VOILUTFunction, "SIGMOID"), [2]float64{}, "")
	s.ramp(4, "inverted", "MONOCHROME1", window(), [2]float64{}, "")
	s.ramp(5, "table", "MONOCHROME2", dicom.NewItem().Seq(dicom.VOILUTSequence, dicom.NewItem().SetVR(dicom.LUTDescriptor, "SS", 1300, rampLow, 12).
		Set(dicom.LUTExplanation, "SQUARE").SetVR(dicom.LUTData, "OW", lut())), [2]float64{}, "")

	s.instances[cineUS] = []study.Instance{{UID: cineUS + ".1.1", Series: cineUS + ".1", Study: cineUS, Modality: "US", Number: 1, SeriesText: "Loop", SHA256: hash("loop"),
		Image: &study.Image{Rows: 48, Columns: 64, Frames: 6, Samples: 1, BitsAllocated: 8, BitsStored: 8, Photometric: "MONOCHROME2"}}}
	s.heads[cineUS+".1.1"] = s.head(dicom.NewItem().Set(dicom.FrameTime, 40.0))
	s.draw()
	return s
}

// draw lets a network draw a ball and a box over the chest, on a grid of 2 mm that
// begins 50 mm and 30 mm from the edges of the image.
func (s *scene) draw() {
	g := study.MaskGrid{Columns: 60, Rows: 60, Planes: ctSlices, StepMM: 2, SpacingMM: [2]float64{1.8, 1.8}, Scale: [2]float64{2, 2},
		Position: &[3]float64{-115 + 0.45 + 90, -115 + 0.45 + 45, 0}, Orientation: &[6]float64{1, 0, 0, 0, 1, 0}, Runs: [][]int32{nil, nil}}
	for z := range int32(ctSlices) {
		for y := range int32(60) {
			// The center of column c lies at pixel 100 + 2c + 1 of the image, of row r at 50 + 2r + 1.
			r := noduleR*noduleR - math.Pow(float64(50+2*y+1)-noduleY, 2) - math.Pow(2*float64(z+1-noduleAt), 2)
			if r > 0 {
				a := int32(math.Round((noduleX - math.Sqrt(r) - 101) / 2))
				b := int32(math.Round((noduleX + math.Sqrt(r) - 101) / 2))
				g.Runs[0] = append(g.Runs[0], z, y, a, b)
			}
			if y >= 10 && y < 20 {
				g.Runs[1] = append(g.Runs[1], z, y, 5, 14)
			}
		}
	}
	p := study.Part{Study: chestCT, Rev: 1, Model: nodules, Block: study.Block{Kind: study.Volume, Series: chestCT + ".1", Last: ctSlices - 1, StepMM: 2}}
	for _, in := range s.instances[chestCT] {
		if in.Series == chestCT+".1" {
			p.Block.Tiles = append(p.Block.Tiles, study.Tile{Instance: in.UID})
		}
	}
	m := study.Masks{Key: "results/masks", Grids: []study.MaskGrid{g}}
	b, err := mask.Encode(m)
	if err != nil {
		panic(err)
	}
	m.SHA256, m.Bytes = sha256.Sum256(b), int64(len(b))
	m.Grids[0].Runs = nil
	p.Masks = &m
	s.put(m.Key, b)
	s.parts = map[string]study.Part{"results/drawn": p}
	s.done = map[study.UID][]study.PartRow{chestCT: {{State: study.JobDone, Key: "results/drawn", Planned: 24, Seen: 24}}}
}

// show serves a scene.
func (s *scene) show(t *testing.T, change ...func(*worldlist.Pages)) (server *httptest.Server, entry string) {
	t.Helper()
	all := append([]func(*worldlist.Pages){func(p *worldlist.Pages) {
		p.Headers, p.PACS = s, "https://pacs.example/open?study={study_uid}&accession={accession}"
		p.Segments = func(l webui.Lang, _ study.ModelRef) []string {
			return []string{l.Title(study.Code{Value: "27925004", Scheme: "SCT", Meaning: "Nodule"}), l.Title(study.Code{Value: "39607008", Scheme: "SCT", Meaning: "Lung"})}
		}
	}}, change...)
	site := siteOf(t, s.ward, s, all...)
	server = httptest.NewServer(site)
	t.Cleanup(server.Close)
	return server, server.URL + site.Invite(webui.Identity{Name: "K. Hansen", Role: webui.Reader}, time.Hour)
}
