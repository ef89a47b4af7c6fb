package onnx

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	ort "github.com/yalue/onnxruntime_go"

	"varde/internal/onnx/graph"
	"varde/study"
)

// The providers: who executes a network.
const (
	CPU      = "cpu"
	CUDA     = "cuda"
	TensorRT = "tensorrt"
	OpenVINO = "openvino"
	WebGPU   = "webgpu" // any GPU with Vulkan, Metal or Direct3D 12
)

// Providers lists them. All but the first are for a GPU, or may be.
func Providers() []string { return []string{CPU, CUDA, TensorRT, OpenVINO, WebGPU} }

// SessionOptions say how a network is run. The zero value is one thread on the
// processor.
type SessionOptions struct {
	// Threads work on one run together; 0 = 1. More than one shortens a single
	// big image's time on an otherwise idle machine, and never the day's work.
	Threads int
	// Spin lets threads burn their processor while they wait for each other, as the
	// library does by default. It is there to be compared with.
	Spin bool
	// Lean gives memory back after each run instead of keeping it for the next.
	Lean bool
	// Provider is one of [Providers]; empty = cpu. A provider that the loaded
	// library lacks is an error: nothing falls back in silence.
	Provider string
	Device   int // number of the GPU
	// Strict refuses a network of which the provider leaves some nodes to the
	// processor.
	Strict bool
	// MemoryMiB bounds what the provider keeps on the device for tensors and
	// weights; 0 = all there is. A provider's own workspaces may come on top.
	MemoryMiB int
	// Cache is a folder for what a provider compiles, which may take it minutes:
	// engines and timings of TensorRT, blobs of OpenVINO. Empty: nothing is kept.
	Cache string
	// FP16 lets the provider calculate in half precision. The numbers change: the
	// card must allow it.
	FP16 bool
	// Batch is the largest that will come, for providers that compile for a range
	// of shapes; 0 = unknown.
	Batch int
}

// open makes the runtime's session, first with every node on the provider and,
// when that can't be and may be otherwise, with the processor's help.
func (s *Session) open(r *Runtime, network []byte) error {
	if s.options.Provider == CPU {
		return s.create(r, network, false)
	}
	n, err := keepingSignals(func() error {
		err := s.create(r, network, true)
		if err != nil && !s.options.Strict && needsProcessor(err) {
			s.helped = true
			err = s.create(r, network, false)
		}
		return err
	})
	s.restored = n
	if err != nil && needsProcessor(err) {
		return fmt.Errorf("%s can't run all of its nodes, and the card does not list cpu: %w", s.options.Provider, study.ErrUnsupported)
	}
	return err
}

// needsProcessor reports whether a session failed because some node has no place
// but the processor.
func needsProcessor(err error) bool { return strings.Contains(err.Error(), "fallback to CPU EP") }

// noMemory reports whether an error of a device says that its memory is full. The
// library has no code for it; these are the words of its arena, of CUDA, of
// TensorRT and of WebGPU.
func noMemory(err error) bool {
	text := strings.ToLower(err.Error())
	for _, words := range []string{"failed to allocate memory", "out of memory", "out_of_memory", "outofmemory", "cudaerrormemoryallocation",
		"available memory of", "cudnn_status_alloc_failed", "cublas_status_alloc_failed", "error_out_of_device_memory"} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

// create makes the runtime's session once.
func (s *Session) create(r *Runtime, network []byte, alone bool) error {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return err
	}
	defer func() { _ = options.Destroy() }() // it cannot fail, and the session has what it needs
	if err := s.options.common(options, alone); err != nil {
		return err
	}
	if err := r.provide(options, s.options, s.sum); err != nil {
		return err
	}
	s.ort, err = ort.NewDynamicAdvancedSessionWithONNXData(network, names(s.sum.Inputs), names(s.sum.Outputs), options)
	if err != nil {
		return fmt.Errorf("%w: %w", err, study.ErrInvalid)
	}
	return nil
}

// common sets what does not depend on the provider.
func (o SessionOptions) common(options *ort.SessionOptions, alone bool) error {
	if err := options.SetIntraOpNumThreads(max(1, o.Threads)); err != nil {
		return err
	}
	if err := options.SetInterOpNumThreads(1); err != nil {
		return err
	}
	// Planned memory is one piece for each shape that ever came: for volumes, of
	// which no two are alike, it takes half as much again and is never given back.
	if err := options.SetMemPattern(false); err != nil {
		return err
	}
	if o.Lean {
		if err := options.SetCpuMemArena(false); err != nil {
			return err
		}
	}
	if alone {
		if err := options.AddSessionConfigEntry("session.disable_cpu_ep_fallback", "1"); err != nil {
			return err
		}
	}
	if o.Spin {
		return nil
	}
	// Threads that spin while they wait cost 3× as soon as anything else runs.
	return options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0")
}

