// Package pdf prints what models found in a study, for those who have no viewer of
// structured reports, and for paper.
//
//	Print         the report as a PDF, A4
//	Encapsulate   a PDF as a DICOM object of the study
//
// It says what the structured report says, in the same sentences and the same
// order, and nothing else. Each page names the patient, the examination, the model
// by its hash and what it is not for, so that no page says less when it is alone.
// The same arguments give the same bytes.
package pdf

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"slices"
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/draw"

	"varde/internal/dicom"
	"varde/internal/words"
	"varde/report/capture"
	"varde/report/ink"
	"varde/study"
)

// A Sheet is what is printed: all parts are of one study, and in one language.
type Sheet struct {
	Study study.Study
	Lang  words.Lang
	// At is when it was written: the result's time for a report that is kept. Its
	// zone is that of all dates.
	At    time.Time
	Parts []Part
}

// A Part is one model's result. It begins on a page of its own.
type Part struct {
	Told    words.Told
	At      time.Time // of the result
	Figures []Figure
}

// A Figure is a picture with a line below it.
type Figure struct {
	Image   image.Image
	Caption string
}

// Measures of a page, mm and points.
const (
	pageWidth, pageHeight = 210.0, 297.0
	margin                = 20.0
	bodyTop, bodyBottom   = 36.0, 38.0
	textWidth             = pageWidth - 2*margin
	bodySize, lineShare   = 10.5, 0.48 // points; mm of line for a point of letters
	smallSize             = 8.0
	figureHeight          = 95.0
	figureColumns         = 1000 // pixels: 300 an inch
	family                = "go"
)

// jpegQuality is high enough that a printed picture shows no blocks.
const jpegQuality = 88

// Print makes the PDF. A sheet without a part is study.ErrInvalid: there is nothing
// to print, and an empty page would read as an empty result.
func Print(s Sheet) ([]byte, error) {
	if len(s.Parts) == 0 {
		return nil, fmt.Errorf("print a report without a result: %w", study.ErrInvalid)
	}
	// Printed twice, for how many pages there are is known at the end.
	pages := 0
	for {
		p := newPress(s, pages)
		for _, part := range s.Parts {
			p.part(part)
		}
		if n := p.PageCount(); p.Error() == nil && n != pages && pages == 0 {
			pages = n
			continue
		}
		var b bytes.Buffer
		if err := p.Output(&b); err != nil {
			return nil, fmt.Errorf("print report: %w", err)
		}
		return b.Bytes(), nil
	}
}

// A press is a document under construction.
type press struct {
	*fpdf.Fpdf
	sheet Sheet
	told  words.Told // of the part that is being printed
	pages int        // 0 while they are counted
	drawn int        // figures so far
}

func newPress(s Sheet, pages int) *press {
	p := &press{Fpdf: fpdf.New("P", "mm", "A4", ""), sheet: s, pages: pages}
	p.SetCreationDate(s.At)
	p.SetModificationDate(s.At)
	p.SetCatalogSort(true)
	p.SetLang(string(s.Lang))
	p.SetTitle(s.Lang.T("print.title"), true) // no patient: titles are seen in lists of files
	p.SetCreator("Varde", true)
	p.SetProducer("Varde", true)
	p.AddUTF8FontFromBytes(family, "", slices.Clone(ink.Regular()))
	p.AddUTF8FontFromBytes(family, "B", slices.Clone(ink.Bold()))
	p.SetMargins(margin, bodyTop, margin)
	p.SetCellMargin(0)
	p.SetAutoPageBreak(true, bodyBottom)
	p.SetHeaderFunc(p.header)
	p.SetFooterFunc(p.footer)
	return p
}

// say writes a paragraph of the page's width.
func (p *press) say(style string, size float64, text string) {
	if text == "" {
		return
	}
	p.SetFont(family, style, size)
	p.MultiCell(textWidth, size*lineShare, ink.Shown(text), "", "L", false)
}

// paragraph is say with a gap behind it.
func (p *press) paragraph(style string, size float64, text string) {
	if text == "" {
		return
	}
	p.say(style, size, text)
	p.Ln(1.6)
}

// header stands above each page: whose it is.
func (p *press) header() {
	l, s := p.sheet.Lang, p.sheet.Study
	person := s.Patient.Reveal()
	p.SetY(12)
	p.SetTextColor(0, 0, 0)
	p.SetFont(family, "B", bodySize)
	p.CellFormat(textWidth*0.62, 5, p.fitted(textWidth*0.62, name(person.Name)), "", 0, "L", false, 0, "")
	p.CellFormat(textWidth*0.38, 5, p.fitted(textWidth*0.38, l.T("print.series")), "", 1, "R", false, 0, "")
	var about []string
	for _, one := range [][2]string{
		{l.T("print.id"), person.ID}, {l.T("print.birth"), day(l, person.Birth)}, {l.T("print.accession"), s.Accession}, {l.T("print.taken"), day(l, s.Date)},
	} {
		if one[1] != "" {
			about = append(about, one[0]+" "+one[1])
		}
	}
	p.SetFont(family, "", smallSize)
	p.CellFormat(textWidth, 4.5, p.fitted(textWidth, strings.Join(about, "  ·  ")), "", 1, "L", false, 0, "")
	p.SetDrawColor(120, 120, 120)
	p.Line(margin, p.GetY()+1, pageWidth-margin, p.GetY()+1)
	p.SetY(bodyTop - 8)
}

// fitted is a text that fits into one line: what is too long is seen to be cut.
func (p *press) fitted(width float64, text string) string {
	r := []rune(ink.Shown(text))
	if p.GetStringWidth(string(r)) <= width-2 {
		return string(r)
	}
	for len(r) > 0 && p.GetStringWidth(string(r)+"…") > width-2 {
		r = r[:len(r)-1]
	}
	return string(r) + "…"
}

