package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"varde/cmd/varde/settings"
	"varde/internal/hl7"
	"varde/internal/words"
	"varde/report"
	"varde/report/carry"
	"varde/report/messages"
	"varde/study"
)

// carrierOf makes the carrier of the destination, with the patience of a person.
func (t *trial) carrierOf() (carry.Carrier, bool) {
	c, err := t.Carrier(t.to, trialTimeout)
	return c, err == nil || t.say("settings", "", err, "see the certificates and files of the destination")
}

// stow tries a DICOMweb archive.
func (t *trial) stow(ctx context.Context) {
	c, ok := t.carrierOf()
	p, made := t.parcel()
	if !ok || !made {
		return
	}
	s := c.(*carry.STOW)
	s.Warned = func(_ carry.Parcel, code int) {
		t.warn("STOW-RS", fmt.Sprintf("taken with warning %04X", code), "see the archive's own log for why")
	}
	if !t.way(ctx, "STOW-RS", "it took "+string(p.UID), s.Carry(ctx, p), "is the address right up to /studies, and may the token store?") {
		return
	}
	found, err := s.Find(ctx, p)
	switch {
	case err != nil:
		t.warn("QIDO-RS", "it does not let us ask whether it has the object: "+err.Error(), "let the token search, if it can; deliveries work without")
	case !found:
		t.say("QIDO-RS", "", fmt.Errorf("it does not list what it has just taken: %w", study.ErrNotFound), "some archives list an object only minutes later; ask again, or have its owner look")
	default:
		t.say("QIDO-RS", "it lists the object", nil, "")
	}
	got, err := s.Fetch(ctx, p)
	if err != nil {
		t.warn("WADO-RS", "it does not give the object back, so nothing was compared: "+err.Error(), "let the token read, if it can; deliveries work without")
	} else {
		t.compare("WADO-RS", got, p)
	}
	for _, k := range t.kinds() {
		if k != report.KindSR {
			t.warn("kind "+k, "whether it is taken shows with the first one: DICOMweb has no word for it", "")
		}
	}
	t.leftover()
}

// trialSystem names the one resource that a FHIR server is tried with.
const trialSystem = "urn:varde:delivery-test"

// fhir tries a FHIR server: what it says of itself, a transaction with one device that
// is none, and reading it back.
func (t *trial) fhir(ctx context.Context) {
	c, ok := t.carrierOf()
	if !ok {
		return
	}
	f := c.(*carry.FHIR)
	told, err := f.Capability(ctx)
	if !t.way(ctx, "metadata", "it is FHIR "+told.Version, err, "is the address the base of the server, and may the token read?") {
		return
	}
	wanted := map[string]string{"": "4.", "r4": "4.", "r5": "5."}[t.to.Version]
	if !strings.HasPrefix(told.Version, wanted) {
		t.say("version", "", fmt.Errorf("it is FHIR %s, and is sent version %s: %w", told.Version, t.to.Want().Kinds[0], study.ErrInvalid), "write version=r4 or version=r5 behind it, as it is")
	}
	if !slices.Contains(told.System, "transaction") {
		t.warn("transaction", "it does not say that it takes transactions", "results go as transactions: have its owner switch them on")
	}
	for _, kind := range []string{"DiagnosticReport", "Observation", "ImagingStudy", "Device"} {
		if on := told.Types[kind]; len(on) > 0 {
			t.say(kind, "it offers "+listed(on), nil, "")
		} else {
			t.warn(kind, "it does not name this type", "have it take "+kind+", which results are made of")
		}
	}
	id := strings.ReplaceAll(string(t.trial.Study.UID), ".", "-")
	device := map[string]any{"resourceType": "Device", "id": id, "status": "inactive",
		"identifier": []any{map[string]any{"system": trialSystem, "value": string(t.trial.Study.UID)}},
		"note":       []any{map[string]any{"text": "Varde delivery test. No device, no patient. It may be deleted."}}}
	bundle, err := json.Marshal(map[string]any{"resourceType": "Bundle", "type": "transaction", "entry": []any{map[string]any{
		"fullUrl": "urn:uuid:00000000-0000-5000-8000-000000000000", "resource": device, "request": map[string]any{"method": "PUT", "url": "Device/" + id}}}})
	if err != nil {
		t.say("transaction", "", err, "")
		return
	}
	if !t.say("transaction", "it took a test device", f.Carry(ctx, carry.Parcel{Study: t.trial.Study.UID, UID: t.trial.Study.UID, Kind: "fhir", Media: study.MediaFHIR, Bytes: bundle}),
		"may the token write, and does the server let a client choose IDs?") {
		return
	}
	got, err := f.Get(ctx, "Device", id)
	if err == nil && !(bytes.Contains(got, []byte(trialSystem)) && bytes.Contains(got, []byte(t.trial.Study.UID))) {
		err = fmt.Errorf("what comes back is not what was sent: %w", study.ErrInvalid)
	}
	t.say("read", "what comes back is what was sent", err, "have its owner look at Device/"+id)
	if err := f.Delete(ctx, "Device", id); err != nil {
		t.warn("left behind", "a test device, Device/"+id+": "+err.Error(), "delete it there when you like; the next trial writes the same one")
	}
}

