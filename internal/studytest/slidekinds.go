package studytest

import (
	"bytes"
	"fmt"
	"math"
	"strings"
)

// page makes the directory of a level as every kind has it.
func (f SlideFile) page(e tileEncoder, l slideLevel, width, height int) *tiffPage {
	p := &tiffPage{tiles: l.tiles, tags: []tiffTag{
		{id: 256, numbers: []uint64{uint64(width)}, wide: true},
		{id: 257, numbers: []uint64{uint64(height)}, wide: true},
		{id: 258, numbers: []uint64{8, 8, 8}},
		{id: 259, numbers: []uint64{uint64(e.compression)}},
		{id: 262, numbers: []uint64{uint64(e.photometric)}},
		{id: 277, numbers: []uint64{3}},
		{id: 284, numbers: []uint64{1}},
		{id: 322, numbers: []uint64{uint64(f.Tile)}},
		{id: 323, numbers: []uint64{uint64(f.Tile)}},
	}}
	if e.predictor != 1 {
		p.add(tiffTag{id: 317, numbers: []uint64{uint64(e.predictor)}})
	}
	if e.tables != nil {
		p.add(tiffTag{id: 347, raw: e.tables})
	}
	if e.photometric == 6 {
		n := uint64(1)
		if e.half {
			n = 2
		}
		p.add(tiffTag{id: 530, numbers: []uint64{n, n}})
	}
	return p
}

func (p *tiffPage) add(tags ...tiffTag) { p.tags = append(p.tags, tags...) }

// picture makes a small uncompressed picture in one strip: a label, a macro view
// or a thumbnail of one shade.
func picture(w, h int, text string, shade byte) *tiffPage {
	p := &tiffPage{strips: true, tiles: [][]byte{bytes.Repeat([]byte{shade}, 3*w*h)}, tags: []tiffTag{
		{id: 256, numbers: []uint64{uint64(w)}, wide: true},
		{id: 257, numbers: []uint64{uint64(h)}, wide: true},
		{id: 258, numbers: []uint64{8, 8, 8}},
		{id: 259, numbers: []uint64{1}},
		{id: 262, numbers: []uint64{2}},
		{id: 277, numbers: []uint64{3}},
		{id: 278, numbers: []uint64{uint64(h)}, wide: true},
		{id: 284, numbers: []uint64{1}},
	}}
	if text != "" {
		p.add(tiffTag{id: 270, text: text})
	}
	return p
}

// resolution says how many pixels a centimeter has.
func (f SlideFile) resolution(down int) []tiffTag {
	if f.MPP < 0 {
		return nil
	}
	per := [2]uint32{uint32(math.Round(1e9 / (f.MPP * float64(down)))), 100000}
	return []tiffTag{{id: 282, fraction: per}, {id: 283, fraction: per}, {id: 296, numbers: []uint64{3}}}
}

var reduced = tiffTag{id: 254, numbers: []uint64{1}, wide: true}

func (f SlideFile) generic(e tileEncoder, levels []slideLevel) []*tiffPage {
	var pages []*tiffPage
	for i, l := range levels {
		p := f.page(e, l, l.columns, l.rows)
		p.add(f.resolution(l.down)...)
		if i > 0 {
			p.add(reduced)
		}
		pages = append(pages, p)
	}
	return pages
}

