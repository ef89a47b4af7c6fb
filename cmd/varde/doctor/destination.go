package doctor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"varde/cmd/varde/scu"
	"varde/cmd/varde/settings"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/report"
	"varde/report/carry"
	"varde/study"
)

// trialTimeout bounds each step of a trial: a person waits.
const trialTimeout = 15 * time.Second

// A trial gathers what is found of a destination.
type trial struct {
	settings.Settings
	to     settings.Destination
	trial  report.Trial
	checks []Check
}

// say adds a line, and reports whether all is well.
func (t *trial) say(name, found string, err error, remedy string) bool {
	t.checks = append(t.checks, verdict(name, found, err, remedy))
	return err == nil
}

func (t *trial) warn(name, found, remedy string) {
	t.checks = append(t.checks, Check{name, Warn, found, remedy})
}

// way says how the first call to the destination went. What a call that failed does
// not say of the way there is looked for.
func (t *trial) way(ctx context.Context, name, found string, err error, remedy string) bool {
	remedy, err = explain(ctx, t.Settings, t.to, err, remedy)
	return t.say(name, found, err, remedy)
}

// Try tries one destination to the end.
func Try(ctx context.Context, s settings.Settings, d settings.Destination) []Check {
	ctx, cancel := context.WithTimeout(ctx, 8*trialTimeout)
	defer cancel()
	t := &trial{Settings: s, to: d, trial: report.NewTrial(site(ctx, s))}
	if err := d.Check(); !t.say("settings", d.String(), err, "mend the destination in the settings") {
		return t.checks
	}
	switch d.Way() {
	case settings.BySTOW:
		t.stow(ctx)
	case settings.ByFHIR:
		t.fhir(ctx)
	case settings.ByMLLP:
		t.mllp(ctx)
	case settings.ByFolder:
		t.folder(ctx)
	default:
		t.dimse(ctx)
	}
	return t.checks
}

// parcel makes the test report.
func (t *trial) parcel() (carry.Parcel, bool) {
	p, err := t.trial.Report(t.lang(), report.Device{Version: settings.Version})
	return p, err == nil || t.say("test report", "", err, "this is a fault of Varde: report it")
}

func (t *trial) lang() string {
	if t.to.Lang != "" {
		return t.to.Lang
	}
	return t.Lang
}

// The classes of queries, PS3.4 §C.6.2.
const (
	findClass study.UID = "1.2.840.10008.5.1.4.1.2.2.1"
	getClass  study.UID = "1.2.840.10008.5.1.4.1.2.2.3"
	askClass  study.UID = "1.2.840.10008.1.20.1"
)

// kinds lists the DICOM objects that the destination is to get.
func (t *trial) kinds() []string {
	if len(t.to.Kinds) > 0 {
		return t.to.Kinds
	}
	return append([]string{report.KindSR, report.KindHeatmap, report.KindAnnotations}, t.Marks...)
}

// dimse tries a DICOM archive.
func (t *trial) dimse(ctx context.Context) {
	dialer, err := t.Dialer(t.to, trialTimeout)
	if err == nil {
		err = scu.Echo(ctx, dialer, t.to.Addr)
	}
	if !t.way(ctx, "C-ECHO", "it answers", err, "is it on, does it know our AE title "+t.AET+", may we reach its port?") {
		return
	}
	p, ok := t.parcel()
	if !ok {
		return
	}
	contexts := []dimse.Context{dimse.Plain(findClass), dimse.Plain(getClass), dimse.Plain(askClass)}
	sr := report.ClassOf(report.KindSR)
	classes := []study.UID{sr}
	for _, k := range t.kinds() {
		if c := report.ClassOf(k); c != "" && !slices.Contains(classes, c) {
			classes = append(classes, c)
		}
	}
	for _, c := range classes {
		contexts = append(contexts, dimse.Context{Class: c, Syntaxes: []study.UID{dicom.ExplicitLE}}, dimse.Context{Class: c, Syntaxes: []study.UID{dicom.ImplicitLE}})
	}
	a, err := dialer.Dial(ctx, t.to.Addr, contexts...)
	if !t.say("association", "it takes part of what is offered", err, "have it accept "+t.AET+" and the classes that are sent to it") {
		return
	}
	defer func() { _ = a.Abort() }() // which does nothing after a release
	t.acceptedKinds(a)
	offered := len(a.Accepted(askClass)) > 0
	switch {
	case t.to.Commit && !offered:
		t.say("commitment", "", fmt.Errorf("it does not offer storage commitment, and the settings ask for it: %w", study.ErrRefused), "have it offer commitment, or leave +commit out: its Success is then believed")
	case offered && !t.to.Commit:
		t.warn("commitment", "it offers storage commitment, and is not asked", "write +commit behind it, so that what it loses is sent again")
	case offered:
		t.say("commitment", "it offers storage commitment; its answer comes by the running service, see varde delivery list", nil, "")
	}
	if !t.sendObject(ctx, a, p) {
		return
	}
	t.readBack(ctx, dialer, a, p)
	_ = a.Release()
	t.leftover()
}

// acceptedKinds says which kinds the destination takes.
func (t *trial) acceptedKinds(a *dimse.Association) {
	for _, k := range t.kinds() {
		class := report.ClassOf(k)
		var err error
		if len(a.Accepted(class)) == 0 {
			err = fmt.Errorf("it takes no %s: %w", dicom.ClassName(class), study.ErrRefused)
		}
		t.say("kind "+k, "it takes "+dicom.ClassName(class), err, "have it take the class, or leave "+k+" out of kinds= of this destination")
	}
}

