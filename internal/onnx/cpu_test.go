package onnx

import (
	"runtime"
	"strings"
	"testing"
)

func TestCPUClassNamesWhatKernelsAreChosenBy(t *testing.T) {
	for _, tt := range []struct{ name, text, class string }{
		{"Intel", "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Some Name @ 2 GHz\nstepping\t: 8\n" +
			"flags\t\t: fpu sse2 avx avx2 fma avx512f avx512_vnni amx_tile amx_int8\n\nprocessor\t: 1\nvendor_id\t: Other\n",
			"/GenuineIntel/6/143 avx avx2 fma avx512f avx512_vnni amx_tile amx_int8"},
		{"ARM", "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n", "/0x41/0xd0c asimd asimddp i8mm"},
		{"nothing", "", ""},
	} {
		if got := cpuClass(strings.NewReader(tt.text)); got != runtime.GOARCH+tt.class {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
	if a, b := CPUClass(), CPUClass(); a == "" || a != b {
		t.Errorf("this machine is %q and %q", a, b)
	}
}
