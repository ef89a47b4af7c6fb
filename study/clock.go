package study

import "time"

// Names is one name in the languages that Varde speaks.
type Names struct {
	EN string `json:"en" toml:"en"`
	NB string `json:"nb" toml:"nb"`
	DA string `json:"da" toml:"da"`
}

// In gives the name in a language: en, nb or da. A name that is missing there is
// the English one.
func (n Names) In(lang string) string {
	switch {
	case lang == "nb" && n.NB != "":
		return n.NB
	case lang == "da" && n.DA != "":
		return n.DA
	}
	return n.EN
}

// A Clock is one running limit of a pathway: the step that a study belongs to, what
// started it, and when it is over. The zero Clock runs nowhere.
type Clock struct {
	Pathway  string    `json:"pathway"` // the table's code
	Name     Names     `json:"name"`
	Step     string    `json:"step"`
	StepName Names     `json:"step_name"`
	By       string    `json:"by"`   // what put the study into the pathway: order, diagnosis
	From     string    `json:"from"` // the event that the limit counts from: referral, order, arrival
	Since    time.Time `json:"since"`
	Due      time.Time `json:"due"`
	Table    string    `json:"table"` // the version of the tables
}

// Zero reports whether no clock runs.
func (c Clock) Zero() bool { return c.Pathway == "" }

// A Remark is what an order says of a patient that a reader must know and that
// never moves a study: no more imaging in a palliative phase, no resuscitation.
type Remark struct {
	Kind string `json:"kind"`
	Name Names  `json:"name"`
	Code string `json:"code"` // that said so
}

// A Timed is what an order starts and says by a table of pathways.
type Timed struct {
	Clock   Clock
	Remarks []Remark
}

// A Timer reads an order by the tables of pathways; arrived is when its study's
// first image came. It decides by its arguments alone.
type Timer func(o Order, arrived time.Time) Timed

// A Waiting is a study in the line of its modality.
type Waiting struct {
	Study    UID
	Modality Modality
	Class    int
	Deadline time.Time // zero when none is known
}

// Reads is how many studies of one modality were read in one hour.
type Reads struct {
	Modality Modality
	Hour     time.Time // when it began
	Count    int
}

// An AILayer says whether models answer at all.
type AILayer string

// The states of the AI layer.
const (
	AIUp   AILayer = "up"
	AIDown AILayer = "down" // models are in use, and no worker answers for them
	AINone AILayer = "none" // no model is in use
)