func (f SlideFile) aperio(e tileEncoder, levels []slideLevel) []*tiffPage {
	first := levels[0]
	mpp := ""
	if f.MPP > 0 {
		mpp = fmt.Sprintf("|MPP = %.4f", f.MPP)
	}
	software := "Aperio Image Library v12.0.0"
	size := fmt.Sprintf("%dx%d [0,0 %dx%d] (%dx%d) JPEG/RGB Q=80", first.columns, first.rows, first.columns, first.rows, f.Tile, f.Tile)
	var pages []*tiffPage
	for i, l := range levels {
		p := f.page(e, l, l.columns, l.rows)
		text := fmt.Sprintf("%s\r\n%s|AppMag = 20|ScanScope ID = SYNTHETIC|Date = 01/05/26|Time = 08:00:00%s", software, size, mpp)
		if i > 0 {
			text = fmt.Sprintf("%s\r\n%s -> %dx%d - ", software, size, l.columns, l.rows)
		}
		p.add(tiffTag{id: 270, text: text})
		if pages = append(pages, p); i == 0 {
			pages = append(pages, picture(64, max(1, 64*first.rows/first.columns), software+"\r\n"+size+" -> thumbnail", 230))
		}
	}
	label, macro := picture(40, 48, software+"\r\nlabel 40x48", 250), picture(120, 48, software+"\r\nmacro 120x48", 200)
	label.add(reduced)
	macro.add(tiffTag{id: 254, numbers: []uint64{9}, wide: true})
	return append(pages, label, macro)
}

func (f SlideFile) ome(e tileEncoder, levels []slideLevel) []*tiffPage {
	spacing := ""
	if f.MPP > 0 {
		spacing = fmt.Sprintf(` PhysicalSizeX="%.6f" PhysicalSizeXUnit="nm" PhysicalSizeY="%.6f" PhysicalSizeYUnit="nm"`, f.MPP*1000, f.MPP*1000)
	}
	text := fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" Creator="SYNTHETIC 1">`+
		`<Instrument ID="Instrument:0"><Microscope Manufacturer="SYNTHETIC" Model="One" SerialNumber="0"/><Objective ID="Objective:0" NominalMagnification="20.0"/></Instrument>`+
		`<Image ID="Image:0" Name="slide"><AcquisitionDate>2026-01-05T08:00:00</AcquisitionDate><ObjectiveSettings ID="Objective:0"/>`+
		`<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="%d" SizeY="%d" SizeZ="1" SizeC="3" SizeT="1" Interleaved="true"%s>`+
		`<Channel ID="Channel:0:0" SamplesPerPixel="3"/><TiffData IFD="0" FirstZ="0" FirstC="0" FirstT="0" PlaneCount="1"/></Pixels></Image></OME>`,
		levels[0].columns, levels[0].rows, spacing)
	var main *tiffPage
	for i, l := range levels {
		p := f.page(e, l, l.columns, l.rows)
		if i == 0 {
			p.add(tiffTag{id: 270, text: text}, tiffTag{id: 305, text: "SYNTHETIC 1"})
			main = p
			continue
		}
		p.add(reduced)
		main.subs = append(main.subs, p)
	}
	return []*tiffPage{main}
}

