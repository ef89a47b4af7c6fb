package modelcard

import (
	"slices"
	"strings"
	"unicode"

	"varde/study"
)

// terms are names for the same things: the name that DICOM gives it, by every
// other word for it, folded, and by its codes as scheme and value.
type terms map[string]string

// newTerms makes terms of lines that have the name first. Only what means exactly
// the same stands on one line: a lung is no chest.
func newTerms(lines ...[]string) terms {
	t := terms{}
	for _, line := range lines {
		for _, word := range line {
			t[fold(word)] = line[0]
		}
	}
	return t
}

// regions are parts of the body and organs: the terms of PS3.16 table L-1 with
// their codes in SNOMED CT, the SNOMED RT codes that older scanners still write,
// and the words of Scandinavian protocols. BRYST is both breast and chest, and is
// left out.
var regions = newTerms([][]string{
	{"ABDOMEN", "BUK", "SCT:818981001", "SCT:113345001", "SRT:T-D4000"},
	{"ABDOMENPELVIS", "ABDPELVIS", "ABDOMEN PELVIS", "SCT:818982008"},
	{"ADRENAL", "SCT:23451007"},
	{"ANKLE", "ANKEL", "SCT:70258002"},
	{"AORTA", "SCT:15825003"},
	{"BLADDER", "URINARY BLADDER", "SCT:89837001"},
	{"BRAIN", "CEREBRUM", "HJERNE", "SCT:12738006", "SRT:T-A0100"},
	{"BREAST", "MAMMA", "MAMMAE", "SCT:76752008", "SRT:T-04000"},
	{"CERVIX", "UTERINE CERVIX", "SCT:71252005"},
	{"CHEST", "THORAX", "TORAKS", "TORAX", "SCT:51185008", "SCT:816094009", "SRT:T-D3000"},
	{"CHESTABDOMEN", "CHEST ABDOMEN", "SCT:416550000"},
	{"CHESTABDPELVIS", "CHESTABDOMENPELVIS", "SCT:416775004"},
	{"COLON", "SCT:71854001"},
	{"CSPINE", "CERVICALSPINE", "SCT:122494005"},
	{"ELBOW", "ALBUE", "SCT:127949000"},
	{"ESOPHAGUS", "OESOPHAGUS", "SCT:32849002"},
	{"FEMUR", "SCT:71341001"},
	{"FOOT", "FOT", "FOD", "SCT:56459004"},
	{"HAND", "HÅND", "HAAND", "SCT:85562004"},
	{"HEAD", "HODE", "HOVED", "CAPUT", "SCT:69536005", "SRT:T-D1100"},
	{"HEADNECK", "HEAD NECK", "SCT:774007"},
	{"HEART", "COR", "HJERTE", "SCT:80891009", "SRT:T-32000"},
	{"HIP", "HOFTE", "SCT:24136001"},
	{"KIDNEY", "NYRE", "REN", "SCT:64033007", "SRT:T-71000"},
	{"KNEE", "KNE", "KNÆ", "GENU", "SCT:72696002"},
	{"LIVER", "HEPAR", "LEVER", "SCT:10200004", "SRT:T-62000"},
	{"LSPINE", "LUMBARSPINE", "SCT:122496007"},
	{"LUNG", "LUNGS", "LUNGE", "LUNGER", "PULMO", "SCT:39607008", "SRT:T-28000"},
	{"LYMPHNODE", "LYMPH NODE", "SCT:59441001"},
	{"NECK", "HALS", "SCT:45048000"},
	{"NECKCHEST", "NECK CHEST", "SCT:417437006"},
	{"PANCREAS", "SCT:15776009"},
	{"PELVIS", "BEKKEN", "BÆKKEN", "SCT:12921003", "SRT:T-D6000"},
	{"PROSTATE", "PROSTATA", "SCT:41216001"},
	{"RECTUM", "SCT:34402009"},
	{"SHOULDER", "SKULDER", "SCT:16982005"},
	{"SKIN", "HUD", "SCT:39937001"},
	{"SKULL", "CRANIUM", "SCT:89546000"},
	{"SPLEEN", "LIEN", "MILT", "SCT:78961009"},
	{"STOMACH", "VENTRICULUS", "SCT:69695003"},
	{"THYROID", "SCT:69748006"},
	{"TSPINE", "THORACICSPINE", "SCT:122495006"},
	{"UTERUS", "SCT:35039007"},
	{"WHOLEBODY", "WHOLE BODY", "SCT:38266002"},
	{"WRIST", "HÅNDLEDD", "HÅNDLED", "SCT:8205005"},
}...)

