package modelcard

import (
	"slices"
	"strings"
)

// The providers that a card may list: who executes its network.
const (
	ProviderCPU      = "cpu"
	ProviderCUDA     = "cuda"
	ProviderTensorRT = "tensorrt"
	ProviderOpenVINO = "openvino"
	ProviderWebGPU   = "webgpu"
)

// providers lists them.
var providers = []string{ProviderCPU, ProviderCUDA, ProviderTensorRT, ProviderOpenVINO, ProviderWebGPU}

// An Engine says how the network may be executed beside what is measured on each
// machine. The zero value leaves all to the measurement.
type Engine struct {
	// FP16 lets a GPU calculate in half precision. The numbers change: set it only
	// when the model was validated so.
	FP16 bool `toml:"fp16"`
	// Threads is how many processors may work on one image of a study together;
	// 0 = as measured, 1 = never more than one.
	Threads int `toml:"threads"`
	// MemoryMiB bounds what the network may take of a GPU; 0 = as the site says.
	MemoryMiB int `toml:"memory_mib"`
}

// Executors gives who may execute the network, best first. A card that lists
// nobody is for the processor.
func (c Card) Executors() []string {
	if len(c.Providers) == 0 {
		return []string{ProviderCPU}
	}
	return c.Providers
}

// Accelerated reports whether the card asks for something better than the
// processor, and AllowsCPU whether the processor will do.
func (c Card) Accelerated() bool { return c.Executors()[0] != ProviderCPU }

// AllowsCPU reports whether the network may be executed on the processor.
func (c Card) AllowsCPU() bool { return slices.Contains(c.Executors(), ProviderCPU) }

// engine checks who may execute the network.
func (k *check) engine(c Card) {
	for i, p := range c.Providers {
		k.that(slices.Contains(providers, p), "providers lists %q; there are %s", p, strings.Join(providers, ", "))
		k.that(!slices.Contains(c.Providers[:i], p), "providers lists %q twice", p)
		// What comes after it would never be asked.
		k.that(p != ProviderCPU || i == len(c.Providers)-1, "providers lists cpu before others; it must be the last")
	}
	k.that(c.Engine.Threads >= 0 && c.Engine.Threads <= 256, "engine.threads is %d; it must be 0 to 256", c.Engine.Threads)
	k.that(c.Engine.MemoryMiB >= 0, "engine.memory_mib is %d", c.Engine.MemoryMiB)
	k.that(!c.Engine.FP16 || c.Accelerated(), "engine.fp16 is for a GPU, and providers lists none")
}