func (f SlideFile) philips(e tileEncoder, levels []slideLevel) []*tiffPage {
	attribute := func(name, kind, value string) string {
		return fmt.Sprintf("<Attribute Name=%q Group=\"0x0000\" Element=\"0x0000\" PMSVR=%q>%s</Attribute>\n", name, kind, value)
	}
	spacing := func(down int) string {
		if f.MPP < 0 {
			return ""
		}
		mm := f.MPP * float64(down) / 1000
		return attribute("DICOM_PIXEL_SPACING", "IDoubleArray", fmt.Sprintf("&quot;%.9f&quot; &quot;%.9f&quot;", mm, mm))
	}
	padded := func(n int) int { return (n + f.Tile - 1) / f.Tile * f.Tile }
	var parts strings.Builder
	for i, l := range levels {
		parts.WriteString(`<DataObject ObjectType="PixelDataRepresentation">` + spacing(l.down) +
			attribute("PIIM_PIXEL_DATA_REPRESENTATION_COLUMNS", "IUInt16", fmt.Sprint(padded(l.columns))) +
			attribute("PIIM_PIXEL_DATA_REPRESENTATION_NUMBER", "IUInt16", fmt.Sprint(i)) +
			attribute("PIIM_PIXEL_DATA_REPRESENTATION_ROWS", "IUInt16", fmt.Sprint(padded(l.rows))) + "</DataObject>\n")
	}
	image := func(kind, more string) string {
		return `<DataObject ObjectType="DPScannedImage">` + attribute("PIM_DP_IMAGE_TYPE", "IString", kind) + more + "</DataObject>\n"
	}
	text := `<?xml version="1.0" encoding="UTF-8" ?>` + "\n" + `<DataObject ObjectType="DPUfsImport">` + "\n" +
		attribute("DICOM_ACQUISITION_DATETIME", "IString", "20260105080000.000000") +
		attribute("DICOM_DEVICE_SERIAL_NUMBER", "IString", "SYNTHETIC") +
		attribute("DICOM_MANUFACTURER", "IString", "PHILIPS") +
		attribute("DICOM_MANUFACTURERS_MODEL_NAME", "IString", "Synthetic") +
		attribute("DICOM_SOFTWARE_VERSIONS", "IStringArray", "&quot;1.0&quot;") +
		attribute("PIM_DP_SCANNED_IMAGES", "IDataObjectArray", "<Array>\n"+
			image("MACROIMAGE", attribute("PIM_DP_IMAGE_DATA", "IString", strings.Repeat("AAAA", 300)))+
			image("WSI", spacing(1)+attribute("PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE", "IDataObjectArray", "<Array>\n"+parts.String()+"</Array>"))+
			"</Array>") + "</DataObject>"
	var pages []*tiffPage
	for i, l := range levels {
		// The first level's size is true; those of the others are filled up to
		// whole tiles.
		w, h := l.columns, l.rows
		if i > 0 {
			w, h = padded(w), padded(h)
		}
		p := f.page(e, l, w, h)
		p.add(tiffTag{id: 305, text: "Philips DP v1.0"})
		if i == 0 {
			p.add(tiffTag{id: 270, text: text})
		} else {
			p.add(reduced, tiffTag{id: 270, text: fmt.Sprintf("level=%d mag=%g quality=80", i, 20/float64(l.down))})
		}
		pages = append(pages, p)
	}
	return append(pages, picture(120, 48, "Macro", 200), picture(40, 48, "Label", 250))
}

// glassWidthNM and glassHeightNM are the size of the glass.
const glassWidthNM, glassHeightNM = 26_000_000, 76_000_000

func (f SlideFile) leica(e tileEncoder, levels []slideLevel) []*tiffPage {
	macro := f.page(e, slideLevel{tiles: [][]byte{e.encode(bytes.Repeat([]byte{230}, 3*f.Tile*f.Tile))}}, f.Tile, f.Tile)
	image := func(name string, w, h, x, y, nmW, nmH int, objective, dimensions string) string {
		return fmt.Sprintf(`<image name=%q uuid="urn:uuid:0"><creationDate>2026-01-05T08:00:00.000Z</creationDate>`+
			`<device model="Leica SCN400;Leica SCN" version="1.0"/><pixels sizeX="%d" sizeY="%d">%s</pixels>`+
			`<view sizeX="%d" sizeY="%d" offsetX="%d" offsetY="%d" spacingZ="0"/><scanSettings><objectiveSettings><objective>%s</objective></objectiveSettings>`+
			`<illuminationSettings><numericalAperture>0.4</numericalAperture><illuminationSource>brightfield</illuminationSource></illuminationSettings></scanSettings></image>`,
			name, w, h, dimensions, nmW, nmH, x, y, objective)
	}
	text := `<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01" uuid="urn:uuid:1">` +
		fmt.Sprintf(`<collection name="SYNTHETIC" uuid="urn:uuid:2" sizeX="%d" sizeY="%d"><barcode>U1lO</barcode>`, glassWidthNM, glassHeightNM) +
		image("image_0", f.Tile, f.Tile, 0, 0, glassWidthNM, glassHeightNM, "0.6", fmt.Sprintf(`<dimension sizeX="%d" sizeY="%d" r="0" ifd="0"/>`, f.Tile, f.Tile))
	mpp := max(f.MPP, 0.5)
	pages := []*tiffPage{macro}
	for region := range max(f.Regions, 1) {
		var dims strings.Builder
		for r, l := range levels {
			fmt.Fprintf(&dims, `<dimension sizeX="%d" sizeY="%d" r="%d" ifd="%d"/>`, l.columns, l.rows, r, len(pages))
			p := f.page(e, l, l.columns, l.rows)
			if r > 0 {
				p.add(reduced)
			}
			pages = append(pages, p)
		}
		w, h := levels[0].columns, levels[0].rows
		text += image(fmt.Sprintf("image_%d", region+1), w, h, 1_000_000, 1_000_000*(1+region), int(float64(w)*mpp*1000), int(float64(h)*mpp*1000), "20", dims.String())
	}
	macro.add(tiffTag{id: 270, text: text + "</collection></scn>"})
	return pages
}

