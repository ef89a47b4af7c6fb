package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"varde/cmd/varde/house"
	"varde/cmd/varde/settings"
	"varde/inference/sessions"
	"varde/internal/onnx"
	"varde/models"
	"varde/study"
)

// deviceProbe bounds the probe of one device by the doctor, who must not take
// longer than a person waits.
const deviceProbe = 18 * time.Second

// lookAtDevices tries each GPU of the settings in a child, tells of models that
// want one which nobody has, and how the networks here were found to run best.
func lookAtDevices(ctx context.Context, s settings.Settings) (all []Check) {
	r, err := onnx.Open(onnx.Options{Library: s.ONNXLibrary})
	if err != nil {
		return nil // told of above
	}
	for _, text := range s.Devices {
		p, err := settings.ParsePlace(text)
		if err == nil {
			err = onnx.Prober{Runtime: r, Limit: deviceProbe}.Probe(ctx, onnx.SessionOptions{Provider: p.Provider, Device: p.Number})
		}
		all = append(all, verdict("device", text+" runs a network in a child and gives the cpu's numbers", err,
			"is there a driver, and an ONNX Runtime with this provider in --onnx-library? Models whose card lists cpu run on the cpu meanwhile"))
	}
	d, err := house.OpenDesk(ctx, s)
	if err != nil {
		return all // told of under the ledger
	}
	defer d.Ledger.Close()
	entries, err := d.Registry.Cards(ctx)
	if err != nil {
		return all
	}
	slots, err := d.Ledger.Slots(ctx, study.PoolGPU)
	if err != nil {
		return all
	}
	prover := house.NewProver(s, r, nil)
	for _, e := range entries {
		if k, ok := wanting(e, slots); ok {
			all = append(all, k)
		}
		if t, ok := prover.Known(e.Card.SHA256); ok {
			all = append(all, verdict("tuning", e.Card.Ref().String()+": "+tuned(t), nil, ""))
		}
	}
	return all
}

// wanting warns of a model that may run and would rather have a GPU, while no
// living worker offers one.
func wanting(e models.Entry, slots int) (Check, bool) {
	if slots > 0 || !e.State.Runs() || !e.Card.Accelerated() {
		return Check{}, false
	}
	k := Check{"GPU", Warn, fmt.Sprintf("%s lists %s, and no living worker has a GPU: its jobs run on the cpu, and its results say so",
		e.Card.Ref(), strings.Join(e.Card.Providers, ", ")), "start a worker with --devices"}
	if !e.Card.AllowsCPU() {
		k.Found = fmt.Sprintf("%s lists %s and no cpu, and no living worker has a GPU: its jobs wait", e.Card.Ref(), strings.Join(e.Card.Providers, ", "))
	}
	return k, true
}

// tuned says in a few words how a network runs best here.
func tuned(t sessions.Tuning) string {
	text := fmt.Sprintf("%d tiles in one run", t.Batch)
	if t.Threads > 1 {
		text += fmt.Sprintf(", %d threads on a single image", t.Threads)
	}
	if t.Lean {
		text += ", memory given back after each run"
	}
	for _, r := range t.Trials {
		if r.Batch == t.Batch && r.Threads == 1 && r.Lean == t.Lean {
			text += fmt.Sprintf("; %.4g tiles a second on one core", r.Rate)
		}
	}
	return text
}
