package store

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"varde/store/objects"
	"varde/store/sqldb"
	"varde/study"
)

// A Rebuilder makes a new ledger from the object store alone: from the manifests
// that a [Manifester] has left there, and from the objects themselves. Every
// object is read whole: what a manifest says of one counts only while its bytes
// are those that were acknowledged.
type Rebuilder struct {
	Ledger  *Ledger // new, or with nothing in it
	Objects objects.Store
	// Scan reads the object under a key and says what the ledger should know of it.
	// It reads strangers' bytes, and [study.ErrInvalid] and [study.ErrUnsupported]
	// are its word for what is no object of ours to take in.
	Scan func(ctx context.Context, key string) (study.Arrival, error)
	Log  *slog.Logger

	slides  map[string]study.Hash // of slide files, by key, once read
	unsound map[string]bool       // keys whose bytes are not those that were acknowledged
}

// A Rebuilt is what a rebuild came to.
type Rebuilt struct {
	Studies   int `json:"studies"`   // that a manifest told of
	Results   int `json:"results"`   // of models, that were kept
	Reports   int `json:"reports"`   // that were written
	Objects   int `json:"objects"`   // whose bytes were read and found sound
	Unplanned int `json:"unplanned"` // objects that no manifest told of: their studies are received anew
	Missing   int `json:"missing"`   // objects that a manifest tells of and that are gone
	Changed   int `json:"changed"`   // … whose bytes are others than were acknowledged: not in use
	Skipped   int `json:"skipped"`   // files that are no objects of ours
	Manifests int `json:"manifests_skipped"`
	// Models says that the states of the models are known again.
	Models        bool `json:"models"`
	Settings      int  `json:"settings"`      // of persons, that were kept
	Subscriptions int  `json:"subscriptions"` // of workstations, to work items
}

// scanners is how many objects are read at once.
const scanners = 4

// Run rebuilds. It can be begun again in a new ledger at any time: it changes no
// object. actor is for the audit, whose chain begins anew with a row that names
// the end of the old one as far as it is known.
func (r *Rebuilder) Run(ctx context.Context, actor string) (Rebuilt, error) {
	var out Rebuilt
	if n, err := sqldb.One(r.Ledger.db.Ask(ctx), sqldb.Number, `SELECT COUNT(*) FROM study`); err != nil || n > 0 {
		return out, errors.Join(err, fmt.Errorf("rebuild: the ledger holds %d studies; move it away first: %w", n, study.ErrRefused))
	}
	r.slides, r.unsound = map[string]study.Hash{}, map[string]bool{}
	newest, err := r.manifests(ctx, &out)
	if err != nil {
		return out, fmt.Errorf("rebuild: %w", err)
	}
	var last manifestHead
	for _, name := range slices.Sorted(maps.Keys(newest)) {
		h, err := r.restore(ctx, newest[name], name, &out)
		if err != nil && hopelessManifest(err) {
			out.Manifests++
			r.Log.WarnContext(ctx, "manifest passed over", "of", name, "err", err)
			continue
		}
		if err != nil {
			return out, fmt.Errorf("rebuild from %s: %w", newest[name], err)
		}
		if h.Audit > last.Audit {
			last = h
		}
	}
	if err := r.rescan(ctx, &out); err != nil {
		return out, fmt.Errorf("rebuild: %w", err)
	}
	told := fmt.Sprintf("from the object store: %d studies, %d results, %d reports, %d objects; %d objects without a manifest, %d missing, %d changed",
		out.Studies, out.Results, out.Reports, out.Objects, out.Unplanned, out.Missing, out.Changed)
	if last.Audit > 0 {
		told += fmt.Sprintf("; the audit before had at least %d rows and hash %s then", last.Audit, last.Chain)
	}
	return out, r.Ledger.change(ctx, func(t *tx) error { return t.Audit(actor, "rebuilt", "ledger", told) })
}

