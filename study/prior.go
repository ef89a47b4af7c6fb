package study

import "time"

// A Prior is an earlier study of a patient that we asked an archive for, because a
// study of the same patient had come. It is no new work: it does not stand on the
// worklist, and no model is asked unless a site wants that. A study that is pushed
// to us later is no prior any more.
type Prior struct {
	Study    UID // the prior
	Of       UID // the study for which it was asked first
	AE       string
	How      string // "get" or "move"; empty until it came
	State    string // wanted, fetched, failed, or pushed by a sender since
	Evidence PriorEvidence
	Objects  int // that the archive has
	AskedAt  time.Time
	At       time.Time // when it came; zero until then
	Error    string
}

// PriorEvidence is what an archive says of a prior: why it is one. It names no
// patient.
type PriorEvidence struct {
	Date       string   `json:"date"`       // Study Date, YYYYMMDD
	Modalities []string `json:"modalities"` // in Study
	BodyParts  []string `json:"body_parts,omitempty"`
	Matched    []string `json:"matched"` // what agreed with the study: attributes by their keywords
}
