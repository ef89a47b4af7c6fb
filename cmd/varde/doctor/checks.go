package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"varde/cmd/varde/house"
	"varde/cmd/varde/scu"
	"varde/cmd/varde/settings"
	"varde/internal/dimse"
	"varde/internal/onnx"
	"varde/internal/onnx/graph"
	"varde/internal/pixel"
	"varde/models"
	"varde/queue"
	"varde/store"
	"varde/store/objects"
	"varde/study"
)

// examineLimit bounds each check.
const examineLimit = 20 * time.Second

// Examine loads the settings and makes all checks. One that finds nothing to stand on does not keep the
// later ones from being made.
func Examine(ctx context.Context, l *settings.Loader) []Check {
	if err := l.Load(); err != nil {
		return []Check{verdict("settings", "", err, "mend what is named; varde config show lists all settings")}
	}
	all := []Check{verdict("settings", "sound", l.CheckServing(), "a service with these settings would not start")}
	for _, look := range []func(context.Context, settings.Settings) []Check{
		lookAtFolder, lookAtPorts, lookAtObjects, lookAtLedger, lookAtQueue, lookAtRuntime, lookAtDevices, lookAtModels, lookAtWorkers, lookAtDecoders, Peers,
	} {
		limited, cancel := context.WithTimeout(ctx, examineLimit)
		all = append(all, look(limited, l.Settings)...)
		cancel()
	}
	return all
}

// verdict is OK with what was found, or FAIL with the error and the remedy.
func verdict(name, found string, err error, remedy string) Check {
	if err != nil {
		return Check{name, Fail, err.Error(), remedy}
	}
	return Check{name, OK, found, ""}
}

func lookAtFolder(_ context.Context, s settings.Settings) []Check {
	err := os.MkdirAll(s.Dir, 0o750)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(s.Dir, ".doctor-*"); err == nil {
			_, werr := f.WriteString("x")
			err = errors.Join(werr, f.Sync(), f.Close(), os.Remove(f.Name()))
		}
	}
	return []Check{verdict("data folder", s.Dir+" can be written", err, "give the user of this process the folder, or name another with --dir")}
}

// lookAtPorts tells a free port from one on which Varde itself answers.
func lookAtPorts(ctx context.Context, s settings.Settings) (all []Check) {
	for _, p := range []struct{ name, addr, flag string }{{"DICOM port", s.DICOMAddr, "--dicom-addr"}, {"HTTP port", s.HTTPAddr, "--http-addr"}} {
		if p.addr == "" { // a door that is switched off
			continue
		}
		l, err := net.Listen("tcp", p.addr)
		if err == nil {
			_ = l.Close()
			all = append(all, verdict(p.name, p.addr+" is free", nil, ""))
			continue
		}
		ours := p.name == "DICOM port" && scu.Echo(ctx, dimse.Dialer{Calling: "DOCTOR", Called: s.AET, Timeout: 3 * time.Second}, p.addr) == nil ||
			p.name == "HTTP port" && AskAlive(ctx, "http://"+p.addr) == nil
		if ours {
			all = append(all, verdict(p.name, p.addr+" is answered, as by a running Varde", nil, ""))
			continue
		}
		all = append(all, verdict(p.name, "", err, "free the port, or choose another with "+p.flag))
	}
	return all
}

// lookAtObjects writes, reads and deletes an object.
func lookAtObjects(ctx context.Context, s settings.Settings) []Check {
	const name = "object store"
	const remedy = "see --store; for S3 also VARDE_S3_ACCESS_KEY and VARDE_S3_SECRET_KEY"
	where := s.Store
	if where == "" {
		where = s.Folder("objects")
	}
	o, err := objects.Open(ctx, where, objects.Credentials{AccessKey: s.S3AccessKey, SecretKey: s.S3SecretKey})
	if err != nil {
		return []Check{verdict(name, "", err, remedy)}
	}
	defer o.Close()
	err = probe(ctx, o)
	all := []Check{verdict(name, o.String()+" takes, gives and forgets an object", err, remedy)}
	if free, ok := o.Free(ctx); ok {
		k := verdict("free disk", fmt.Sprintf("%d GiB", free>>30), nil, "")
		if free < s.MinFree {
			k = Check{"free disk", Fail, fmt.Sprintf("%d MiB, below --min-free: senders are refused", free>>20), "make room, or move the object store"}
		} else if free < 10*s.MinFree {
			k.Outcome, k.Remedy = Warn, "plan for more room"
		}
		all = append(all, k)
	}
	return all
}

func probe(ctx context.Context, o objects.Store) error {
	key, want := "probe/"+strings.ToLower(rand.Text()), []byte("varde")
	if err := o.Put(ctx, key, bytes.NewReader(want), int64(len(want))); err != nil {
		return err
	}
	r, err := o.Range(ctx, key, 0, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("object %s came back with other bytes: %w", key, study.ErrInvalid)
	}
	return o.Delete(ctx, key)
}