func (f SlideFile) ventana(e tileEncoder, levels []slideLevel) []*tiffPage {
	res := ""
	if f.MPP > 0 {
		res = fmt.Sprintf(` ScanRes="%g"`, f.MPP)
	}
	scan := fmt.Sprintf(`<iScan Magnification="20"%s UnitNumber="SYNTHETIC" ScanWhitePoint="243" Z-layers="1"><AOI0 Left="0" Top="0"/></iScan>`, res)
	settings := tiffTag{id: 700, raw: []byte("<Metadata>" + scan + "</Metadata>")}
	label := picture(40, 48, "Label_Image", 250)
	var pages []*tiffPage
	for i, l := range levels {
		p := f.page(e, l, l.columns, l.rows)
		p.add(tiffTag{id: 270, text: fmt.Sprintf("level=%d mag=%g quality=80", i, 20/float64(l.down))})
		switch {
		case i > 0:
			p.add(reduced)
		case f.Kind == VentanaBIF:
			p.add(tiffTag{id: 700, raw: []byte(f.joints(scan, l))})
		default:
			p.add(settings, tiffTag{id: 305, text: "ScanOutputManager 1.0"})
		}
		pages = append(pages, p)
	}
	if f.Kind == VentanaBIF { // the label comes first and has the settings
		label.add(settings, tiffTag{id: 305, text: "ScanOutputManager 1.0"})
		return append([]*tiffPage{label, picture(30, 60, "Thumbnail", 240)}, pages...)
	}
	return append(pages, label)
}

// joints is what a BIF says of how its tiles meet. A plain TIFF of the same maker
// has nothing of it.
func (f SlideFile) joints(scan string, l slideLevel) string {
	across, down := (l.columns+f.Tile-1)/f.Tile, (l.rows+f.Tile-1)/f.Tile
	overlap := 0
	if f.Overlap {
		overlap = 12
	}
	// Tiles are numbered from the lower left, to and fro, and each meets its
	// neighbors to the right and above.
	tile := func(x, y int) int {
		if y%2 == 1 {
			x = across - 1 - x
		}
		return y*across + x + 1
	}
	var b strings.Builder
	joint := func(from, to int, direction string) {
		fmt.Fprintf(&b, `<TileJointInfo FlagJoined="1" Confidence="99" Direction=%q Tile1="%d" Tile2="%d" OverlapX="%d" OverlapY="0"/>`, direction, from, to, overlap)
	}
	for y := range down {
		for x := range across {
			if x+1 < across {
				joint(tile(x, y), tile(x+1, y), "RIGHT")
			}
			if y+1 < down {
				joint(tile(x, y), tile(x, y+1), "UP")
			}
		}
	}
	return fmt.Sprintf(`<EncodeInfo Ver="2"><SlideInfo>%s</SlideInfo><SlideStitchInfo><ImageInfo AOIScanned="1" AOIIndex="0" Width="%d" Height="%d" NumRows="%d" NumCols="%d" Pos-X="0" Pos-Y="0">`+
		`%s</ImageInfo></SlideStitchInfo><AoiOrigin><AOI0 OriginX="0" OriginY="0"/></AoiOrigin></EncodeInfo>`, scan, f.Tile, f.Tile, down, across, b.String())
}
