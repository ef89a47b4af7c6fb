package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"varde/cmd/varde/scu"
	"varde/internal/dimse"
	"varde/internal/onnx/graph"
	"varde/internal/studytest"
	"varde/models"
	"varde/store"
	"varde/store/objects"
	"varde/study"
)

const (
	// scaleWindow is how long workers are watched once each has done a block.
	scaleWindow = 10 * time.Second
	// scaleLimit is how long a worker may take until its first block.
	scaleLimit = 2 * time.Minute
	// scaleAhead is how many blocks wait for each worker that is about to be watched.
	scaleAhead = 20
	// scaleSlides is how many slides are sent before it is looked whether they do.
	scaleSlides = 4
)

// errTooFewCores ends a bench that has nothing to compare.
var errTooFewCores = errors.New("fewer than 4 cores")

// benchScale compares 1, 2 and 4 worker processes on one core each, with a real
// Redis, PostgreSQL and MinIO: how many times the tiles of one
// do they score together? Linear is as many times as they are. The servers and the
// process that takes studies in have no core of their own, so that on a machine of
// four cores what they take is missing to the fourth worker; the second figure, in
// tiles for each second of the workers' own processor time, leaves out what others
// take of the cores.
func benchScale(ctx context.Context, ask Options, show func(Figure)) error {
	names := map[int]string{2: "score.scale2", 4: "score.scale4"}
	cores, err := ownCores()
	if err == nil && len(cores) < 4 {
		err = errTooFewCores
	}
	var p *scalePlant
	if err == nil {
		p, err = openScalePlant(ctx)
	}
	if errors.Is(err, study.ErrNotFound) || errors.Is(err, errTooFewCores) || errors.Is(err, study.ErrUnsupported) {
		fmt.Fprintln(ask.Notices, "bench scale:", err)
		show(alone(names[4], 0, "times"))
		return nil
	}
	if err != nil {
		return err
	}
	defer p.close()
	wall, cpu := map[int][]float64{}, map[int][]float64{}
	for range ask.Rounds {
		for _, n := range []int{1, 2, 4} {
			w, c, err := p.measure(ctx, cores[:n])
			if err != nil {
				return fmt.Errorf("%d workers: %w", n, err)
			}
			wall[n], cpu[n] = append(wall[n], w), append(cpu[n], c)
		}
	}
	for _, n := range []int{2, 4} {
		show(higher(names[n], quantile(wall[n], 0.5)/quantile(wall[1], 0.5), "times", "linear", float64(n)))
		show(higher(names[n]+"_cpu", quantile(cpu[n], 0.5), "tiles/CPU-s", "one worker", quantile(cpu[1], 0.5)))
	}
	return nil
}

// A scalePlant is a front process and the servers behind it.
type scalePlant struct {
	dir     string
	args    []string // of every process on it
	env     []string
	servers []*exec.Cmd
	front   *scaleProcess
	objects objects.Store
	ledger  *store.Ledger
	slide   studytest.Drawn // which is sent again and again, each time another
	sent    int
}

func openScalePlant(ctx context.Context) (p *scalePlant, err error) {
	p = &scalePlant{}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.dir, err = os.MkdirTemp("", "varde-bench-"); err != nil {
		return p, err
	}
	if err := os.Chmod(p.dir, 0o755); err != nil { // PostgreSQL runs as another user than root
		return p, err
	}
	where, access, err := p.startServers(ctx)
	if err != nil {
		return p, err
	}
	objects, err := objects.Open(ctx, where["store"], access)
	if err != nil {
		return p, err
	}
	p.objects = objects
	if p.ledger, err = store.OpenLedger(ctx, where["ledger"], store.LedgerOptions{}); err != nil {
		return p, err
	}
	p.env = append(os.Environ(), "VARDE_S3_ACCESS_KEY="+access.AccessKey, "VARDE_S3_SECRET_KEY="+access.SecretKey)
	p.args = []string{"--store", where["store"], "--ledger", where["ledger"], "--queue", where["queue"], "--reference-models", "false", "--log", "json"}
	if err := p.addModel(ctx); err != nil {
		return p, err
	}
	if p.slide, err = studytest.Slide(studytest.SM{Seed: 9, Columns: 8192, Rows: 6144}); err != nil {
		return p, err
	}
	dicom, err := freeAddr()
	if err != nil {
		return p, err
	}
	if p.front, err = p.start(ctx, nil, "serve", "--roles", "ingest,report,web", "--dicom-addr", dicom); err != nil {
		return p, err
	}
	p.front.dicom = dicom
	return p, awaitEcho(ctx, "VARDE", dicom)
}

func (p *scalePlant) close() {
	if p.front != nil {
		p.front.stop()
	}
	if p.ledger != nil {
		_ = p.ledger.Close()
	}
	if p.objects != nil {
		_ = p.objects.Close()
	}
	for _, s := range p.servers {
		_ = s.Process.Signal(syscall.SIGINT)
		_ = s.Wait()
	}
	if p.dir != "" {
		_ = os.RemoveAll(p.dir)
	}
}

