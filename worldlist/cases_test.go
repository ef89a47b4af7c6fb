package worldlist_test

import (
	"crypto/sha256"
	"fmt"
	"time"

	"varde/study"
	"varde/worldlist/order"
)

func hash(s string) study.Hash { return sha256.Sum256([]byte(s)) }

var (
	nodules = study.ModelRef{ID: "ct-nodule-candidates", Version: "1.0.0", SHA256: hash("ct")}
	nuclei  = study.ModelRef{ID: "he-nuclear-density", Version: "1.0.0", SHA256: hash("he")}
	calc    = study.ModelRef{ID: "mg-microcalcifications", Version: "1.0.0", SHA256: hash("mg")}
	names   = map[string]string{nodules.ID: "CT nodule candidates", nuclei.ID: "H&E nuclear density", calc.ID: "Mammographic microcalcification candidates", mitoses.ID: "H&E mitoses"}
)

// The studies with images.
const (
	chestCT     study.UID = "2.25.101"
	mammogram   study.UID = "2.25.102"
	prostate    study.UID = "2.25.103"
	unseenCT    study.UID = "2.25.104" // partial
	failedCT    study.UID = "2.25.105"
	outOfScope  study.UID = "2.25.106"
	runningCT   study.UID = "2.25.107"
	stoppedMG   study.UID = "2.25.108"
	quietCT     study.UID = "2.25.109"
	undecodable study.UID = "2.25.110"
	dermatology study.UID = "2.25.111"
)

// one makes a case and places it.
func one(uid study.UID, name, exam string, m study.Modality, arrived time.Time, p study.Priority, due time.Time, results ...study.Result) study.Case {
	n := string(uid[len(uid)-3:])
	s := study.Study{
		UID: uid, Status: study.Reported, Rev: 1, Modality: m, Priority: p, Description: exam,
		Patient:   study.NewPatient(study.Person{ID: "PID-" + n, Name: name, Birth: "19580412", Sex: "F"}),
		Accession: "ACC-20" + n, Date: arrived.Format("20060102"), ReceivedAt: arrived, SettledAt: arrived.Add(time.Minute), Instances: 24, Sender: "CT1",
	}
	for i := range results {
		r := &results[i]
		r.Study, r.Rev, r.Name = uid, 1, names[r.Model.ID]
		r.Ran = study.Provenance{Runtime: "1.28.2", Library: hash("library"), Route: "module", Provider: "cpu", Decoders: []string{"varde-native 1"}, Card: hash("card"), Varde: "0.1.0"}
	}
	if len(results) > 0 && results[0].AI == study.Running {
		s.Status, results = study.Scoring, nil
	}
	s.Place = order.Place(study.PlaceFacts{ArrivedAt: arrived, Priority: p, Deadline: due, Results: results})
	return study.Case{Study: s, Results: results}
}

func ran(m study.ModelRef, ai study.AIState, planned, seen int) study.Result {
	return study.Result{Model: m, AI: ai, Planned: planned, Seen: seen, Seconds: 3.42, Parameters: "candidate at 0.5, flagged from 1 finding"}
}