// CatchUp takes in the objects of which a ledger that was restored knows nothing,
// because they came after the backup. Their studies are received anew.
func (r *Rebuilder) CatchUp(ctx context.Context, actor, from string) (Rebuilt, error) {
	var out Rebuilt
	if err := r.rescan(ctx, &out); err != nil {
		return out, fmt.Errorf("take in what came after the backup: %w", err)
	}
	told := fmt.Sprintf("from %s; %d objects had come since", from, out.Unplanned)
	return out, r.Ledger.change(ctx, func(t *tx) error { return t.Audit(actor, "restored", "ledger", told) })
}

// objectFolders are where objects lie that came from others.
var objectFolders = [...]string{"dicom/", "conflict/"}

// hopelessManifest tells a manifest that can't be used from a store that is away.
func hopelessManifest(err error) bool {
	return errors.Is(err, study.ErrInvalid) || errors.Is(err, study.ErrUnsupported)
}

// manifests gives the key of the latest manifest of each name.
func (r *Rebuilder) manifests(ctx context.Context, out *Rebuilt) (map[string]string, error) {
	newest := map[string]string{}
	for key, err := range r.Objects.List(ctx, manifestFolder) {
		if err != nil {
			return nil, err
		}
		name, number, ok := strings.Cut(strings.TrimPrefix(key, manifestFolder), "/")
		if _, err := study.ParseUID(name); err != nil && !ofNoStudy(name) || !ok || path.Base(key) != number || !strings.HasSuffix(number, ".json.gz") {
			out.Manifests++
			continue
		}
		newest[name] = key // keys come in order, and the later is the greater
	}
	return newest, nil
}

// maxManifest bounds a manifest that is read back: 10,000 slices or the index of
// a slide of a million tiles take a fiftieth of it.
const maxManifest = 1 << 30

// A copied is a manifest in memory.
type copied struct {
	head manifestHead
	rows map[string][]map[string]any // by table
}