// addModel keeps a MobileNet of random weights, in shadow: nobody needs to believe
// it.
func (p *scalePlant) addModel(ctx context.Context) error {
	network, err := graph.MobileNetV2(1)
	if err != nil {
		return err
	}
	card, err := scaleCard(network)
	if err != nil {
		return err
	}
	r, err := models.Open(filepath.Join(p.dir, "models"), p.ledger)
	if err != nil {
		return err
	}
	if err := r.Share(ctx, p.objects); err != nil {
		return err
	}
	c, err := r.Add(ctx, card, network, "bench")
	if err != nil {
		return err
	}
	return r.Set(ctx, c.Ref(), study.ModelShadow, "bench", "to be measured")
}

// scaleCard is the card of a network of 224 × 224 patches.
func scaleCard(network []byte) ([]byte, error) {
	sum, err := graph.Inspect(network)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `id = "bench"
version = "1"
name = "MobileNet V2 with random weights"
vendor = "Varde"
regulatory = "not a medical device"
network = "network.onnx"
sha256 = "%s"
[use]
text = "measuring speed"
measures = "nothing"
limits = "it knows nothing"
modality = ["SM"]
[input]
name = "%s"
kind = "patches"
type = "float32"
layout = "NCHW"
values = "rgb"
width = 224
height = 224
microns_per_pixel = 0.5
min_tissue = 0.5
scale = 0.00392156862745098
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
[[output]]
name = "%[3]s"
role = "scalar"
activation = "softmax"
aggregate = "mean"
[flag]
by = "%[3]s"
flagged = 1
`, study.Hash(sha256.Sum256(network)), sum.Inputs[0].Name, sum.Outputs[0].Name), nil
}

// send hands slides in until so many blocks wait.
func (p *scalePlant) send(ctx context.Context, blocks int) error {
	for {
		waiting, open, err := p.waiting(ctx)
		if err != nil || waiting >= blocks {
			return err
		}
		if open > 0 { // not planned yet
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		for range scaleSlides {
			p.sent++
			_, err = scu.Send(ctx, dimse.Dialer{Calling: "BENCH", Called: "VARDE"}, p.front.dicom, scu.FromStudy(again(p.slide, p.sent)), nil)
			if err != nil {
				return err
			}
		}
	}
}

// drawnUID is a UID that a drawn study has of its own.
var drawnUID = regexp.MustCompile(`2\.25\.[0-9]{20,39}`)

// again is a drawn study under other UIDs of the same length: to draw a slide takes
// longer than to score it.
func again(d studytest.Drawn, n int) studytest.Drawn {
	renamed := func(uid []byte) []byte {
		end := fmt.Sprintf("%04d", n%10000)
		return append(bytes.Clone(uid[:len(uid)-len(end)]), end...)
	}
	rename := func(uid study.UID) study.UID { return study.UID(renamed([]byte(uid))) }
	d.Study, d.Objects = rename(d.Study), slices.Clone(d.Objects)
	for i, o := range d.Objects {
		d.Objects[i].Instance, d.Objects[i].DataSet = rename(o.Instance), drawnUID.ReplaceAllFunc(o.DataSet, renamed)
	}
	return d
}

// waiting tells how many blocks wait, and how many studies are not planned yet.
func (p *scalePlant) waiting(ctx context.Context) (blocks, open int, err error) {
	c, err := p.ledger.Counts(ctx)
	for _, j := range c.Jobs {
		if j.Pool == study.PoolCPU && j.State == study.JobReady {
			blocks += j.Count
		}
	}
	return blocks, c.Studies[study.Receiving], err
}

// measure has a worker score on each of the cores, and gives the tiles that they
// score together in a second, and in a second of their processor time.
func (p *scalePlant) measure(ctx context.Context, cores []int) (wall, cpu float64, err error) {
	if err := p.send(ctx, scaleAhead*len(cores)); err != nil {
		return 0, 0, err
	}
	var crew []*scaleProcess
	defer func() {
		for _, w := range crew {
			w.stop()
		}
	}()
	for _, core := range cores {
		w, err := p.start(ctx, []int{core}, "worker", "--workers", "1")
		if err != nil {
			return 0, 0, err
		}
		crew = append(crew, w)
	}
	for _, w := range crew {
		if err := w.await(ctx, 1); err != nil {
			return 0, 0, err
		}
	}
	from := time.Now()
	before := make([]time.Duration, len(crew))
	for i, w := range crew {
		before[i] = w.processor()
	}
	select {
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	case <-time.After(scaleWindow):
	}
	to := time.Now()
	for i, w := range crew {
		tiles, seconds := w.scored(from, to)
		if seconds == 0 {
			return 0, 0, fmt.Errorf("a worker scored nothing within %s: %w", scaleWindow, study.ErrIncomplete)
		}
		speed := tiles / seconds
		wall += speed
		// Its share of the core, over the same time.
		cpu += speed / ((w.processor() - before[i]).Seconds() / time.Since(from).Seconds()) / float64(len(crew))
	}
	return wall, cpu, nil
}