// footer stands below each page: who says so, and what it is not for.
func (p *press) footer() {
	p.SetAutoPageBreak(false, 0)
	p.SetTextColor(0, 0, 0)
	p.SetDrawColor(120, 120, 120)
	p.SetY(pageHeight - bodyBottom + 4)
	p.Line(margin, p.GetY(), pageWidth-margin, p.GetY())
	p.Ln(1.5)
	p.say("", 7, p.told.Model)
	p.say("B", 7.5, p.told.Disclaimer)
	p.SetY(pageHeight - 14)
	p.SetFont(family, "", 7.5)
	p.CellFormat(textWidth, 4, p.sheet.Lang.T("print.page", p.PageNo(), max(p.pages, 1)), "", 0, "R", false, 0, "")
	p.SetAutoPageBreak(true, bodyBottom)
}

// part prints one result.
func (p *press) part(part Part) {
	t, l := part.Told, p.sheet.Lang
	p.AddPage() // ends the page of the one before, whose footer is its own
	p.told = t
	p.say("", smallSize, l.T("print.of", l.Moment(part.At.In(p.sheet.At.Location()))))
	if text := p.sheet.Study.Description; text != "" {
		p.say("", smallSize, l.T("print.study", text))
	}
	p.Ln(4)
	p.paragraph("B", 16, capture.Headline(t))
	p.paragraph("B", bodySize+0.5, t.Summary)
	p.warn(t.NotLooked, t.Reason)
	for _, text := range append([]string{t.Frequency}, t.Errors...) {
		p.paragraph("", bodySize, text)
	}
	p.paragraph("", bodySize, t.Looked)
	p.paragraph("", bodySize, t.Slides)
	for _, text := range slices.Concat(t.FindingLines(), []string{t.More}, t.Labels, t.Measures, []string{t.Heatmap, t.Probability, t.Replaces}) {
		p.paragraph("", bodySize, text)
	}
	p.figures(part.Figures)
}

// warn prints what must not be overlooked in a frame.
func (p *press) warn(texts ...string) {
	text := strings.TrimSpace(strings.Join(texts, " "))
	if text == "" {
		return
	}
	p.SetFont(family, "B", bodySize)
	p.SetDrawColor(60, 60, 60)
	p.SetLineWidth(0.4)
	p.SetCellMargin(1.5)
	p.MultiCell(textWidth, bodySize*lineShare+0.6, ink.Shown(text), "1", "L", false)
	p.SetCellMargin(0)
	p.SetLineWidth(0.2)
	p.Ln(2.5)
}

// figures prints pictures two in a row.
func (p *press) figures(all []Figure) {
	const gap = 6.0
	width := (textWidth - gap) / 2
	for n := 0; n < len(all); n += 2 {
		row, high := all[n:min(n+2, len(all))], 0.0
		for _, f := range row {
			_, h := fit(f.Image, width)
			high = max(high, h)
		}
		if p.GetY()+high+10 > pageHeight-bodyBottom {
			p.AddPage()
		}
		top := p.GetY() + 2
		for k, f := range row {
			w, h := fit(f.Image, width)
			x := margin + float64(k)*(width+gap)
			p.picture(f.Image, x, top, w, h)
			p.SetXY(x, top+high+1)
			p.SetFont(family, "", smallSize)
			p.CellFormat(width, 4, p.fitted(width, f.Caption), "", 0, "L", false, 0, "")
		}
		p.SetXY(margin, top+high+7)
	}
}

func (p *press) picture(m image.Image, x, y, w, h float64) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, printable(m, figureColumns-p.drawn), &jpeg.Options{Quality: jpegQuality}); err != nil {
		p.SetError(fmt.Errorf("encode figure: %w", err))
		return
	}
	p.drawn++
	id := fmt.Sprintf("figure-%d", p.drawn)
	o := fpdf.ImageOptions{ImageType: "JPEG"}
	p.RegisterImageOptionsReader(id, o, &b)
	p.ImageOptions(id, x, y, w, h, false, o, 0, "")
}

// printable brings a picture to so many columns. No two pictures of a document have
// as many, for those that are alike in it are written in no certain order.
func printable(m image.Image, columns int) image.Image {
	r := m.Bounds()
	if r.Empty() {
		return image.NewGray(image.Rect(0, 0, columns, columns))
	}
	out := image.NewRGBA(image.Rect(0, 0, columns, max(1, columns*r.Dy()/r.Dx())))
	draw.CatmullRom.Scale(out, out.Rect, m, r, draw.Src, nil)
	return out
}

// fit is how large a picture is on paper.
func fit(m image.Image, width float64) (w, h float64) {
	r := m.Bounds()
	if r.Empty() {
		return 1, 1
	}
	w, h = width, width*float64(r.Dy())/float64(r.Dx())
	if h > figureHeight {
		w, h = w*figureHeight/h, figureHeight
	}
	return w, h
}

// name writes a person's name as people do, the family's first: its alphabetic
// writing, and where there is none the one that there is.
func name(pn string) string {
	n := dicom.SplitName(pn)
	text := n.Alphabetic
	if text == "" {
		text = n.Ideographic
	}
	if text == "" {
		text = n.Phonetic
	}
	family, rest, _ := strings.Cut(text, "^")
	rest = strings.Join(strings.Fields(strings.ReplaceAll(rest, "^", " ")), " ")
	if family == "" || rest == "" {
		return family + rest
	}
	return family + ", " + rest
}

// day writes a date of DICOM; what is none is written as it is.
func day(l words.Lang, da string) string {
	t, err := time.Parse("20060102", da)
	if err != nil {
		return da
	}
	return l.Date(t)
}