// read reads a manifest and checks that it is whole and of its name.
func (r *Rebuilder) read(ctx context.Context, key, name string) (*copied, error) {
	body, err := r.Objects.Range(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	bad := func(err error) (*copied, error) { return nil, fmt.Errorf("%w: %w", study.ErrInvalid, err) }
	z, err := gzip.NewReader(body)
	if err != nil {
		return bad(err)
	}
	lines := json.NewDecoder(io.LimitReader(z, maxManifest))
	lines.UseNumber()
	c := &copied{rows: map[string][]map[string]any{}}
	if err := lines.Decode(&c.head); err != nil {
		return bad(err)
	}
	if c.head.Format != manifestFormat || c.head.Version != manifestVersion || c.head.Of != name {
		return bad(fmt.Errorf("a manifest of kind %.20q %d, of %.64q", c.head.Format, c.head.Version, c.head.Of))
	}
	for {
		var row keptRow
		if err := lines.Decode(&row); err == io.EOF {
			break
		} else if err != nil {
			return bad(err)
		}
		if err := plainValues(row.Values); err != nil {
			return bad(err)
		}
		c.rows[row.Table] = append(c.rows[row.Table], row.Values)
	}
	return c, c.check(name)
}

// plainValues turns what JSON gave into what the tables take.
func plainValues(values map[string]any) error {
	for k, v := range values {
		switch v := v.(type) {
		case string, nil:
		case json.Number:
			if n, err := v.Int64(); err == nil {
				values[k] = n
			} else if f, err := v.Float64(); err == nil {
				values[k] = f
			} else {
				return fmt.Errorf("number in %s: %w", k, err)
			}
		case map[string]any:
			text, ok := v["blob"].(string)
			if !ok && v["blob"] != nil {
				return fmt.Errorf("column %s holds no bytes", k)
			}
			b, err := decodeBlob(text)
			if err != nil {
				return fmt.Errorf("column %s: %w", k, err)
			}
			values[k] = b
		default:
			return fmt.Errorf("column %s holds a %T", k, v)
		}
	}
	return nil
}

// check makes sure that every row is of the manifest's own study, also where it
// says so by another row.
func (c *copied) check(name string) error {
	bad := func(table string) error {
		return fmt.Errorf("a row of %s is not of %s: %w", table, name, study.ErrInvalid)
	}
	known := map[string]bool{}
	for _, t := range tablesOf(name) {
		known[t.name] = true
	}
	named := map[string]map[string]bool{ // what a column may name
		"job_id": c.texts("job", "id"), "delivery_id": c.texts("delivery", "id"), "uid": {name: true}, "study_uid": {name: true},
	}
	for table, rows := range c.rows {
		if !known[table] {
			return fmt.Errorf("a row of table %.40q: %w", table, study.ErrInvalid)
		}
		may := maps.Clone(named)
		if table == "frame_index" {
			may["sop_uid"] = c.texts("instance", "sop_uid")
		}
		for _, row := range rows {
			for column, texts := range may {
				if v, ok := row[column]; ok && !ofNoStudy(name) {
					if text, ok := v.(string); !ok || !texts[text] {
						return bad(table)
					}
				}
			}
		}
	}
	return nil
}

// texts gives the texts of one column.
func (c *copied) texts(table, column string) map[string]bool {
	all := map[string]bool{}
	for _, row := range c.rows[table] {
		if s, ok := row[column].(string); ok {
			all[s] = true
		}
	}
	return all
}

// restore makes the rows of one manifest again, as far as the objects that they
// tell of are there.
func (r *Rebuilder) restore(ctx context.Context, key, name string, out *Rebuilt) (manifestHead, error) {
	c, err := r.read(ctx, key, name)
	if err != nil {
		return manifestHead{}, err
	}
	v := &verifying{Rebuilder: r, copied: c, frames: map[string][]byte{}, gone: map[string]bool{}}
	if err := v.objects(ctx); err != nil {
		return c.head, err
	}
	v.drop()
	err = r.Ledger.change(ctx, func(t *tx) error {
		for _, table := range tablesOf(name) {
			if err := t.restoreRows(table.name, c.rows[table.name]); err != nil {
				return fmt.Errorf("rows of %s: %w", table.name, err)
			}
		}
		t.Moved, t.Shown = true, true
		// What follows counts on from there, and is written anew at once.
		_, err := t.Exec(`INSERT INTO manifest (name, changed, kept) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET changed = excluded.changed, kept = excluded.kept`, name, c.head.Changed+1, c.head.Changed)
		return err
	})
	if err != nil {
		return c.head, fmt.Errorf("%w: %w", study.ErrInvalid, err)
	}
	out.Studies += len(c.rows["study"])
	out.Results += len(c.rows["result"])
	out.Reports += len(c.rows["report"])
	out.Objects += v.sound
	out.Missing += v.missing
	out.Changed += v.changed
	out.Models = out.Models || name == House
	out.Settings += len(c.rows["preference"])
	out.Subscriptions += len(c.rows["workitem_subscription"])
	return c.head, nil
}

// A verifying holds what a manifest says of objects against their bytes.
type verifying struct {
	*Rebuilder
	*copied
	mu                      sync.Mutex        // guards what follows, and rows
	frames                  map[string][]byte // of instances that were scanned, by UID
	gone                    map[string]bool   // instances that are not in use any more
	sound, missing, changed int
}

// objects reads every object of the study.
func (v *verifying) objects(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(scanners)
	for _, row := range v.rows["instance"] {
		g.Go(func() error { return v.object(ctx, row) })
	}
	return g.Wait()
}

func (v *verifying) object(ctx context.Context, row map[string]any) error {
	uid, _ := row["sop_uid"].(string)
	key, _ := row["object_key"].(string)
	image, _ := row["image"].(string)
	sum, _ := row["sha256"].([]byte)
	own := row["own"] != int64(0)
	var a study.Arrival
	_, err := v.came(ctx, key)
	switch {
	case err != nil:
	case own || image != "":
		a.Instance.SHA256, err = objects.HashOf(ctx, v.Objects, key)
	default:
		a, err = v.Scan(ctx, key)
	}
	if err == nil && image != "" {
		err = v.slideFile(ctx, image)
	}
	lost, other := errors.Is(err, study.ErrNotFound), errors.Is(err, study.ErrInvalid) || errors.Is(err, study.ErrUnsupported)
	if err != nil && !lost && !other {
		return err
	}
	text, frames := image, []byte(nil)
	if err == nil && !own && image == "" {
		if a.Instance.Image != nil {
			if text, err = sqldb.Pack(a.Instance.Image); err != nil {
				return err
			}
		}
		if a.Frames.Len() > 0 {
			if frames, err = a.Frames.MarshalBinary(); err != nil {
				return err
			}
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case lost:
		v.missing++
		v.gone[uid] = true
	case other || sqldb.Hash(sum) != a.Instance.SHA256:
		v.changed++
		v.gone[uid], v.unsound[key] = true, true
	default:
		v.sound++
		row["image"] = text
		if frames != nil {
			v.frames[uid] = frames
		}
	}
	if v.gone[uid] {
		v.Log.WarnContext(ctx, "object is not what was acknowledged, and left out", "study", v.head.Of, "instance", uid, "key", key, "missing", lost, "err", err)
	}
	return nil
}

// slideFile makes sure that the file which holds an instance's pixels is what it
// was. Each file is read once.
func (v *verifying) slideFile(ctx context.Context, image string) error {
	var img study.Image
	if err := sqldb.Unpack(image, &img); err != nil || img.Origin == nil {
		return fmt.Errorf("an image without its file: %w", study.ErrInvalid)
	}
	v.mu.Lock()
	sum, ok := v.slides[img.Origin.Key]
	v.mu.Unlock()
	if !ok {
		var err error
		if sum, err = objects.HashOf(ctx, v.Objects, img.Origin.Key); err != nil {
			return err
		}
		v.mu.Lock()
		v.slides[img.Origin.Key] = sum
		v.mu.Unlock()
	}
	if sum != img.Origin.SHA256 {
		return fmt.Errorf("slide file %s has changed: %w", img.Origin.Key, study.ErrInvalid)
	}
	return nil
}

// drop takes out what can't be in use any more, and puts in what the objects told.
func (v *verifying) drop() {
	keep := func(table, column string, out func(string) bool) {
		v.rows[table] = slices.DeleteFunc(v.rows[table], func(row map[string]any) bool {
			s, _ := row[column].(string)
			return out(s)
		})
	}
	lost := int64(0)
	for _, row := range v.rows["instance"] {
		if uid, _ := row["sop_uid"].(string); v.gone[uid] && row["own"] == int64(0) {
			lost++
		}
	}
	for _, row := range v.rows["study"] {
		if n, ok := row["instances"].(int64); ok {
			row["instances"] = max(n-lost, 0)
		}
	}
	away := map[string]bool{}
	for _, row := range v.rows["delivery"] {
		if uid, _ := row["report_uid"].(string); v.gone[uid] {
			id, _ := row["id"].(string)
			away[id] = true
		}
	}
	inGone := func(s string) bool { return v.gone[s] }
	isAway := func(s string) bool { return away[s] }
	keep("instance", "sop_uid", inGone)
	keep("frame_index", "sop_uid", inGone)
	keep("report", "sop_uid", inGone)
	keep("delivery", "id", isAway)
	keep("owed", "delivery_id", isAway)
	for _, uid := range slices.Sorted(maps.Keys(v.frames)) {
		v.rows["frame_index"] = append(v.rows["frame_index"], map[string]any{"sop_uid": uid, "frames": v.frames[uid]})
	}
	for _, row := range v.rows["job"] {
		if row["state"] == "enqueued" { // whoever had it is gone
			row["state"], row["worker"] = "ready", ""
		}
	}
}