// newWard makes a ward of eleven studies, one in each situation that a reader
// can meet.
func newWard() *ward {
	day := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	at := func(h, m int) time.Time { return day.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute) }
	stopped := ran(calc, study.Failed, 0, 0)
	stopped.Reason = study.Reason{Code: study.ReasonStopped}
	failed := ran(nodules, study.Failed, 24, 0)
	failed.Reason = study.Reason{Code: study.ReasonInternal}
	outside := ran(nodules, study.OutOfScope, 0, 0)
	outside.Reason = study.Reason{Code: study.ReasonSpacing, Detail: "7.5 mm"}
	partial := ran(nodules, study.Uncertain, 24, 17)
	partial.Reason = study.Reason{Code: study.ReasonTransferSyntax, Detail: "7 images"}

	w := &ward{cases: map[study.UID]*study.Case{}, instances: map[study.UID][]study.Instance{}, counts: map[study.Status]int{}}
	for _, c := range []study.Case{
		one(chestCT, "Hansen^Kari", "CT thorax", study.CT, at(13, 11), study.PriorityPathway, at(48, 0), noduleResult()),
		one(mammogram, "Østergård^Åse", "Mammography, screening", study.MG, at(12, 2), "", at(96, 0), clusterResult()),
		one(prostate, "Sørensen^Bjørn", "Prostate biopsy, H&E", study.SM, at(9, 30), study.PriorityPathway, at(-20, 0), densityResult()),
		one(unseenCT, "Nilsen^Ola", "CT thorax with contrast", study.CT, at(10, 45), "", time.Time{}, partial),
		one(failedCT, "Jensen^Mette", "CT thorax low dose", study.CT, at(8, 5), "", time.Time{}, failed),
		one(outOfScope, "Berg^Ingrid", "CT sinus", study.CT, at(7, 50), "", time.Time{}, outside),
		one(runningCT, "Lund^Per", "CT thorax", study.CT, at(14, 21), study.PriorityStat, time.Time{}, ran(nodules, study.Running, 24, 0)),
		one(stoppedMG, "Dahl^Liv", "Mammography, clinical", study.MG, at(11, 15), study.PriorityUrgent, at(24, 0), stopped),
		one(quietCT, "Holm^Anders", "CT thorax follow-up", study.CT, at(6, 40), "", time.Time{}, ran(nodules, study.NotFlagged, 24, 24)),
		one(undecodable, "Vik^Tor", "US abdomen", "US", at(5, 15), "", time.Time{}),
		one(dermatology, "Moe^Eva", "Dermatology photo", "OT", at(4, 15), "", time.Time{}),
	} {
		w.cases[c.Study.UID] = &c
	}
	for _, uid := range []study.UID{undecodable, dermatology} {
		w.cases[uid].Study.Note = study.ReasonNoModel
		w.cases[uid].Study.Status = study.Settled
	}
	w.cases[chestCT].Reports = []study.Report{{Kind: "sr", UID: "2.25.9001", Series: "2.25.9000", Study: chestCT, Model: nodules,
		Deliveries: []study.Delivery{{Destination: "PACS", Status: "delivered", At: at(13, 13)}, {Destination: "ARCHIVE", Status: "waiting", Tries: 3, Error: "connection refused"}}}}
	w.addImages()
	return w
}

func (w *ward) addImages() {
	for _, uid := range []study.UID{chestCT, unseenCT, quietCT} {
		for n := range ctSlices {
			w.instances[uid] = append(w.instances[uid], study.Instance{
				UID: study.UID(fmt.Sprintf("%s.1.%d", uid, n+1)), Series: uid + ".1", Study: uid, Modality: study.CT, Number: n + 1, SeriesText: "Thorax 2.0 B30",
				Image: &study.Image{Rows: ctSide, Columns: ctSide, Frames: 1, Samples: 1, BitsAllocated: 16, BitsStored: 12, Photometric: "MONOCHROME2",
					Slope: 1, Intercept: -1024, HasRescale: true, WindowCenter: -600, WindowWidth: 1500, SpacingMM: [2]float64{0.9, 0.9}, SpacingKind: "pixel"},
			})
		}
	}
	for i, view := range []string{"R-CC", "L-CC"} {
		w.instances[mammogram] = append(w.instances[mammogram], study.Instance{
			UID: study.UID(fmt.Sprintf("%s.1.%d", mammogram, i+1)), Series: mammogram + ".1", Study: mammogram, Modality: study.MG, Number: i + 1, SeriesText: view,
			Image: &study.Image{Rows: mammogramRows, Columns: mammogramColumns, Frames: 1, Samples: 1, BitsAllocated: 16, BitsStored: 12, Photometric: "MONOCHROME2",
				SpacingMM: [2]float64{0.1, 0.1}, SpacingKind: "imager"},
		})
	}
	w.addSlide(prostate, 1, "H&E", slideColumns, slideRows)
	w.instances[undecodable] = []study.Instance{{UID: undecodable + ".1.1", Series: undecodable + ".1", Study: undecodable, Modality: "US", Number: 1,
		Image: &study.Image{Rows: 64, Columns: 64, Frames: 1, Samples: 1, BitsAllocated: 8, BitsStored: 8, Photometric: "MONOCHROME2"}}}
	w.instances[dermatology] = []study.Instance{{UID: dermatology + ".1.1", Series: dermatology + ".1", Study: dermatology, Modality: "OT", Number: 1,
		Image: &study.Image{Rows: 240, Columns: 320, Frames: 1, Samples: 3, BitsAllocated: 8, BitsStored: 8, Photometric: "RGB"}}}
}

