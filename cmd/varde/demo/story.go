package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/cmd/varde/house"
	"varde/internal/dicom"
	"varde/internal/hl7"
	"varde/internal/studytest"
	"varde/study"
	"varde/worldlist/order"
)

// An exam is one study of the demo's morning: what is drawn, what the referrer's
// order says of it, and where by the rule it must stand.
type exam struct {
	studytest.Drawn
	Order *examOrder // nil: none came
	// Unscored says that no model can judge it: it is out of scope, or no volume.
	Unscored bool
	// Turn is the exam's place by hand: exams of a lower turn are read before
	// those of a higher one. Why says so in a few words.
	Turn int
	Why  string
}

// An examOrder is what an order says.
type examOrder struct {
	Priority string // ORC-7.6 and TQ1-9: S stat, A urgent
	Due      int    // days from now by which it must be read; 0 for no deadline
}

// morning draws the exams: six whose truth is known and that came without an
// order, and six that show what else decides.
func morning() ([]exam, error) {
	ct := func(o studytest.CT) func() (studytest.Drawn, error) {
		return func() (studytest.Drawn, error) { return studytest.ChestCT(o) }
	}
	mg := func(o studytest.MG) func() (studytest.Drawn, error) {
		return func() (studytest.Drawn, error) { return studytest.Mammogram(o) }
	}
	sm := func(o studytest.SM) func() (studytest.Drawn, error) {
		return func() (studytest.Drawn, error) { return studytest.Slide(o) }
	}
	stories := []struct {
		exam
		name string // empty keeps the drawing's
		draw func() (studytest.Drawn, error)
	}{
		{exam{Turn: 5, Why: "routine, flagged: longest head start"}, "", ct(studytest.CT{Seed: 1, Nodules: true})},
		{exam{Turn: 7, Why: "routine, not flagged: never behind its own arrival"}, "", ct(studytest.CT{Seed: 2})},
		{exam{Turn: 5, Why: "routine, flagged: longest head start"}, "", mg(studytest.MG{Seed: 3, Calcifications: true})},
		{exam{Turn: 7, Why: "routine, not flagged: never behind its own arrival"}, "", mg(studytest.MG{Seed: 4})},
		{exam{Turn: 5, Why: "routine, flagged: longest head start"}, "", sm(studytest.SM{Seed: 5, Cellular: true})},
		{exam{Turn: 7, Why: "routine, not flagged: never behind its own arrival"}, "", sm(studytest.SM{Seed: 6})},
		{exam{Turn: 1, Why: "stat comes first, whatever the AI says", Order: &examOrder{Priority: "S"}}, "chest CT, ordered stat",
			ct(studytest.CT{Seed: 7, Slices: 24, StepMM: 2.5, Patient: "-STAT"})},
		{exam{Turn: 2, Why: "its deadline passed yesterday", Order: &examOrder{Due: -1}}, "mammogram, overdue",
			mg(studytest.MG{Seed: 8, Rows: 512, Columns: 384, Patient: "-OVERDUE"})},
		{exam{Turn: 3, Why: "urgent and flagged", Order: &examOrder{Priority: "A", Due: 7}}, "chest CT with nodules, urgent",
			ct(studytest.CT{Seed: 9, Nodules: true, Slices: 24, StepMM: 2.5, Patient: "-URGENT"})},
		{exam{Turn: 4, Why: "urgent, not flagged", Order: &examOrder{Priority: "A", Due: 7}}, "mammogram, urgent",
			mg(studytest.MG{Seed: 10, Rows: 512, Columns: 384, Patient: "-PATHWAY"})},
		{exam{Turn: 6, Why: "no answer from AI: the mean head start, never none", Unscored: true}, "chest CT of three slices",
			ct(studytest.CT{Seed: 11, Slices: 3, Patient: "-SCOUT"})},
		{exam{Turn: 6, Why: "no answer from AI: the mean head start, never none", Unscored: true}, "chest CT with slices missing", holed},
	}
	all := make([]exam, len(stories))
	var g errgroup.Group
	for i, s := range stories {
		g.Go(func() (err error) {
			all[i] = s.exam
			if all[i].Drawn, err = s.draw(); err != nil {
				return err
			}
			if s.name != "" {
				all[i].Name = s.name
			}
			all[i].Drawn = ofPerson(all[i].Drawn, i+1)
			return nil
		})
	}
	return all, g.Wait()
}

