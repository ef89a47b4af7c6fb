package onnx

import (
	"errors"
	"maps"
	"testing"

	"varde/internal/onnx/graph"
)

// TestOptionsOfProvidersAreAsTheyNameThem holds the options against the names of
// ONNX Runtime's documentation.
func TestOptionsOfProvidersAreAsTheyNameThem(t *testing.T) {
	fixed := graph.Summary{Inputs: []graph.Value{{Name: "x", Ranked: true, Dims: []graph.Dim{graph.Free("n"), graph.Fixed(3), graph.Fixed(8), graph.Fixed(8)}}}}
	free := graph.Summary{Inputs: []graph.Value{{Name: "x", Ranked: true, Dims: []graph.Dim{graph.Free("n"), graph.Fixed(3), graph.Free("h"), graph.Free("w")}}}}
	full := SessionOptions{Device: 2, MemoryMiB: 1024, Cache: "/cache", FP16: true, Batch: 64}
	cuda := map[string]string{"device_id": "2", "arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC",
		"do_copy_in_default_stream": "1", "use_tf32": "0", "gpu_mem_limit": "1073741824"}
	trt := map[string]string{"device_id": "2", "trt_fp16_enable": "1", "trt_max_workspace_size": "1073741824",
		"trt_engine_cache_enable": "1", "trt_engine_cache_path": "/cache", "trt_timing_cache_enable": "1", "trt_timing_cache_path": "/cache"}
	profiled := maps.Clone(trt)
	profiled["trt_profile_min_shapes"], profiled["trt_profile_opt_shapes"], profiled["trt_profile_max_shapes"] = "x:1x3x8x8", "x:64x3x8x8", "x:64x3x8x8"
	for _, tt := range []struct {
		what      string
		got, want map[string]string
	}{
		{"cuda", cudaOptions(full), cuda},
		{"tensorrt, only the batch is free", tensorRTOptions(full, fixed), profiled},
		{"tensorrt, more is free", tensorRTOptions(full, free), trt},
		{"tensorrt without anything", tensorRTOptions(SessionOptions{}, fixed), map[string]string{"device_id": "0", "trt_fp16_enable": "0"}},
		{"openvino", openVINOOptions(full), map[string]string{"device_type": "GPU.2", "precision": "FP16", "cache_dir": "/cache"}},
		{"openvino without anything", openVINOOptions(SessionOptions{}), map[string]string{"device_type": "GPU.0", "precision": "FP32"}},
	} {
		if !maps.Equal(tt.got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.what, tt.got, tt.want)
		}
	}
}

func TestFullMemoryOfADeviceIsRecognized(t *testing.T) {
	for text, full := range map[string]bool{
		"Failed to allocate memory for requested buffer of size 1073741824":                           true,
		"CUDA failure 2: out of memory ; GPU=0":                                                       true,
		"Available memory of 1048576 is smaller than requested bytes of 4194304":                      true,
		"CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED":                                                  true,
		"VK_ERROR_OUT_OF_DEVICE_MEMORY":                                                               true,
		"CUDA failure 719: unspecified launch failure":                                                false,
		"Got invalid dimensions for input: x for the following indices\n index: 1 Got: 4 Expected: 3": false,
	} {
		if noMemory(errors.New(text)) != full {
			t.Errorf("%q: not %v", text, full)
		}
	}
}
