package settings

import (
	"fmt"
	"strconv"
	"strings"

	"varde/internal/onnx"
	"varde/study"
)

// A Place is a GPU that the settings name: cuda:0.
type Place struct {
	Provider string
	Number   int
}

// ParsePlace reads PROVIDER or PROVIDER:NUMBER; a provider that is not known is
// [study.ErrInvalid].
func ParsePlace(text string) (p Place, err error) {
	number := "0"
	p.Provider, number, _ = strings.Cut(text+":0", ":")
	number, _, _ = strings.Cut(number, ":")
	p.Number, err = strconv.Atoi(number)
	for _, known := range onnx.Providers()[1:] {
		if known == p.Provider && err == nil && p.Number >= 0 {
			return p, nil
		}
	}
	return p, fmt.Errorf("device %q is not one of %s with a number behind it, as cuda:0: %w", text, strings.Join(onnx.Providers()[1:], ", "), study.ErrInvalid)
}
