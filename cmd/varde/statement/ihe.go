package statement

import (
	"fmt"
	"slices"

	"varde/cmd/varde/settings"
)

// integrationFacts are what the IHE integration statement is made from.
type integrationFacts struct {
	Version  string     `json:"version"`
	AET      string     `json:"ae_title"`
	Claims   []ihe      `json:"actors"`
	Partners []ihe      `json:"transactions"`
	Not      []notClaim `json:"not_claimed"`
}

// An ihe is one actor of a profile, or one transaction, and whether it holds as
// this installation is set.
type ihe struct {
	Profile string   `json:"profile"`
	Actor   string   `json:"actor"`
	Holds   bool     `json:"holds"`
	What    []string `json:"what"` // options, content and transactions that hold
	Why     string   `json:"why"`  // what it rests on, or what it lacks
}

type notClaim struct {
	Profile string `json:"profile"`
	Actor   string `json:"actor"`
	Why     string `json:"why"`
}

// integration gathers which actors hold. What is claimed is what the code does with
// these settings; none of it was shown at a Connectathon.
func integration(s settings.Settings, entries []Model) integrationFacts {
	c := conformance(s, entries)
	written := map[string]bool{}
	for _, k := range c.Written {
		written[k.Kind] = true
	}
	var archives []destinationOf
	for _, d := range c.Destinations {
		if d.Sort == settings.ByDIMSE || d.Sort == settings.BySTOW {
			archives = append(archives, d)
		}
	}
	gets := func(kind string) bool {
		return slices.ContainsFunc(archives, func(d destinationOf) bool { return slices.Contains(d.Kinds, kind) })
	}
	commits := slices.ContainsFunc(archives, func(d destinationOf) bool { return d.Commit })
	door := len(c.Provided) > 0
	f := integrationFacts{Version: c.Version, AET: c.AET, Not: notClaimed(written)}
	f.Claims = []ihe{
		evidenceCreator(written, gets, commits, len(archives) > 0),
		actor("Key Image Note (KIN)", "Evidence Creator", gets("kos"), "no DICOM destination is sent `kos`", "key image note stored, RAD-29"),
		actor("Consistent Presentation of Images (CPI)", "Evidence Creator", gets("gsps"), "no DICOM destination is sent `gsps`", "creator presentation state stored, RAD-19"),
	}
	if written["reject"] {
		f.Claims = append(f.Claims, actor("Imaging Object Change Management (IOCM)", "Change Requester", len(archives) > 0,
			"there is no DICOM destination", "rejection note stored, RAD-66, at every archive that has objects of a result that is recalled"))
	}
	take := func(name, peer string, holds bool, what string) ihe {
		return actor(name, peer, holds, "", what)
	}
	f.Partners = []ihe{
		take("RAD-8, RAD-18, RAD-43", "Acquisition Modality, Evidence Creator", door, "objects of any storage class are taken"),
		take("RAD-10", "Acquisition Modality, Evidence Creator", door, "storage commitment is given"),
		take("RAD-6, RAD-7, RAD-20, RAD-21", "Acquisition Modality, Evidence Creator", door, "performed procedure steps are heard, for how long a study is waited for; they are not forwarded"),
		take("RAD-49", "Image Manager", door, "instance availability is heard, for the same"),
		take("RAD-14, RAD-16", "Image Display", door, "what is held is found and moved: own results and what they are about"),
		take("RAD-14, RAD-16", "Image Manager", c.Archive != "" || c.AskSenders, "what a study lacks and priors are asked for"),
		take("RAD-4, RAD-13", "Order Filler", c.HL7 != "", "orders and their changes: priority, deadline, pathway"),
		take("RAD-12", "ADT Patient Registration", c.HL7 != "", "patients are updated and merged"),
		take("RAD-107, RAD-108, RAD-129", "Imaging Document Consumer and Source", c.HTTP != "", "WADO-RS, STOW-RS and QIDO-RS are answered"),
	}
	return f
}

// actor makes a claim, and says why it does not hold where it does not.
func actor(profile, name string, holds bool, lacks string, what ...string) ihe {
	if !holds {
		return ihe{profile, name, false, []string{}, lacks}
	}
	return ihe{profile, name, true, what, ""}
}

// evidenceCreator is what this product is in IHE's words.
func evidenceCreator(written map[string]bool, gets func(string) bool, commits, archives bool) ihe {
	a := ihe{Profile: "AI Results (AIR)", Actor: "Evidence Creator", Holds: written["sr"] && archives && gets("sr"), What: []string{}}
	if !a.Holds {
		a.Why = "no DICOM destination is sent `sr`; results are found by query here"
		return a
	}
	a.What = append(a.What, "evidence documents stored, RAD-43: root TID 1500, Comprehensive 3D SR",
		"qualitative findings, measurements, locations, regions, tracking identifiers, image references")
	for _, more := range []struct{ kind, what string }{
		{"seg", "regions as segmentations: heatmaps of slides"}, {"mask", "regions as segmentations: what networks drew"},
		{"pm", "parametric maps"}, {"ann", "bulk annotations of slides"},
	} {
		if gets(more.kind) {
			a.What = append(a.What, more.what+" (`"+more.kind+"`)")
		}
	}
	if commits {
		a.What = append(a.What, "storage commitment, RAD-10")
	} else {
		a.Why = "without storage commitment: no destination is written with `+commit`"
	}
	return a
}

// notClaimed says what one could look for and does not find.
func notClaimed(written map[string]bool) []notClaim {
	all := []notClaim{
		{"AI Results (AIR)", "Image Display, Imaging Document Consumer, Image Manager/Archive", "the pages show our own results, and not those of others"},
		{"AI Workflow for Imaging (AIW-I)", "Task Requester, Task Manager, Task Performer, Watcher", "work is planned by what a study is, and not by workitems: RAD-80 to RAD-88 and RAD-109 are not offered to those who would ask for AI"},
		{"AI Result Assessment for Imaging (AIRAI)", "all", "verdicts of readers are kept here, and in no form of the profile"},
		{"Scheduled Workflow (SWF.b)", "Image Manager/Archive, Order Filler, Evidence Creator", "a part of their transactions is answered (see 2); a modality worklist is neither asked nor given"},
		{"Results Distribution", "Report Creator", "HL7 messages tell of AI results with the study and the numbers where RAD-128 has them; they are no physician's report"},
		{"Post-Acquisition Workflow (PAWF)", "all", "as AIW-I"},
		{"Cross-Enterprise Document Sharing for Imaging (XDS-I.b)", "all", "nothing is published to a registry"},
		{"Audit Trail and Node Authentication (ATNA)", "Secure Node", "TLS by BCP 195 and an audit trail are there; it is not sent by syslog"},
		{"Consistent Time (CT)", "Time Client", "the operating system keeps the time"},
		{"Digital Pathology Image Acquisition (DPIA)", "Image Manager/Archive", "slides, specimens and containers are read; the profile was not tried"},
	}
	if !written["reject"] {
		all = append(all, notClaim{"Imaging Object Change Management (IOCM)", "Change Requester", "no rejection note is written"})
	}
	return append(all, notClaim{"Imaging Object Change Management (IOCM)", "Image Manager/Archive", "rejection notes of others are kept as objects and change nothing"})
}

// Summary counts what holds.
func (f integrationFacts) Summary() string {
	n := 0
	for _, a := range f.Claims {
		if a.Holds {
			n++
		}
	}
	return fmt.Sprintf("%d of %d", n, len(f.Claims))
}