// views are projections, PS3.16 CID 4010 and 4014.
var views = newTerms([][]string{
	{"AP", "ANTEROPOSTERIOR", "ANTERO-POSTERIOR", "SCT:399067008", "SRT:R-10206"},
	{"PA", "POSTEROANTERIOR", "POSTERO-ANTERIOR", "SCT:399348003", "SRT:R-10214"},
	{"LATERAL", "LAT"},
	{"LL", "LEFT LATERAL", "SCT:399173006", "SRT:R-10236"},
	{"RL", "RIGHT LATERAL", "SCT:399198007", "SRT:R-10232"},
	{"CC", "CRANIO-CAUDAL", "CRANIOCAUDAL", "SCT:399162004", "SRT:R-10242"},
	{"MLO", "MEDIO-LATERAL OBLIQUE", "MEDIOLATERAL OBLIQUE", "SCT:399368009", "SRT:R-10226"},
	{"ML", "MEDIO-LATERAL", "SCT:399260004", "SRT:R-10224"},
	{"LM", "LATERO-MEDIAL", "SCT:399352003", "SRT:R-10228"},
	{"LMO", "LATERO-MEDIAL OBLIQUE", "SCT:399099002", "SRT:R-10230"},
}...)

// stains are what slides are stained with, PS3.16 CID 8112.
var stains = newTerms([][]string{
	{"H&E", "HE", "H+E", "HEMATOXYLIN AND EOSIN", "HAEMATOXYLIN AND EOSIN", "HEMATOXYLIN-EOSIN", "SCT:104210008"},
	{hematoxylinStain, "HAEMATOXYLIN", "HEMATOXYLIN STAIN", "SCT:12710003"},
	{eosinStain, "EOSIN STAIN", "WATER SOLUBLE EOSIN STAIN", "SCT:36879007"},
	{"PAS", "PERIODIC ACID-SCHIFF", "PERIODIC ACID SCHIFF"},
	{"GIEMSA", "GIEMSA STAIN"},
}...)

const (
	hematoxylinStain = "HEMATOXYLIN"
	eosinStain       = "EOSIN"
)

// fold makes words comparable: letters, digits, & and + alone, in capitals.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '&' || r == '+' || r == ':' {
			return unicode.ToUpper(r)
		}
		return -1
	}, s)
}

// canonical gives the name of what a word or a code stands for, and whether the
// table knows it. What it does not know stands for itself.
func (t terms) canonical(word string) (string, bool) {
	f := fold(word)
	if name, ok := t[f]; ok {
		return name, true
	}
	return f, false
}

// of gives what a code stands for: by its value, else by its meaning.
func (t terms) of(c study.Code) (string, bool) {
	scheme := c.Scheme
	if scheme == "SNM3" || scheme == "99SDM" { // other names of SNOMED RT
		scheme = "SRT"
	}
	if name, ok := t.canonical(scheme + ":" + c.Value); ok {
		return name, true
	}
	if name, ok := t.canonical(c.Meaning); ok && c.Meaning != "" {
		return name, true
	}
	return fold(scheme + ":" + c.Value), false
}

// match asks whether what a header says, as a word and as codes, is among the
// words of a card. All that the table knows must be; of the rest, which may say
// the same in words that it doesn't know, one will do when nothing else is there.
func (t terms) match(want []string, text string, codes []study.Code) (known, ok bool) {
	names := make([]string, len(want))
	for i, w := range want {
		names[i], _ = t.canonical(w)
	}
	hit, miss := false, false
	take := func(name string, sure bool) {
		known = true
		in := slices.Contains(names, name)
		hit, miss = hit || in, miss || sure && !in
	}
	if strings.TrimSpace(text) != "" {
		take(t.canonical(text))
	}
	for _, c := range codes {
		take(t.of(c))
	}
	return known, hit && !miss
}

// stained asks whether all that a slide was stained with is among the stains of
// a card. Hematoxylin and eosin together are H&E.
func stained(want []string, used []study.Code) (known, ok bool) {
	var have []string
	for _, c := range used {
		name, _ := stains.of(c)
		have = append(have, name)
	}
	if slices.Contains(have, hematoxylinStain) && slices.Contains(have, eosinStain) {
		have = slices.DeleteFunc(have, func(s string) bool { return s == hematoxylinStain || s == eosinStain })
		have = append(have, "H&E")
	}
	for _, name := range have {
		if !slices.ContainsFunc(want, func(w string) bool { c, _ := stains.canonical(w); return c == name }) {
			return true, false
		}
	}
	return len(have) > 0, true
}
