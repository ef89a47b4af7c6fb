package doctor

import (
	"context"
	"strings"

	"varde/cmd/varde/settings"
	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/internal/slide/openslide"
	"varde/study"
)

// lookAtDecoders names the decoders in use, and the native libraries that this
// machine could have besides.
func lookAtDecoders(context.Context, settings.Settings) []Check {
	decoders := codec.Decoders()
	all := []Check{verdict("decoders", strings.Join(decoders, ", "), nil, "")}
	all = append(all, libraries(codec.Supported, decoders)...)
	l, err := openslide.Load()
	if err != nil {
		return append(all, Check{"OpenSlide", Warn, "not installed: some vendors' slide files are refused",
			"apt-get install libopenslide0 (libopenslide1 from Debian 13 on)"})
	}
	return append(all, verdict("OpenSlide", l.Name+" "+l.Version(), nil, ""))
}

// libraries warns of each native library whose absence costs something, and says
// what.
func libraries(supported func(ts study.UID) bool, decoders []string) (all []Check) {
	missing := func(name, costs, pkg string) {
		all = append(all, Check{name, Warn, "not installed: " + costs, "apt-get install " + pkg})
	}
	if !supported(dicom.JPEGLS) {
		missing("CharLS", "JPEG-LS images are kept and not scored", "libcharls2")
	}
	switch {
	case !supported(dicom.J2KLossless):
		missing("OpenJPEG", "JPEG 2000 images are kept and not scored", "libopenjp2-7")
	case !supported(dicom.HTJ2KLossless):
		all = append(all, Check{"OpenJPEG", Warn, "older than 2.5: High-Throughput JPEG 2000 images are kept and not scored",
			"install libopenjp2-7 of Debian 12 or later"})
	}
	if !strings.Contains(strings.Join(decoders, " "), "turbo") {
		missing("libjpeg-turbo", "JPEG is decoded in Go, 2 to 3 times slower", "libturbojpeg0")
	}
	return all
}
