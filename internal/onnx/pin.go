//go:build varde_ort_pin

package onnx

// The tag above is never set: this file keeps the module, which carries
// libonnxruntime.so, in go.mod and go.sum. Its own Go package links a speech
// library and must not be compiled in.
import _ "github.com/k2-fsa/sherpa-onnx-go-linux"