// ofPerson makes a study that of one person of the morning: its patient ID and its
// accession number become others of the same length.
func ofPerson(d studytest.Drawn, n int) studytest.Drawn {
	d.Objects = slices.Clone(d.Objects)
	for old, now := range map[string]string{"SYN-" + string(d.Modality): fmt.Sprintf("SYN-%02d", n), "SYN" + string(d.Modality) + "1": fmt.Sprintf("SYN%03d", n)} {
		for i, o := range d.Objects {
			d.Objects[i].File = bytes.ReplaceAll(o.File, []byte(old), []byte(now))
			d.Objects[i].DataSet = bytes.ReplaceAll(o.DataSet, []byte(old), []byte(now))
		}
	}
	return d
}

// holed draws a CT of which some slices never came: what is left is no evenly
// spaced volume.
func holed() (studytest.Drawn, error) {
	d, err := studytest.ChestCT(studytest.CT{Seed: 12, Slices: 24, StepMM: 2.5, Patient: "-HOLED"})
	if err == nil {
		d.Objects = slices.Concat(d.Objects[:8], d.Objects[13:])
	}
	return d, err
}

// drawnOf gives the studies alone.
func drawnOf(exams []exam) []studytest.Drawn {
	all := make([]studytest.Drawn, len(exams))
	for i, e := range exams {
		all[i] = e.Drawn
	}
	return all
}

// order tells the HL7 door of every order, as a hospital's system does before the
// images come.
func (d *Demo) order(ctx context.Context, h *house.House, exams []exam) error {
	dialer := &hl7.Dialer{Addr: h.HL7.Addr().String(), Timeout: 20 * time.Second}
	defer dialer.Close()
	sent := 0
	for i, e := range exams {
		if e.Order == nil {
			continue
		}
		message, err := orderOf(e, i)
		if err == nil {
			var ack hl7.Ack
			if ack, err = dialer.Send(ctx, message); err == nil {
				err = ack.Err()
			}
		}
		if err != nil {
			err = fmt.Errorf("order for %s: %w", e.Name, err)
			d.step("ordered", err, "")
			return err
		}
		sent++
	}
	d.step("ordered", nil, "%d orders by HL7, before their images", sent)
	return nil
}

// orderOf writes an OMI^O23, the order for an imaging study.
func orderOf(e exam, n int) ([]byte, error) {
	head, err := dicom.Scan(bytes.NewReader(e.Objects[0].File), dicom.ScanOptions{})
	if err != nil {
		return nil, err
	}
	now, id := time.Now(), fmt.Sprintf("DEMO%d", n)
	name := strings.Split(head.Data.Text(dicom.PatientName), "^")
	parts := make([]hl7.Component, len(name))
	for i, p := range name {
		parts[i] = hl7.Text(p)
	}
	var w hl7.Writer
	w.Add("MSH").Put(3, hl7.Text("RIS")).Put(4, hl7.Text("DEMO")).Put(5, hl7.Text("VARDE")).Put(7, hl7.Text(now.Format("20060102150405"))).
		Put(9, hl7.Text("OMI"), hl7.Text("O23"), hl7.Text("OMI_O23")).Put(10, hl7.Exact(id)).Put(11, hl7.Text("P")).Put(12, hl7.Text("2.5.1"))
	w.Add("PID").Put(3, hl7.Exact(head.Data.Text(dicom.PatientID))).Put(5, parts...).Put(7, hl7.Text(head.Data.Text(dicom.PatientBirthDate)))
	w.Add("ORC").Put(1, hl7.Text("NW")).Put(2, hl7.Exact("P"+id)).Put(3, hl7.Exact("F"+id))
	timing := w.Add("TQ1").Put(1, hl7.Text("1"))
	if e.Order.Due != 0 {
		timing.Put(8, hl7.Text(now.AddDate(0, 0, e.Order.Due).Format("20060102150405")))
	}
	timing.Put(9, hl7.Text(e.Order.Priority))
	w.Add("OBR").Put(1, hl7.Text("1")).Put(2, hl7.Exact("P"+id)).Put(3, hl7.Exact("F"+id))
	w.Add("IPC").Put(1, hl7.Exact("A"+id)).Put(2, hl7.Exact("R"+id)).Put(3, hl7.Exact(string(e.Study)))
	return w.Bytes()
}