// sendObject stores the test report.
func (t *trial) sendObject(ctx context.Context, a *dimse.Association, p carry.Parcel) bool {
	class := report.ClassOf(report.KindSR)
	syntaxes := a.Accepted(class)
	if len(syntaxes) == 0 {
		t.warn("test object", "not sent: it takes no structured report, of which the test object is one", "")
		return false
	}
	syntax := syntaxes[0]
	if slices.Contains(syntaxes, dicom.ExplicitLE) {
		syntax = dicom.ExplicitLE
	}
	data, err := report.DataSet(p.Bytes, syntax)
	var status dimse.Status
	if err == nil {
		status, err = a.Store(ctx, class, p.UID, syntax, bytes.NewReader(data))
	}
	if err == nil && !status.OK() {
		err = fmt.Errorf("C-STORE: status %v: %w", status, study.ErrRefused)
	}
	found := "it took " + string(p.UID)
	if status.Warning() {
		found += ", with status " + status.String()
	}
	return t.say("C-STORE", found, err, "see the archive's own log for why")
}

// A basket takes what comes by C-GET.
type basket struct{ data []byte }

// Store keeps one object.
func (b *basket) Store(_ context.Context, r dimse.StoreRequest) dimse.Status {
	data, err := io.ReadAll(io.LimitReader(r.Data, 16<<20))
	if err != nil {
		return dimse.ProcessingFailure
	}
	b.data = append(dicom.Prefix(r.Class, r.Instance, r.TransferSyntax, "VARDE"), data...)
	return dimse.Success
}

// readBack looks for the test report, and fetches it where the archive gives it.
func (t *trial) readBack(ctx context.Context, dialer dimse.Dialer, a *dimse.Association, p carry.Parcel) {
	query := func() *dicom.Item {
		return dicom.NewItem().Set(dicom.QueryRetrieveLevel, "IMAGE").Set(dicom.StudyInstanceUID, p.Study).
			Set(dicom.SeriesInstanceUID, p.Series).Set(dicom.SOPInstanceUID, p.UID)
	}
	if len(a.Accepted(findClass)) == 0 {
		t.warn("C-FIND", "it does not let us ask whether it has the object", "let "+t.AET+" query it, if it can; deliveries work without")
	} else {
		found := false
		status, err := a.Find(ctx, findClass, query(), func(d *dicom.Dataset) error {
			found = found || d.Text(dicom.SOPInstanceUID) == string(p.UID)
			return nil
		})
		if err == nil && !status.OK() {
			err = fmt.Errorf("C-FIND: status %v: %w", status, study.ErrRefused)
		}
		switch {
		case err != nil:
			t.warn("C-FIND", "it does not let us ask whether it has the object: "+err.Error(), "let "+t.AET+" query it, if it can; deliveries work without")
		case !found:
			t.say("C-FIND", "", fmt.Errorf("it does not list what it has just taken: %w", study.ErrNotFound), "some archives list an object only minutes later; ask again, or have its owner look")
		default:
			t.say("C-FIND", "it lists the object", nil, "")
		}
	}
	if len(a.Accepted(getClass)) == 0 {
		t.warn("C-GET", "it does not give objects back to us, so nothing was compared", "let "+t.AET+" retrieve from it, if it can; deliveries work without")
		return
	}
	got, err := fetchBack(ctx, dialer, t.to.Addr, query())
	if err == nil && got == nil {
		err = fmt.Errorf("it gave nothing: %w", study.ErrNotFound)
	}
	if err != nil {
		t.warn("C-GET", "it gives nothing back: "+err.Error(), "let "+t.AET+" retrieve from it, if it can; deliveries work without")
		return
	}
	t.compare("C-GET", got, p)
}

// fetchBack gets one object over an association of its own, for we have to be its
// provider.
func fetchBack(ctx context.Context, dialer dimse.Dialer, addr string, query *dicom.Item) ([]byte, error) {
	sr := report.ClassOf(report.KindSR)
	a, err := dialer.Dial(ctx, addr, dimse.Plain(getClass),
		dimse.Context{Class: sr, Syntaxes: []study.UID{dicom.ExplicitLE}, Provide: true}, dimse.Context{Class: sr, Syntaxes: []study.UID{dicom.ImplicitLE}, Provide: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = a.Abort() }()
	var b basket
	_, status, err := a.Get(ctx, getClass, query, &b, nil)
	if err == nil && !status.OK() {
		err = fmt.Errorf("C-GET: status %v: %w", status, study.ErrRefused)
	}
	_ = a.Release()
	return b.data, err
}

// compare holds what came back against what was sent.
func (t *trial) compare(name string, got []byte, p carry.Parcel) {
	var err error
	if !carry.SameData(got, p.Bytes) {
		err = fmt.Errorf("what comes back is not what was sent: %w", study.ErrInvalid)
	}
	t.say(name, fmt.Sprintf("what comes back is what was sent, %d bytes", len(got)), err, "it changes objects on their way in: have its owner switch off coercion for what we send")
}

// leftover says what remains of a trial.
func (t *trial) leftover() {
	t.warn("left behind", "a test report of patient VARDE-TEST, study "+string(t.trial.Study.UID), "delete it there when you like; the next trial writes the same one")
}

// listed joins what is offered.
func listed(all []string) string {
	if len(all) == 0 {
		return "nothing"
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}
