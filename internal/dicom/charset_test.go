package dicom_test

import (
	"bytes"
	"testing"

	"varde/internal/dicom"
	"varde/study"
)

func even(s string) []byte {
	if len(s)%2 == 1 {
		s += " "
	}
	return []byte(s)
}

func TestNamesAreReadInEveryCharacterSet(t *testing.T) {
	const esc = "\x1B"
	for _, tt := range []struct{ charset, raw, want string }{
		{"ISO_IR 100", "S\xF8rensen^\xC5se", "Sørensen^Åse"},
		{"ISO-IR 100", "S\xF8rensen^\xC5se", "Sørensen^Åse"},
		{"ISO_IR_100", "S\xF8rensen", "Sørensen"},
		{"iso ir 100", "S\xF8rensen", "Sørensen"},
		{"ISO_2022_IR_100", "S\xF8rensen", "Sørensen"},
		{"ISO 8859-1", "S\xF8rensen", "Sørensen"},
		{"ISO_IR 101", "Dvo\xF8\xE1k", "Dvořák"},
		{"ISO_IR 109", "\xA6eorge", "Ĥeorge"},
		{"ISO_IR 110", "B\xEDrzi\xF2\xB9", "Bírziōš"},
		{"ISO_IR 144", "\xBB\xEE\xDAce", "Люкce"},
		{"ISO_IR 127", "\xE2\xC8\xC7\xE6\xEA", "قباني"},
		{"ISO_IR 126", "\xC4\xE9\xEF\xED", "Διον"},
		{"ISO_IR 138", "\xF9\xF8\xE5\xEF", "שרון"},
		{"ISO_IR 148", "\xC7avu\xFEo\xF0lu", "Çavuşoğlu"},
		{"ISO_IR 166", "\xA1\xD2\xC3", "การ"},
		{"ISO_IR 203", "\xA4uro", "€uro"},
		{"ISO_IR 13", "\xD4\xCF\xC0\xDE^\xC0\xDB\xB3", "ﾔﾏﾀﾞ^ﾀﾛｳ"},
		{"ISO_IR 192", "Ødegård", "Ødegård"},
		{"UTF8", "Ødegård", "Ødegård"},
		{"GB18030", "Wang^XiaoDong=\xCD\xF5^\xD0\xA1\xB6\xAB", "Wang^XiaoDong=王^小东"},
		{"GBK", "\xCD\xF5^\xD0\xA1\xB6\xAB", "王^小东"},
		{`\ISO 2022 IR 87`, "Yamada^Tarou=" + esc + "$B;3ED" + esc + "(B^" + esc + "$BB@O:" + esc + "(B=" + esc + "$B$d$^$@" + esc + "(B^" + esc + "$B$?$m$&" + esc + "(B",
			"Yamada^Tarou=山田^太郎=やまだ^たろう"},
		{`ISO 2022 IR 13\ISO 2022 IR 87`, "\xD4\xCF\xC0\xDE^\xC0\xDB\xB3=" + esc + "$B;3ED" + esc + "(J^" + esc + "$BB@O:" + esc + "(J",
			"ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎"},
		{`\ISO 2022 IR 159`, esc + "$(D\x30\x21" + esc + "(B", "丂"},
		{`\ISO 2022 IR 149`, "Hong^Gildong=" + esc + "$)C\xFB\xF3^" + esc + "$)C\xD1\xCE\xD4\xD7=" + esc + "$)C\xC8\xAB^" + esc + "$)C\xB1\xE6\xB5\xBF",
			"Hong^Gildong=洪^吉洞=홍^길동"},
		{`\ISO 2022 IR 149`, "\xC8\xAB^\xB1\xE6\xB5\xBF", "홍^길동"}, // the escape forgotten
		{`\ISO 2022 IR 58`, "Zhang^XiaoDong=" + esc + "$)A\xD5\xC5^" + esc + "$)A\xD0\xA1\xB6\xAB", "Zhang^XiaoDong=张^小东"},
		{`\ISO 2022 IR 100`, "Gr" + esc + "-A\xF8nneg" + "\xE5rd^" + esc + "-AV\xE5rin", "Grønnegård^Vårin"},
		{`ISO 2022 IR 100\ISO 2022 IR 144`, "S\xF8r^" + esc + "-L\xBB\xEE\xDA^\xF8", "Sør^Люк^ø"}, // back to the first after ^
		{"", "Ødegård", "Ødegård"},
		{"", "S\xF8rensen", "Sørensen"},
		{"NO SUCH SET", "S\xF8rensen", "Sørensen"},
		{`\ISO 2022 IR 87`, esc + "$B;", "\uFFFD"}, // half a character
		{"ISO_IR 192", "S\xF8r", "S\uFFFDr"},
		{"ISO_IR 100", "a" + esc, "a"},
	} {
		b := elements(explicit,
			element{dicom.SpecificCharacterSet, "CS", even(tt.charset)},
			element{dicom.PatientName, "PN", even(tt.raw)})
		h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{TransferSyntax: dicom.ExplicitLE})
		if err != nil {
			t.Fatal(err)
		}
		if got := h.Data.Text(dicom.PatientName); got != tt.want {
			t.Errorf("%q in %q is %q, want %q", tt.raw, tt.charset, got, tt.want)
		}
	}
}