// mllp tries a system that hears HL7: a connection, and a message for training that
// says in its patient, its words and its processing ID that it is a test.
func (t *trial) mllp(ctx context.Context) {
	d := net.Dialer{Timeout: trialTimeout}
	conn, err := d.DialContext(ctx, "tcp", t.to.Addr)
	if err == nil {
		_ = conn.Close()
	}
	if !t.way(ctx, "connection", t.to.Addr+" takes one", err, "is it on, and may we reach its port?") {
		return
	}
	c, ok := t.carrierOf()
	if !ok {
		return
	}
	m := c.(*carry.MLLP)
	defer m.Dialer.Close()
	l, _ := words.ParseLang(t.lang())
	b, err := messages.ORU(messages.Input{UID: study.DerivedUID(string(t.trial.Study.UID), "oru"), Study: t.trial.Study, Result: t.trial.Result, Lang: l,
		Lines: []string{"VARDE TEST - NO PATIENT - NO RESULT"}, Device: report.Device{Version: settings.Version}, Location: time.UTC})
	if err == nil {
		b, err = training(b)
	}
	if err != nil {
		t.say("test message", "", err, "this is a fault of Varde: report it")
		return
	}
	err = m.Carry(ctx, carry.Parcel{Study: t.trial.Study.UID, UID: t.trial.Study.UID, Kind: "oru", Media: study.MediaHL7, Bytes: b})
	f := carry.FaultOf(err)
	switch {
	case err == nil:
		t.say("ORU^R01", "it took a test message (MSH-11 T) of patient VARDE-TEST", nil, "")
	case f.Down:
		t.way(ctx, "ORU^R01", "", err, "it takes connections and gives no acknowledgment: is it an HL7 v2 listener, over TLS or in the clear as here?")
	default:
		t.warn("ORU^R01", "the way there is open, and it refuses the test message: "+err.Error(),
			"a system in production may refuse messages for training (MSH-11 T), or of a patient that it does not know; its owner's log says which")
	}
}

// training makes a message one for training: MSH-11 is T, table 0103.
func training(b []byte) ([]byte, error) {
	end := bytes.IndexByte(b, '\r')
	fields := bytes.Split(b[:max(end, 0)], []byte("|"))
	if len(fields) < 11 {
		return nil, fmt.Errorf("a message without MSH-11: %w", study.ErrInvalid)
	}
	fields[10] = []byte("T")
	b = append(bytes.Join(fields, []byte("|")), b[end:]...)
	_, err := hl7.Parse(b, hl7.Options{})
	return b, err
}

// folder tries a folder.
func (t *trial) folder(ctx context.Context) {
	c, ok := t.carrierOf()
	p, made := t.parcel()
	if !ok || !made {
		return
	}
	f := c.(*carry.Folder)
	if !t.say("write", "it takes a file", f.Carry(ctx, p), "give the user of this process the folder, and see that the disk has room") {
		return
	}
	got, err := os.ReadFile(f.File(p))
	if err == nil && !bytes.Equal(got, p.Bytes) {
		err = fmt.Errorf("the file has other bytes: %w", study.ErrInvalid)
	}
	t.say("read", fmt.Sprintf("the file is what was written, %d bytes", len(got)), err, "see the disk below it")
	if err := os.RemoveAll(f.File(p)); err != nil {
		t.warn("left behind", err.Error(), "delete the file by hand")
	}
	_ = os.Remove(t.to.Path + "/" + string(p.Study)) // which fails where something else lies there
}

// lookAtDestination asks a destination that is no DICOM peer whether it is there,
// without sending it anything.
func lookAtDestination(ctx context.Context, s settings.Settings, d settings.Destination) error {
	c, err := s.Carrier(d, 5*time.Second)
	if err != nil {
		return err
	}
	switch c := c.(type) {
	case *carry.STOW:
		_, err = c.Find(ctx, carry.Parcel{Study: report.NewTrial(s.AET).Study.UID, UID: "2.25.0"})
		if err != nil && !carry.FaultOf(err).Down {
			return nil // it answers; what it lets us do is for a trial to find out
		}
	case *carry.FHIR:
		_, err = c.Capability(ctx)
	case *carry.MLLP:
		var conn net.Conn
		if conn, err = (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", d.Addr); err == nil {
			_, err = greet(ctx, s, conn, d)
			_ = conn.Close()
		}
	case *carry.Folder:
		var f *os.File
		if f, err = os.CreateTemp(c.Path, ".varde-*"); err == nil {
			err = f.Close()
			_ = os.Remove(f.Name())
		}
	}
	return err
}
