package onnx

import (
	"bufio"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
)

// cpuFlags are the extensions by which ONNX Runtime chooses its kernels, as the
// Linux kernel writes them. Two processors that differ in none of them, and in
// neither vendor nor model, run the same kernels.
var cpuFlags = [...]string{
	"avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni",
	"amx_tile", "amx_int8", "amx_bf16", // x86
	"asimd", "asimddp", "asimdhp", "i8mm", "bf16", "sve", "sve2", "sme", // ARM
}

// CPUClass names the class of this machine's processor, as far as numbers depend
// on it: vendor, family and model, and the extensions by which kernels are
// chosen. Where the system does not tell it is the architecture alone.
func CPUClass() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOOS + "/" + runtime.GOARCH
	}
	defer func() { _ = f.Close() }()
	return cpuClass(f)
}

// cpuClass reads the first processor of a /proc/cpuinfo.
func cpuClass(r io.Reader) string {
	const maxLine = 1 << 16
	id := map[string]string{}
	var flags []string
	s := bufio.NewScanner(io.LimitReader(r, maxLine))
	s.Buffer(nil, maxLine)
	for s.Scan() {
		key, value, found := strings.Cut(s.Text(), ":")
		if key, value = strings.TrimSpace(key), strings.TrimSpace(value); !found {
			break // the next processor
		}
		switch key {
		case "flags", "Features":
			flags = strings.Fields(value)
		default:
			id[key] = value
		}
	}
	class := []string{runtime.GOARCH}
	for _, key := range []string{"vendor_id", "cpu family", "model", "CPU implementer", "CPU part"} {
		if v := id[key]; v != "" {
			class[0] += "/" + v
		}
	}
	for _, flag := range cpuFlags {
		if slices.Contains(flags, flag) {
			class = append(class, flag)
		}
	}
	return strings.Join(class, " ")
}