func lookAtLedger(ctx context.Context, s settings.Settings) []Check {
	d, err := house.OpenDesk(ctx, s)
	if err != nil {
		return []Check{verdict("ledger", "", err, "restore it from a backup, or name another with --ledger")}
	}
	defer d.Ledger.Close()
	n, err := d.Ledger.VerifyAudit(ctx)
	return []Check{
		verdict("ledger", store.HideSecret(s.LedgerPath())+" opens", nil, ""),
		verdict("audit trail", fmt.Sprintf("%d rows, chain unbroken", n), err, "the trail was changed by hand or damaged: keep the file, restore a backup, find out who"),
	}
}

func lookAtQueue(ctx context.Context, s settings.Settings) []Check {
	if s.Queue == "" {
		return []Check{verdict("queue", "embedded: one process, nothing to ask", nil, "")}
	}
	c, err := queue.Open(s.Queue)
	if err == nil {
		err = errors.Join(c.Ping(ctx), c.Close())
	}
	return []Check{verdict("queue", "redis answers", err, "start Redis, or leave --queue out for the embedded one")}
}

// lookAtRuntime loads ONNX Runtime and runs one tiny network on it.
func lookAtRuntime(ctx context.Context, s settings.Settings) []Check {
	r, err := onnx.Open(onnx.Options{Library: s.ONNXLibrary})
	if err != nil {
		return []Check{verdict("ONNX Runtime", "", err, "the message ends with the command that helps")}
	}
	i := r.Info()
	return []Check{verdict("ONNX Runtime", fmt.Sprintf("%s (%s, sha256 %s) runs on the CPU", i.Version, i.Route, i.SHA256.Short()),
		tinyRun(ctx, r), "try another build with --onnx-library")}
}

// tinyRun adds two numbers in a network of one node.
func tinyRun(ctx context.Context, r *onnx.Runtime) error {
	g := graph.New("sum")
	one := graph.Fixed(1)
	g.Named("sum", "Add", nil, g.Input("a", graph.Float, one), g.Input("b", graph.Float, one))
	g.Output("sum", graph.Float, one)
	network, err := g.Encode()
	if err != nil {
		return err
	}
	session, err := r.Session(network, onnx.SessionOptions{})
	if err != nil {
		return err
	}
	defer session.Close()
	two := pixel.Tensor{Shape: []int64{1}, Data: []float32{2}}
	out, err := session.Run(ctx, map[string]pixel.Tensor{"a": two, "b": two})
	if err != nil {
		return err
	}
	if v, ok := out["sum"].Data.([]float32); !ok || len(v) != 1 || v[0] != 4 {
		return fmt.Errorf("2 + 2 gave %v: %w", out["sum"].Data, study.ErrInvalid)
	}
	return nil
}

// lookAtModels reads every network that may run and checks its hash.
func lookAtModels(ctx context.Context, s settings.Settings) []Check {
	const remedy = "add the model again as a new version: varde model add"
	d, err := house.OpenDesk(ctx, s)
	if err != nil {
		return []Check{verdict("models", "", err, "see the ledger above")}
	}
	defer d.Ledger.Close()
	var all []Check
	err = d.Sharing(ctx, func() error {
		entries, err := d.Registry.Cards(ctx)
		if err = errors.Join(err, d.Registry.Faults()); err == nil {
			all = examineModels(d.Registry, entries, remedy)
		}
		return err
	})
	if err != nil {
		return []Check{verdict("models", "", err, remedy)}
	}
	return all
}

func examineModels(r *models.Registry, entries []models.Entry, remedy string) (all []Check) {
	if house.CountLive(entries) == 0 {
		all = append(all, Check{"models", Warn, "none is live", "varde model list, then varde model promote; the reference models come with the first varde serve"})
	}
	for _, e := range entries {
		_, err := r.Network(e.Card.Ref())
		if err == nil && e.Card.MIL != nil {
			_, err = r.Network(e.Card.Second().Ref())
		}
		all = append(all, verdict("model", fmt.Sprintf("%s is %s, sha256 %s", e.Card.Ref(), e.State, e.Card.SHA256.Short()), err, remedy))
	}
	return all
}

// Peers asks the destinations, the archive and whoever is called back whether
// they are there, over TLS where that is set.
func Peers(ctx context.Context, s settings.Settings) (all []Check) {
	ask := func(what string, d settings.Destination) {
		began := time.Now()
		var dialer dimse.Dialer
		var err error
		if d.Way() != settings.ByDIMSE {
			err = lookAtDestination(ctx, s, d)
		} else if dialer, err = s.Dialer(d, 5*time.Second); err == nil {
			err = scu.Echo(ctx, dialer, d.Addr)
		}
		remedy, err := explain(ctx, s, d, err, "is it on, does it know our AE title "+s.AET+", may we reach its port?")
		k := verdict(what, fmt.Sprintf("%s answers in %d ms", d, time.Since(began).Milliseconds()), err, remedy)
		if what == "peer" && k.Outcome == Fail { // it may be off, as modalities are at night
			k.Outcome = Warn
		}
		all = append(all, k)
	}
	for _, d := range s.Destinations {
		ask("destination", d)
	}
	if a, err := s.ArchivePeer(); err == nil && a.Addr != "" {
		ask("archive", a)
	}
	for _, d := range s.Peers {
		ask("peer", d)
	}
	return all
}
