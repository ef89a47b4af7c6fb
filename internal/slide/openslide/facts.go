package openslide

import (
	"strconv"
	"strings"
	"time"
)

// facts reads the properties that every format has, and of those that only one
// has what names the scanner and the time. A name of a file or of a person is
// not asked for.
func facts(s *Slide) Facts {
	f := Facts{Vendor: s.Property("openslide.vendor"), Objective: number(s.Property("openslide.objective-power"))}
	if x, y := number(s.Property("openslide.mpp-x")), number(s.Property("openslide.mpp-y")); x > 0 && y > 0 {
		f.MPP = [2]float64{x, y}
	}
	first := func(names ...string) string {
		for _, n := range names {
			if v := strings.TrimSpace(s.Property(n)); v != "" {
				return v
			}
		}
		return ""
	}
	switch f.Vendor {
	case "hamamatsu":
		f.Manufacturer = "Hamamatsu"
		f.Model = first("tiff.Model", "hamamatsu.Product")
		f.Serial = first("hamamatsu.NDP.S/N", "hamamatsu.MacroScannerSerialNumber")
		f.Software = first("tiff.Software", "hamamatsu.SystemVersion")
	case "mirax":
		f.Manufacturer = "3DHISTECH"
		f.Model = first("mirax.NONHIERLAYER_0_SECTION.SCANNER_HARDWARE_VERSION")
		f.Software = first("mirax.GENERAL.SLIDE_CREATOR_VERSION", "mirax.GENERAL.SLIDE_VERSION")
		f.Serial = first("mirax.NONHIERLAYER_0_SECTION.SCANNER_HARDWARE_ID")
	case "ventana":
		f.Manufacturer = "Ventana"
		f.Model = first("ventana.ScannerModel")
		f.Serial = first("ventana.UnitNumber")
	case "aperio":
		f.Manufacturer, f.Serial = "Aperio", first("aperio.ScanScope ID")
	case "leica":
		f.Manufacturer, f.Model = "Leica", first("leica.device-model")
	case "philips":
		f.Manufacturer = first("philips.DICOM_MANUFACTURER")
	case "trestle":
		f.Manufacturer = "Trestle"
	case "sakura":
		f.Manufacturer, f.Serial = "Sakura", first("sakura.InstrumentName")
	}
	f.Scanned = moment(first("tiff.DateTime", "mirax.GENERAL.SLIDE_CREATIONDATETIME", "leica.creation-date", "ventana.ScanDate"))
	return f
}

func number(s string) float64 {
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(v > 0) || v > 1e9 {
		return 0
	}
	return v
}

// moment reads a time in one of the forms that scanners write.
func moment(s string) time.Time {
	for _, form := range []string{"2006:01:02 15:04:05", "02/01/2006 15:04:05", time.RFC3339, "2006-01-02T15:04:05.000Z", "1/2/2006 3:04:05 PM"} {
		if t, err := time.Parse(form, s); err == nil {
			return t
		}
	}
	return time.Time{}
}
