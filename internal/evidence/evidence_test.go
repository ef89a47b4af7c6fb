package evidence_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/internal/evidence"
	"varde/internal/studytest/shared"
	"varde/study"
)

// objects gives the heads of all objects of the shared set that a content tree or
// segments are in, by name.
func objects(t *testing.T, with dicom.Tag) map[string]*dicom.Dataset {
	t.Helper()
	all := map[string]*dicom.Dataset{}
	dir, _ := shared.Manifest(t)
	err := filepath.WalkDir(filepath.Join(dir, "dicom"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if h, err := dicom.ReadFile(path); err == nil && h.Data.Has(with) {
			all[filepath.Base(path)] = h.Data
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestReportsOfOthersAreReadWhole reads every report of the shared set: every item of
// it is in the tree, and of no item is anything left out.
func TestReportsOfOthersAreReadWhole(t *testing.T) {
	all := objects(t, dicom.ContentSequence)
	if len(all) < 5 {
		t.Fatalf("%d reports", len(all))
	}
	for name, d := range all {
		doc, err := evidence.Read(d)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		n := 0
		doc.Tree.Walk(func(i tree.Item) {
			n++
			if len(i.Theirs.Unknown) > 0 {
				t.Errorf("%s: of %s %s %v are not read", name, i.Type, i.Name.Meaning, i.Theirs.Unknown)
			}
			if i.Type != tree.TypeContainer && i.Name.Zero() && i.Type != tree.TypeImage && i.Type != tree.TypeComposite && i.Type != tree.TypeWaveform {
				t.Errorf("%s: a %s of no concept", name, i.Type)
			}
			if strings.Contains(i.Text, "�") {
				t.Errorf("%s: %q", name, i.Text)
			}
		})
		if want := items(d); n != want || n < 5 {
			t.Errorf("%s: %d items of %d", name, n, want)
		}
		if doc.UID == "" || doc.Class == "" || doc.Title.Zero() || len(doc.At) < 14 {
			t.Errorf("%s: %+v", name, doc.Title)
		}
	}
}

// items counts the content items of an object.
func items(d *dicom.Dataset) int {
	n := 1
	for c := range d.Each(dicom.ContentSequence) {
		n += items(c)
	}
	return n
}

// TestTreesOfOthersAreDrawn holds what is odd in them against what DCMTK says.
func TestTreesOfOthersAreDrawn(t *testing.T) {
	all := objects(t, dicom.ContentSequence)
	for name, lines := range map[string][]string{
		"pydicom__test-SR.dcm": {`HAS PROPERTIES TCOORD (1234,99_OFFIS_DCMTK,"TCoord Code") = SEGMENT 1`, `SELECTED FROM SCOORD (1234,99_OFFIS_DCMTK,"SCoord Code") = CIRCLE 0 0 255 255 at 1.3.2`,
			`HAS ACQ CONTEXT DATETIME (1234.3,99_OFFIS_DCMTK,"DateTime") = 20001206120000`, "frames [5", "channels [5 3", `INFERRED FROM CODE (1234,99_OFFIS_DCMTK,"Code") = (2222,99_OFFIS_DCMTK,"Sample Code") at 1.2.2.1`},
		"dicomparser__report_dfl":    {`CONTAINS PNAME (2223,99_OFFIS_DCMTK,"Referring Physician") = Fukuda^^^Dr.`, `= 1.5 (cm,UCUM,"centimeter")`},
		"imaging__GK17285-KOS.dcm":   {`CONTAINS TEXT (113012,DCM,"Key Object Description") = Automatic created`},
		"highdicom__sr_document.dcm": {`CONTAINS SCOORD (111030,DCM,"Image Region") = CIRCLE`, `HAS CONCEPT MOD CODE (G-A1F8,SRT,"Topographical Modifier") = (T-11531,SRT,"Vertebral foramen")`},
	} {
		if all[name] == nil {
			t.Errorf("no %s", name)
			continue
		}
		doc, err := evidence.Read(all[name])
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if !strings.Contains(doc.Tree.String(), line) {
				t.Errorf("%s says no %q:\n%s", name, line, doc.Tree)
			}
		}
	}
}

func TestMeasurementsOfOthersAreFindings(t *testing.T) {
	d := objects(t, dicom.ContentSequence)["highdicom__sr_document.dcm"]
	if d == nil {
		t.Fatal("no report with measurements")
	}
	doc, err := evidence.Read(d)
	if err != nil || len(doc.Findings) == 0 {
		t.Fatal(len(doc.Findings), err)
	}
	f := doc.Findings[0]
	if f.Tracking != "Planar ROI Measurements" || f.TrackingUID != "1.2.826.0.1.3680043.8.498.95005499519195632686309166061552196996" ||
		f.What.Meaning != "Spinal cord" || len(f.Sites) != 2 || f.Sites[0].Meaning != "Cervico-thoracic spine" || f.Sites[1].Meaning != "Vertebral foramen" {
		t.Errorf("%+v", f)
	}
	if len(f.Measurements) != 1 || f.Measurements[0].Value != 1.7 || !f.Measurements[0].Measured || f.Measurements[0].Unit.Value != "cm2" || len(f.Measurements[0].Said) != 2 {
		t.Errorf("%+v", f.Measurements)
	}
	if len(f.Regions) != 1 || f.Regions[0].Shape != study.Circle || len(f.Regions[0].Items) != 1 || f.Regions[0].Items[0].Image.Instance == "" {
		t.Errorf("%+v", f.Regions)
	}
	if doc.Complete || doc.Verified || !doc.Preliminary {
		t.Errorf("complete %v, verified %v, preliminary %v", doc.Complete, doc.Verified, doc.Preliminary)
	}
}

func TestSegmentationsOfOthersAreRead(t *testing.T) {
	all := objects(t, dicom.SegmentSequence)
	if len(all) < 7 {
		t.Fatalf("%d segmentations", len(all))
	}
	for name, d := range all {
		s, err := evidence.Segments(d)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		framed := 0
		for _, one := range s.Segments {
			framed += len(one.Frames)
			if one.Label == "" || one.What.Zero() || one.Category.Zero() || one.AlgorithmType == "" || one.Of != s.UID {
				t.Errorf("%s: %+v", name, one)
			}
		}
		whole := s.Form == "LABELMAP" || strings.Contains(name, "tiled_full")
		if s.Rows == 0 || s.Columns == 0 || s.FrameCount == 0 || !whole && framed != s.FrameCount || len(s.Sources) == 0 {
			t.Errorf("%s: %d frames of %d×%d, %d of segments, drawn on %d images", name, s.FrameCount, s.Columns, s.Rows, framed, len(s.Sources))
		}
		if s.Form == "FRACTIONAL" && (s.Fractional == "" || s.MostPercent == 0) {
			t.Errorf("%s: fractional, and of what?", name)
		}
	}
	if s, err := evidence.Segments(all["highdicom__seg_image_ct_binary.dcm"]); err != nil || s.Segments[0].TrackingUID != "1.2.826.0.1.3680043.10.511.3.10019350872562748248892382642075888" {
		t.Errorf("%+v, %v", s.Segments, err)
	}
}

func TestWhatIsNeitherIsRefused(t *testing.T) {
	d := objects(t, dicom.SegmentSequence)["pydicom__liver_1frame.dcm"]
	if _, err := evidence.Read(d); !errors.Is(err, study.ErrInvalid) {
		t.Error(err)
	}
	if _, err := evidence.Segments(objects(t, dicom.ContentSequence)["pydicom__test-SR.dcm"]); !errors.Is(err, study.ErrInvalid) {
		t.Error(err)
	}
}

// TestDamagedReportsDoNoHarm changes bytes of the reports.
func TestDamagedReportsDoNoHarm(t *testing.T) {
	dir, _ := shared.Manifest(t)
	path := filepath.Join(dir, "dicom", "object")
	for _, name := range []string{"pydicom__test-SR.dcm", "highdicom__sr_document.dcm", "highdicom__seg_image_ct_binary.dcm"} {
		whole, err := os.ReadFile(filepath.Join(path, name))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), name)
		for n := range 200 {
			b := append([]byte(nil), whole[:min(len(whole), 20_000)]...)
			for k := range 4 {
				b[132+(n*7919+k*104729)%(len(b)-132)] ^= byte(1 << (n % 8))
			}
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
			h, err := dicom.ReadFile(file)
			if err != nil {
				continue
			}
			for _, read := range []func(*dicom.Dataset) error{
				func(d *dicom.Dataset) error { _, err := evidence.Read(d); return err },
				func(d *dicom.Dataset) error { _, err := evidence.Segments(d); return err },
			} {
				if err := read(h.Data); err != nil && !errors.Is(err, study.ErrInvalid) {
					t.Fatalf("%s: %v", name, err)
				}
			}
		}
	}
}

// read makes an object of a tree and reads it.
func read(t *testing.T, class study.UID, root tree.Item, change func(*dicom.Object)) evidence.Document {
	t.Helper()
	o := dicom.NewObject(class, "2.25.1")
	o.Set(dicom.Manufacturer, "Acme")
	if change != nil {
		change(o)
	}
	root.Write(o.Item)
	b, err := o.Encode()
	if err != nil {
		t.Fatal(err)
	}
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := evidence.Read(h.Data)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func dcm(value, meaning string) study.Code {
	return study.Code{Value: value, Scheme: "DCM", Meaning: meaning}
}

// TestComputerAidedDetectionIsFindings reads single image findings, PS3.16 TID 4006:
// what each is, who found it, where, and whether its maker wants it to be shown.
func TestComputerAidedDetectionIsFindings(t *testing.T) {
	image := tree.Image(tree.Contains, tree.Reference{Class: dicom.MGImagePresentation, Instance: "2.25.5"})
	one := func(what string, intent study.Code) tree.Item {
		return tree.Code(tree.Contains, dcm("111059", "Single Image Finding"), study.Code{Value: what, Scheme: "SCT", Meaning: what},
			tree.Code(tree.HasConceptMod, dcm("111056", "Rendering Intent"), intent),
			tree.UIDRef(tree.HasObsContext, dcm("112040", "Tracking Unique Identifier"), "2.25.9"),
			tree.Text(tree.HasProperties, dcm("111001", "Algorithm Name"), "Finder"), tree.Text(tree.HasProperties, dcm("111003", "Algorithm Version"), "2"),
			tree.Item{Relation: tree.HasProperties, Type: tree.TypeSCoord, Name: dcm("111010", "Center"), Shape: study.Point, Points: []float64{10, 20},
				Items: []tree.Item{tree.Referenced(tree.SelectedFrom, image, 1, 1, 1)}},
			tree.Num(tree.HasProperties, dcm("111012", "Certainty of Finding"), 87, study.Code{Value: "%", Scheme: "UCUM", Meaning: "Percent"}))
	}
	d := read(t, dicom.MammographyCADSR, tree.Container(tree.Root, dcm("111036", "Mammography CAD Report"), "4000",
		tree.Container(tree.Contains, dcm("111028", "Image Library"), "", image),
		tree.Code(tree.Contains, dcm("111017", "CAD Processing and Findings Summary"), dcm("111242", "All algorithms succeeded; with findings"),
			tree.Container(tree.InferredFrom, dcm("111034", "Individual Impression/Recommendation"), "",
				one("129769006", dcm("111150", "Presentation Required")), one("4147007", dcm("111152", "Not for Presentation"))))), nil)
	if len(d.Findings) != 2 || d.By() != evidence.Machine || len(d.Programs) != 1 || d.Programs[0] != (evidence.Program{Name: "Finder", Version: "2"}) {
		t.Fatalf("%+v", d)
	}
	f := d.Findings[0]
	if f.What.Value != "129769006" || f.Unshown || !d.Findings[1].Unshown || f.TrackingUID != "2.25.9" || f.Program.Name != "Finder" || len(f.Measurements) != 1 ||
		len(f.Regions) != 1 || f.Regions[0].Items[0].Image.Instance != "2.25.5" {
		t.Errorf("%+v", f)
	}
	all, more := d.Besides(10)
	if len(all) != 1 || more || all[0].Code.Value != "111242" {
		t.Errorf("%+v", all)
	}
}

// TestNobodyIsTakenForAPersonWhoDoesNotSaySo reads who observed, signed and wrote.
func TestNobodyIsTakenForAPersonWhoDoesNotSaySo(t *testing.T) {
	person := []tree.Item{tree.Code(tree.HasObsContext, dcm("121005", "Observer Type"), dcm("121006", "Person")), tree.PName(tree.HasObsContext, dcm("121008", "Person Observer Name"), "Lie^Anna")}
	unsaid := []tree.Item{tree.PName(tree.HasObsContext, dcm("121008", "Person Observer Name"), "Lie^Anna")}
	device := []tree.Item{tree.Code(tree.HasObsContext, dcm("121005", "Observer Type"), dcm("121007", "Device")), tree.Text(tree.HasObsContext, dcm("121013", "Device Observer Name"), "Station 3")}
	signed := func(o *dicom.Object) {
		o.Set(dicom.VerificationFlag, "VERIFIED").Seq(dicom.VerifyingObserverSequence, dicom.NewItem().Set(dicom.VerifyingObserverName, "Bo^Kari"))
	}
	for _, tt := range []struct {
		name   string
		items  []tree.Item
		change func(*dicom.Object)
		want   evidence.By
	}{
		{"nobody", nil, nil, evidence.Unknown},
		{"a person", person, nil, evidence.Person},
		{"a person without an observer type", unsaid, nil, evidence.Person},
		{"a device", device, nil, evidence.Machine},
		{"a person at a device", append(append([]tree.Item{}, person...), device...), nil, evidence.Unknown},
		{"a person at a device, signed", append(append([]tree.Item{}, person...), device...), signed, evidence.Person},
		{"a device, signed", device, signed, evidence.Person},
		{"a flag that nobody stands behind", device, func(o *dicom.Object) { o.Set(dicom.VerificationFlag, "VERIFIED") }, evidence.Machine},
		{"an author in the header", nil, func(o *dicom.Object) {
			o.Seq(dicom.AuthorObserverSequence, dicom.NewItem().Set(dicom.Tag(0x0040A084), "PSN").Set(dicom.PersonName, "Lie^Anna"))
		}, evidence.Person},
		{"a device in the header", nil, func(o *dicom.Object) {
			o.Seq(dicom.AuthorObserverSequence, dicom.NewItem().Set(dicom.Tag(0x0040A084), "DEV").Set(dicom.ManufacturerModelName, "Net"))
		}, evidence.Machine},
		{"a person who signed an algorithm's", append(append([]tree.Item{}, person...), tree.Text(tree.Contains, dcm("111001", "Algorithm Name"), "Finder")), signed, evidence.Machine},
	} {
		d := read(t, dicom.EnhancedSR, tree.Container(tree.Root, dcm("126000", "Imaging Measurement Report"), "", tt.items...), tt.change)
		if d.By() != tt.want {
			t.Errorf("%s: %s, want %s; %+v", tt.name, d.By(), tt.want, d.Authors)
		}
	}
}

// TestMarksOfPresentationStatesAreRead reads shapes and texts in pixels, and leaves out
// what lies beside the images.
func TestMarksOfPresentationStatesAreRead(t *testing.T) {
	o := dicom.NewObject(dicom.GrayscalePresentation, "2.25.1")
	image := func() *dicom.Item {
		return dicom.NewItem().Set(dicom.ReferencedSOPClassUID, dicom.CTImage).Set(dicom.ReferencedSOPInstanceUID, "2.25.5")
	}
	shape := func(units string) *dicom.Item {
		return dicom.NewItem().Set(dicom.GraphicAnnotationUnits, units).Set(dicom.GraphicType, "CIRCLE").Set(dicom.GraphicData, []float64{5, 6, 8, 6})
	}
	o.Set(dicom.ContentLabel, "MARKS").Set(dicom.PresentationCreationDate, "20250312").Set(dicom.PresentationCreationTime, "1015").
		Seq(dicom.ReferencedSeriesSequence, dicom.NewItem().Seq(dicom.ReferencedImageSequence, image())).
		Seq(dicom.GraphicAnnotationSequence, dicom.NewItem().
			Seq(dicom.GraphicObjectSequence, shape("PIXEL"), shape("DISPLAY")).
			Seq(dicom.TextObjectSequence, dicom.NewItem().Set(dicom.UnformattedTextValue, "14 mm").Set(dicom.AnchorPointAnnotationUnits, "PIXEL").Set(dicom.AnchorPoint, []float64{9, 9})))
	b, err := o.Encode()
	if err != nil {
		t.Fatal(err)
	}
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := evidence.Drawn(h.Data)
	if len(p.Marks) != 2 || p.Marks[0].Shape != study.Circle || len(p.Marks[0].Points) != 4 || p.Marks[1].Text != "14 mm" || len(p.Marks[1].Points) != 2 ||
		len(p.Marks[0].Images) != 1 || p.Marks[0].Images[0].Instance != "2.25.5" || p.At != "202503121015" {
		t.Errorf("%+v", p)
	}
}