func TestSettingReadsWhatNamesNoCharacterSet(t *testing.T) {
	b := elements(explicit, element{dicom.PatientName, "PN", even("\xBB\xEE\xDAce")})
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{TransferSyntax: dicom.ExplicitLE, Charset: "ISO_IR 144"})
	if got := h.Data.Text(dicom.PatientName); err != nil || got != "Люкce" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestItemsInheritAndOverrideTheCharacterSet(t *testing.T) {
	own := elements(explicit, element{dicom.SpecificCharacterSet, "CS", even("ISO_IR 144")}, element{dicom.CodeMeaning, "LO", even("\xBB\xEE\xDA")})
	none := elements(explicit, element{dicom.CodeMeaning, "LO", even("\xD8re")})
	b := elements(explicit, element{dicom.SpecificCharacterSet, "CS", even("ISO_IR 100")})
	b = append(b, wrap(explicit, dicom.AnatomicRegionSequence, "SQ", item(explicit, own), item(explicit, none))...)
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{TransferSyntax: dicom.ExplicitLE})
	if err != nil {
		t.Fatal(err)
	}
	items := h.Data.Items(dicom.AnatomicRegionSequence)
	if a, b := items[0].Text(dicom.CodeMeaning), items[1].Text(dicom.CodeMeaning); a != "Люк" || b != "Øre" {
		t.Errorf("%q and %q", a, b)
	}
}

func TestBackslashInsideACharacterDoesNotSplit(t *testing.T) {
	// The second byte of the first character is that of a backslash.
	b := elements(explicit,
		element{dicom.SpecificCharacterSet, "CS", even("GB18030")},
		element{dicom.OtherPatientNames, "PN", even("\x81\x5C\\B")})
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{TransferSyntax: dicom.ExplicitLE})
	if got := h.Data.Texts(dicom.OtherPatientNames); err != nil || len(got) != 2 || got[1] != "B" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestNameComesApart(t *testing.T) {
	for pn, want := range map[string]dicom.Name{
		"Yamada^Tarou=山田^太郎=やまだ^たろう": {Alphabetic: "Yamada^Tarou", Ideographic: "山田^太郎", Phonetic: "やまだ^たろう"},
		"Doe^Jane^^^": {Alphabetic: "Doe^Jane"},
		"=山田":         {Ideographic: "山田"},
		"":            {},
		"a=b=c=d":     {Alphabetic: "a", Ideographic: "b", Phonetic: "c"},
	} {
		if got := dicom.SplitName(pn); got != want {
			t.Errorf("%q is %+v, want %+v", pn, got, want)
		}
	}
}

func TestClassesAndSyntaxesHaveNames(t *testing.T) {
	for u, want := range map[study.UID]string{
		dicom.CTImage: "CT Image Storage", dicom.Verification: "Verification", dicom.LabelMapSegmentation: "Label Map Segmentation Storage",
		dicom.HTJ2KLossless: "High-Throughput JPEG 2000 Image Compression (Lossless Only)", "1.2.3": "1.2.3",
	} {
		if got := dicom.ClassName(u); got != want {
			t.Errorf("%s is called %q, want %q", u, got, want)
		}
	}
	for u, want := range map[study.UID][3]bool{ // storage, image, encapsulated
		dicom.CTImage: {true, true, true}, dicom.WholeSlideImage: {true, true, true}, dicom.MGImageProcessing: {true, true, true},
		dicom.Comprehensive3DSR: {true, false, true}, dicom.Segmentation: {true, false, true}, dicom.Verification: {false, false, true},
		dicom.ExplicitLE: {false, false, false}, dicom.RLE: {false, false, true}, dicom.EncapsulatedUncompressed: {false, false, true},
		dicom.USMultiframeImage: {true, true, true}, dicom.DirectoryStorage: {false, false, true},
	} {
		if got := [3]bool{dicom.IsStorage(u), dicom.IsImage(u), dicom.Encapsulated(u)}; got != want {
			t.Errorf("%s: %v, want %v", dicom.ClassName(u), got, want)
		}
	}
}