// provide puts the provider before the processor.
func (r *Runtime) provide(options *ort.SessionOptions, o SessionOptions, sum graph.Summary) error {
	if o.Cache != "" && o.Provider != CPU {
		if err := os.MkdirAll(o.Cache, 0o750); err != nil {
			return fmt.Errorf("make the cache of %s: %w", o.Provider, err)
		}
	}
	var err error
	switch o.Provider {
	case CPU:
		return nil
	case CUDA:
		err = appendCUDA(options, o)
	case TensorRT:
		// What TensorRT can't compile goes to CUDA, on the same device.
		if err = appendTensorRT(options, o, sum); err == nil {
			err = appendCUDA(options, o)
		}
	case OpenVINO:
		err = options.AppendExecutionProviderOpenVINO(openVINOOptions(o))
	case WebGPU:
		if o.Device != 0 {
			return fmt.Errorf("webgpu has the device that the system prefers and no number %d: %w", o.Device, study.ErrInvalid)
		}
		err = options.AppendExecutionProvider("WebGPU", nil)
	default:
		return fmt.Errorf("no execution provider is called %q; there are %s: %w", o.Provider, strings.Join(Providers(), ", "), study.ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("the ONNX Runtime at %s offers no %s (%w); name a build with it in the setting onnx_library, or score on cpu: %w",
			r.info.Path, o.Provider, err, study.ErrUnsupported)
	}
	return nil
}

func appendCUDA(options *ort.SessionOptions, o SessionOptions) error {
	cuda, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return err
	}
	defer func() { _ = cuda.Destroy() }() // it cannot fail
	if err := cuda.Update(cudaOptions(o)); err != nil {
		return err
	}
	return options.AppendExecutionProviderCUDA(cuda)
}

func appendTensorRT(options *ort.SessionOptions, o SessionOptions, sum graph.Summary) error {
	trt, err := ort.NewTensorRTProviderOptions()
	if err != nil {
		return err
	}
	defer func() { _ = trt.Destroy() }() // it cannot fail
	if err := trt.Update(tensorRTOptions(o, sum)); err != nil {
		return err
	}
	return options.AppendExecutionProviderTensorRT(trt)
}

func cudaOptions(o SessionOptions) map[string]string {
	m := map[string]string{
		"device_id":                 strconv.Itoa(o.Device),
		"arena_extend_strategy":     "kSameAsRequested",
		"cudnn_conv_algo_search":    "HEURISTIC", // the exhaustive search starts again for every new shape
		"do_copy_in_default_stream": "1",
		"use_tf32":                  "0", // 10 bits of mantissa are not what the card was validated with
	}
	if o.MemoryMiB > 0 {
		m["gpu_mem_limit"] = strconv.Itoa(o.MemoryMiB << 20)
	}
	return m
}

func tensorRTOptions(o SessionOptions, sum graph.Summary) map[string]string {
	m := map[string]string{"device_id": strconv.Itoa(o.Device), "trt_fp16_enable": "0"}
	if o.FP16 {
		m["trt_fp16_enable"] = "1"
	}
	if o.MemoryMiB > 0 {
		m["trt_max_workspace_size"] = strconv.Itoa(o.MemoryMiB << 20)
	}
	if o.Cache != "" {
		m["trt_engine_cache_enable"], m["trt_engine_cache_path"] = "1", o.Cache
		m["trt_timing_cache_enable"], m["trt_timing_cache_path"] = "1", o.Cache
	}
	if least, most, ok := profile(sum, o.Batch); ok {
		m["trt_profile_min_shapes"], m["trt_profile_opt_shapes"], m["trt_profile_max_shapes"] = least, most, most
	}
	return m
}

// profile gives the shapes of all inputs for a batch of one and for the largest,
// when nothing but the batch is free. Without it TensorRT would compile again for
// every size that is larger than those before.
func profile(sum graph.Summary, batch int) (least, most string, ok bool) {
	var one, all []string
	for _, v := range sum.Inputs {
		var a, b []string
		for i, d := range v.Dims {
			n, m := d.Size, d.Size
			if d.Size < 0 {
				if i > 0 {
					return "", "", false
				}
				n, m = 1, int64(batch)
			}
			a, b = append(a, strconv.FormatInt(n, 10)), append(b, strconv.FormatInt(m, 10))
		}
		one, all = append(one, v.Name+":"+strings.Join(a, "x")), append(all, v.Name+":"+strings.Join(b, "x"))
	}
	return strings.Join(one, ","), strings.Join(all, ","), batch > 0 && len(one) > 0
}

func openVINOOptions(o SessionOptions) map[string]string {
	m := map[string]string{"device_type": "GPU." + strconv.Itoa(o.Device), "precision": "FP32"}
	if o.FP16 {
		m["precision"] = "FP16"
	}
	if o.Cache != "" {
		m["cache_dir"] = o.Cache
	}
	return m
}

// known reports whether a provider has this name.
func known(provider string) bool { return slices.Contains(Providers(), provider) }