// A demoPlace is one row of the reading order, as the demo shows it.
type demoPlace struct {
	N     int      `json:"n"`
	UID   string   `json:"study_uid"`
	Study string   `json:"study"`
	Class int      `json:"class"`
	Word  string   `json:"class_word"`
	Key   string   `json:"key"` // virtual arrival: Came less the head start
	Came  string   `json:"arrived"`
	AI    string   `json:"ai_state"`
	Why   []string `json:"why"`
	Hand  string   `json:"by_hand"` // why it stands there, told without the program
}

// list asks for the reading order and holds it against the one that is known by
// hand: by class, and in a class by the head start.
func (d *Demo) list(ctx context.Context, h *house.House, exams []exam) ([]demoPlace, error) {
	places, err := placesOf(ctx, h, d.Lang, exams)
	if err == nil {
		err = checkPlaces(places, exams)
	}
	d.step("placed", err, "%d studies stand in the order that the rule gives by hand", len(places))
	return places, err
}

func placesOf(ctx context.Context, h *house.House, lang string, exams []exam) ([]demoPlace, error) {
	body, err := get(ctx, h, "/api/v1/worklist?limit=1000&lang="+lang, "application/json")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var rows []struct {
		UID   string   `json:"study_uid"`
		Class int      `json:"class"`
		Key   string   `json:"key"`
		Came  string   `json:"received_at"`
		AI    string   `json:"ai_state"`
		Why   []string `json:"why"`
	}
	if err := json.NewDecoder(body).Decode(&rows); err != nil {
		return nil, fmt.Errorf("read the worklist: %w", err)
	}
	var places []demoPlace
	for _, r := range rows {
		i := slices.IndexFunc(exams, func(e exam) bool { return string(e.Study) == r.UID })
		if i < 0 {
			continue // of another run in the same folder
		}
		places = append(places, demoPlace{N: len(places) + 1, UID: r.UID, Study: exams[i].Name, Class: r.Class, Word: order.ClassWord(r.Class),
			Key: r.Key, Came: r.Came, AI: r.AI, Why: r.Why, Hand: exams[i].Why})
	}
	return places, nil
}

// checkPlaces says which exam stands before one that should be read first.
func checkPlaces(places []demoPlace, exams []exam) error {
	if len(places) < len(exams) {
		return fmt.Errorf("%d of %d studies stand in the worklist: %w", len(places), len(exams), study.ErrIncomplete)
	}
	turn := func(p demoPlace) int {
		return exams[slices.IndexFunc(exams, func(e exam) bool { return string(e.Study) == p.UID })].Turn
	}
	for i := 1; i < len(places); i++ {
		a, b := places[i-1], places[i]
		if turn(a) > turn(b) || a.Class > b.Class || a.Class == b.Class && a.counts().After(b.counts()) {
			return fmt.Errorf("%s (%s) stands before %s (%s): %w", a.Study, a.Hand, b.Study, b.Hand, study.ErrInvalid)
		}
	}
	return nil
}

// counts is the moment at which the exam counts as having come.
func (p demoPlace) counts() time.Time { return moment(p.Key) }

// headStart is by how much that lies before its coming.
func (p demoPlace) headStart() time.Duration { return moment(p.Came).Sub(p.counts()) }

func moment(text string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, text) // of our own API
	return t
}

// clock writes a time as a clock shows it, with the day where that is another one.
func clock(t, beside time.Time) string {
	t, beside = t.Local(), beside.Local()
	if t.YearDay() != beside.YearDay() {
		return t.Format("Jan 2 15:04:05.000")
	}
	return t.Format("15:04:05.000")
}

// printOrder shows the order with all that a reader needs to check it.
func (d *Demo) printOrder(places []demoPlace) {
	w := tabwriter.NewWriter(d.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nREADING ORDER\tCLASS\tAI\tARRIVED\tHEAD START\tCOUNTS AS\tBY HAND")
	for _, p := range places {
		fmt.Fprintf(w, "%2d  %s\t%s\t%s\t%s\t%d min\t%s\t%s\n", p.N, p.Study, p.Word, p.AI, clock(moment(p.Came), moment(p.Came)),
			int(p.headStart().Minutes()), clock(p.counts(), moment(p.Came)), p.Hand)
	}
	_ = w.Flush()
	fmt.Fprintln(d.Out, "To check it: classes stand as stat, overdue, pathway, routine; within one, by COUNTS AS, which is ARRIVED less HEAD START.")
}