var (
	mm       = study.Code{Value: "mm", Scheme: "UCUM", Meaning: "millimeter"}
	perMM2   = study.Code{Value: "/mm2", Scheme: "UCUM", Meaning: "per square millimeter"}
	diameter = study.Code{Value: "M-02550", Scheme: "SRT", Meaning: "Diameter"}
)

func noduleResult() study.Result {
	r := ran(nodules, study.Flagged, 24, 24)
	find := func(n int, slice int, x, y, radius, size float64) study.Finding {
		return study.Finding{
			Number: n, Tracking: study.UID(fmt.Sprint("2.25.77700", n)), What: study.Code{Value: "27925004", Scheme: "SCT", Meaning: "Nodule"}, Site: study.Code{Value: "39607008", Scheme: "SCT", Meaning: "Lung"},
			Regions:      []study.Region{{Instance: study.UID(fmt.Sprintf("%s.1.%d", chestCT, slice)), Frame: 1, Frames: 1, Shape: study.Circle, Points: []float64{x, y, x + radius, y}}},
			Measurements: []study.Measurement{{Name: diameter, Value: size, Unit: mm}},
		}
	}
	r.Findings = []study.Finding{find(1, noduleAt, noduleX, noduleY, noduleR, 9), find(2, 17, 84.5, 140.5, 3, 4.6)}
	r.Measurements = []study.Measurement{{Name: study.Code{Meaning: "Candidates"}, Value: 2, Unit: study.Code{Value: "{candidates}"}}}
	return r
}

func clusterResult() study.Result {
	r := ran(calc, study.Flagged, 2, 2)
	p := 0.31
	r.Probability, r.Calibrated = &p, true
	r.Frequency = &study.Frequency{Like: study.Rate{Share: p, Low: 0.2341, High: 0.3978, N: 120}, Wrong: &study.Rate{Share: 0.69, Low: 0.661, High: 0.719, N: 1012},
		Cases: 1204, From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 6, 30, 0, 0, 0, 0, time.UTC), Place: "Northern hospital"}
	r.Labels = []study.Label{
		{Name: "calc", What: study.Code{Meaning: "Microcalcification"}, AI: study.Flagged},
		{Name: "mass", What: study.Code{Meaning: "Mass"}, AI: study.NotFlagged},
		{Name: "density", What: study.Code{Meaning: "Breast density"}, AI: study.Uncertain, Grade: &study.Code{Meaning: "Heterogeneously dense"}},
	}
	r.Findings = []study.Finding{{Number: 1, What: study.Code{Meaning: "Cluster of microcalcifications"}, Laterality: study.Code{Meaning: "Right"}, Probability: &p,
		Regions: []study.Region{{Instance: mammogram + ".1.1", Frame: 1, Frames: 1, Shape: study.Circle, Points: []float64{clusterX, clusteY + 4, clusterX + 14, clusteY + 4}}}}}
	return r
}

func densityResult() study.Result {
	r := ran(nuclei, study.Uncertain, 138, 138)
	box := []float64{2200, 700, 3000, 700, 3000, 1500, 2200, 1500, 2200, 700}
	r.Findings = []study.Finding{{Number: 1, What: study.Code{Meaning: "Region of high nuclear density"},
		Regions:      []study.Region{{Instance: prostate + ".1.1", Frame: 1, Frames: 192, Shape: study.Outline, Points: box, Total: true}},
		Measurements: []study.Measurement{{Name: study.Code{Meaning: "Nuclear density"}, Value: 13460, Unit: perMM2}}}}
	r.Measurements = []study.Measurement{{Name: study.Code{Meaning: "Mean nuclear density"}, Value: 2210, Unit: perMM2}}
	return r
}

// many adds n quiet studies without images.
func (w *ward) many(n int) *ward {
	arrived := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	for i := range n {
		c := one(study.UID(fmt.Sprintf("2.25.5%05d", i)), fmt.Sprintf("Test%05d^A", i), "CT thorax", study.CT, arrived.Add(time.Duration(i)*time.Second), "", time.Time{}, ran(nodules, study.NotFlagged, 1, 1))
		w.cases[c.Study.UID] = &c
	}
	return w
}
