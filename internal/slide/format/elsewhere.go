package format

import (
	"bytes"
	"slices"
	"strings"
)

// The formats that are known and not read here. It matters to know them: some are
// TIFF files, and as plain TIFF their tiles would be put in the wrong places.

// openSlide is a format that the OpenSlide library reads.
func openSlide(name string, recognize func(*source) bool) format {
	return format{name: name, recognize: recognize, levels: func(*source) ([]Level, error) {
		return nil, &NeedsOpenSlideError{Format: name}
	}}
}

// nobody is a format that nothing here reads, with a way out.
func nobody(name, what, remedy string, recognize func(*source) bool) format {
	return format{name: name, recognize: recognize, levels: func(*source) ([]Level, error) {
		return nil, refused(remedy, "%s", what)
	}}
}

// dicomObject is a DICOM object, also one that is a TIFF file at the same time:
// what it says as DICOM is more, and is read elsewhere.
func dicomObject() format {
	return nobody("dicom", "a DICOM object", "send it by C-STORE or STOW-RS, or put it into the watched folder", func(s *source) bool {
		return len(s.head) >= 132 && string(s.head[128:132]) == "DICM"
	})
}

// hamamatsu is NDPI: a TIFF whose levels are each one JPEG of any size.
func hamamatsu() format {
	return openSlide("hamamatsu", func(s *source) bool {
		return len(s.dirs) > 0 && (s.dirs[0].has(tagNDPIVersion) || s.dirs[0].has(tagNDPISourceLens))
	})
}

// hamamatsuVMS is the index file of VMS and VMU slides, whose pictures lie in
// files beside it.
func hamamatsuVMS() format {
	return openSlide("hamamatsu", func(s *source) bool {
		return bytes.Contains(s.head, []byte("[Virtual Microscope Specimen]")) || bytes.Contains(s.head, []byte("[Uncompressed Virtual Microscope Specimen]"))
	})
}

// trestle is a TIFF whose tiles overlap; the description says by how much.
func trestle() format {
	return openSlide("trestle", func(s *source) bool {
		return len(s.dirs) > 0 && strings.Contains(s.dirs[0].text, "OverlapsXY=")
	})
}

// mirax is the index file of 3DHISTECH slides: a thumbnail in JPEG, or an archive,
// with the pictures in a folder beside it.
func mirax() format {
	return openSlide("mirax", func(s *source) bool {
		return s.extension() == ".mrxs" && len(s.dirs) == 0 || bytes.HasPrefix(s.head, []byte("[GENERAL]")) && bytes.Contains(s.head, []byte("SLIDE_VERSION"))
	})
}

// sakura is SVSLIDE: a database.
func sakura() format {
	return openSlide("sakura", func(s *source) bool { return bytes.HasPrefix(s.head, []byte("SQLite format 3\x00")) })
}

// zeiss is CZI, and the older ZVI in Microsoft's compound file.
func zeiss() format {
	return openSlide("zeiss", func(s *source) bool {
		return bytes.HasPrefix(s.head, []byte("ZISRAWFILE")) ||
			bytes.HasPrefix(s.head, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")) && s.extension() == ".zvi"
	})
}

// iSyntax is Philips's own format, in which pictures are wavelets.
func iSyntax() format {
	return nobody("isyntax", "a slide in Philips iSyntax",
		"have the Philips Image Management System export DICOM or TIFF", func(s *source) bool {
			return len(s.dirs) == 0 && bytes.Contains(s.head, []byte("DPUfsImport"))
		})
}

// perkinElmer is QPTIFF, which holds fluorescence more often than not.
func perkinElmer() format {
	return nobody("qptiff", "a slide in PerkinElmer (Akoya) QPTIFF", "export its brightfield picture as OME-TIFF or DICOM", func(s *source) bool {
		return slices.ContainsFunc(s.dirs, func(d *directory) bool { return strings.Contains(d.text, "PerkinElmer-QPI") })
	})
}
