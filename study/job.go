package study

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A ModelRef names one version of one model by its identity and by the content
// of its network file. Two versions are two models: approved, watched and
// stopped apart.
type ModelRef struct {
	ID      string `json:"model"`
	Version string `json:"version"`
	SHA256  Hash   `json:"model_sha256"`
}

// String gives id@version.
func (m ModelRef) String() string { return m.ID + "@" + m.Version }

// A Lane is a line of jobs. All of a lane is served before the next.
type Lane int

// The lanes, in the order in which they are served.
const (
	Stat Lane = iota
	Urgent
	Pathway
	Routine
	Backfill
)

// Lanes lists them in order.
var Lanes = [...]Lane{Stat, Urgent, Pathway, Routine, Backfill}

var laneNames = [...]string{"stat", "urgent", "pathway", "routine", "backfill"}

// String gives the lane's name.
func (l Lane) String() string {
	if l < 0 || int(l) >= len(laneNames) {
		return fmt.Sprintf("lane(%d)", int(l))
	}
	return laneNames[l]
}

// Lane gives the line in which a study of this priority is scored.
func (p Priority) Lane() Lane {
	switch p {
	case PriorityStat:
		return Stat
	case PriorityUrgent:
		return Urgent
	case PriorityPathway:
		return Pathway
	}
	return Routine
}

// A Tile is a rectangle of pixels that a model sees as one piece: a slice of a
// volume, a whole projection image, or a patch of one level of a slide.
type Tile struct {
	// Instance holds the frame. For a slide it names the level: the first
	// instance of the level, whose neighbors in a concatenation belong to it.
	Instance UID `json:"i"`
	Frame    int `json:"f,omitempty"` // from 0; unused on a slide
	X        int `json:"x,omitempty"` // in pixels of the frame, or of the level's total matrix
	Y        int `json:"y,omitempty"`
	W        int `json:"w"`
	H        int `json:"h"`
	// Context marks a slice that a block needs for its surroundings only: it
	// is planned, counted and searched in another block.
	Context bool `json:"c,omitempty"`
}

// A Kind of pixels decides how tiles become tensors.
type Kind string

// The kinds.
const (
	Patches Kind = "patches" // of a slide, in color, each on its own
	Volume  Kind = "volume"  // slices that together are a volume
	Images  Kind = "images"  // projections and single frames, each on its own
)

// A Block is the piece of a study that one job scores: at most 256 patches or 64
// slices, few enough that a worker which dies loses seconds of work.
type Block struct {
	Kind   Kind   `json:"kind"`
	Series UID    `json:"series"`
	Tiles  []Tile `json:"tiles"` // slices are in order along the volume's normal
	// The planes of the resampled volume that this block answers for, First
	// to Last inclusive, plane n lying StepMM·n beyond OriginMM along the
	// normal. Unused for other kinds.
	First    int     `json:"first,omitempty"`
	Last     int     `json:"last,omitempty"`
	OriginMM float64 `json:"origin_mm,omitempty"`
	StepMM   float64 `json:"step_mm,omitempty"`
	// CornerMM is where all slices are moved to before they become planes, in mm
	// along their rows and columns: slices of a tilted gantry lie beside each
	// other. nil leaves them where they are.
	CornerMM *[2]float64 `json:"corner_mm,omitempty"`
	// Beyond are patches of other blocks that reach into this one's: they are not
	// looked at here, and what several patches cover belongs to the last of them.
	Beyond []Tile `json:"beyond,omitempty"`
	// Stain is how the colors of the block's slide are changed before the network
	// sees them; nil leaves them as they are.
	Stain *Stain `json:"stain,omitempty"`
}

// The ways to bring the stain of a slide to that of a reference.
const (
	StainMacenko  = "macenko"
	StainReinhard = "reinhard"
)

// A Stain is what was measured of a slide's colors, once for all of its blocks,
// so that whoever scores a block, now or later, changes the colors alike.
type Stain struct {
	Method string `json:"method"`
	// Vectors are the optical densities in red, green and blue of hematoxylin
	// and of eosin, each of length 1, and Strong the concentration of each that
	// 1 % of the tissue exceeds (Macenko).
	Vectors [2][3]float64 `json:"vectors,omitzero"`
	Strong  [2]float64    `json:"strong,omitzero"`
	// Mean and Deviation of the tissue in the three channels of lαβ (Reinhard).
	Mean      [3]float64 `json:"mean,omitzero"`
	Deviation [3]float64 `json:"deviation,omitzero"`
}

// Planned is how many tiles the block answers for.
func (b Block) Planned() int {
	n := 0
	for _, t := range b.Tiles {
		if !t.Context {
			n++
		}
	}
	return n
}

// A Task is what a job does.
type Task string

// The tasks of a study, in their order.
const (
	TaskScore    Task = "score"    // run a model over a block
	TaskConclude Task = "conclude" // draw one model's result from its parts
	TaskReport   Task = "report"   // write and keep the report of one result
	TaskVerify   Task = "verify"   // write what a reader made of one result
	TaskPatient  Task = "patient"  // write one result anew, for its patient's facts were corrected
	TaskWithdraw Task = "withdraw" // tell whoever has the report of a result that it does not hold any more
)

// The pools of workers. A job waits in the lane of its pool.
const (
	PoolCPU    = "cpu"    // runs models on processors
	PoolGPU    = "gpu"    // runs models on GPUs, and on processors where a card allows that
	PoolReport = "report" // concludes and reports
)

// A Job is one piece of work of one model on one study.
type Job struct {
	ID        string // made from what it asks for: doing it twice is doing it once
	Study     UID
	Rev       int
	Task      Task
	Model     ModelRef
	Part      int // from 0; 0 for conclude and report
	Block     Block
	Pool      string
	Lane      Lane
	DueAt     time.Time
	CreatedAt time.Time
	EstMS     int64 // estimated compute, milliseconds
	Attempt   int   // deliveries so far; a worker's result is kept only if it still bears this number
	Fails     int   // its own errors
	Lost      int   // deaths of its worker
}

// JobID names a job by all that it asks for. plan is [Plan.Hash], which covers
// the objects, the tiles and the card.
func JobID(study UID, rev int, plan Hash, task Task, model ModelRef, part int) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%s\x00%s\x00%s\x00%s\x00%d",
		study, rev, plan, task, model, model.SHA256, part))
	return string(task) + "-" + hex.EncodeToString(h[:12])
}

// A ModelPlan is what one model is asked about one study. Without blocks it
// says why the model is not asked.
type ModelPlan struct {
	Model ModelRef
	// Name and CE are the card's: what the model is called, and what stands beside its
	// CE mark, empty for one without. A result that no model made bears them too.
	Name   string `json:",omitempty"`
	CE     string `json:",omitempty"`
	Card   Hash   // of the card, which decides how tensors are made and read
	Shadow bool   // its result is kept for comparison and shown to no reader
	Pool   string
	// Concludes is the pool whose workers conclude; empty is [PoolReport]. A model
	// whose second network judges a slide needs one that runs networks.
	Concludes string `json:",omitempty"`
	EstMS     int64  // of one block
	Blocks    []Block
	State     AIState // out_of_scope or failed when there are no blocks, else running
	Reason    Reason  // why there are no blocks, or why some pixels are left out
	Unseen    int     // tiles that belong to the plan and can't be asked: they make the result partial
	Planned   int     // all tiles that the model should see, those of Unseen included
	// Slides tells slide by slide what is asked, in the order of their series, so
	// that a slide which is left out can be named. It is of patches alone.
	Slides []SlidePlan `json:",omitempty"`
	// Corrects is the result's where the model is not asked: see [Result].
	Corrects bool `json:",omitempty"`
}

// A SlidePlan is what one model is asked about one slide.
type SlidePlan struct {
	Series  UID
	Planned int     // tiles; 0 when the slide is not scored
	State   AIState // out_of_scope or failed when it is not scored, else running
	Reason  Reason  `json:",omitzero"` // why it is not scored
}

// A Plan is everything that is asked about one state of one study.
type Plan struct {
	Study     UID
	Rev       int
	Instances []Hash // what the plan was made from, sorted
	Lane      Lane
	Models    []ModelPlan // sorted by model
	Note      Reason      // why no model is asked at all
}

// Hash covers the objects, the tiles and the cards, and not the revision. What is
// copied from a card is covered by the card's own.
func (p Plan) Hash() Hash {
	asked := slices.Clone(p.Models)
	for i := range asked {
		asked[i].Name, asked[i].CE = "", ""
	}
	b, err := json.Marshal(struct {
		Study     UID
		Instances []Hash
		Models    []ModelPlan
	}{p.Study, p.Instances, asked})
	if err != nil {
		panic("a plan is plain values: " + err.Error())
	}
	return sha256.Sum256(b)
}

// A Reason is a cause in the ledger's words: a code that pages and reports turn
// into the reader's language, and a detail that needs no translation (a UID, a
// number with its unit). It never holds a person.
type Reason struct {
	Code   string `json:"code,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// The reasons. Pages and reports have a text for each (locale key "reason.CODE").
const (
	ReasonNoModel        = "no_model"        // no live model is for this kind of study
	ReasonNoImages       = "no_images"       // it holds reports and documents only: unless it was ordered it does not wait to be read
	ReasonPrior          = "prior"           // an earlier study, fetched to compare with
	ReasonModality       = "modality"        // the model is for another modality
	ReasonBodyPart       = "body_part"       // … another part of the body
	ReasonIntent         = "intent"          // … the other of FOR PRESENTATION and FOR PROCESSING
	ReasonView           = "view"            // … another projection
	ReasonLaterality     = "laterality"      // … the other side
	ReasonAge            = "age"             // … another age
	ReasonSex            = "sex"             // … the other sex
	ReasonScanner        = "scanner"         // … another make of scanner
	ReasonThickness      = "thickness"       // … thicker or thinner slices
	ReasonAcquisition    = "acquisition"     // … images taken in another way: tube voltage, field, kernel
	ReasonStaining       = "staining"        // … another stain
	ReasonSpecimen       = "specimen"        // … another organ or kind of specimen
	ReasonGeometry       = "geometry"        // slices that are no orthogonal, evenly spaced volume
	ReasonSpacing        = "spacing"         // pixel spacing missing, implausible or too coarse
	ReasonTooFew         = "too_few"         // fewer images than the model needs
	ReasonPixels         = "pixels"          // photometric interpretation or depth that the model is not for
	ReasonTransferSyntax = "transfer_syntax" // pixels that this build cannot decode
	ReasonDamaged        = "damaged"         // pixels that are cut short or contradictory
	ReasonPositions      = "positions"       // a slide whose tiles have no certain place
	ReasonTissue         = "tissue"          // no tissue found: needs review
	ReasonStain          = "stain"           // a slide whose stain could not be measured
	ReasonEmpty          = "empty"           // an image without contrast, or without a body
	ReasonCropped        = "cropped"         // the body reaches over the edge of the image
	ReasonPolarity       = "polarity"        // a negative
	ReasonBlur           = "blur"            // no sharp edge: motion, or out of focus
	ReasonSaturated      = "saturated"       // too much of the body at the end of the range
	ReasonNoise          = "noise"           // noisier than the model is for
	ReasonCoverage       = "coverage"        // too little of the patient
	ReasonStopped        = "stopped"         // the model was stopped
	ReasonUnasked        = "unasked"         // images came after its answer, and the model is not in use for the study any more
	ReasonInternal       = "internal"        // tried again and again without success
	ReasonCanceled       = "canceled"        // an operator ended the work on the study
)

// Zero reports whether there is no reason.
func (r Reason) Zero() bool { return r.Code == "" }

// PixelReason reads why pixels must not be scored, as [Image.Trouble] tells it: a
// reason as [Reason.String] writes it, else words of which nothing more is known
// than that something is wrong with the pixels.
func PixelReason(trouble string) Reason {
	code, detail, _ := strings.Cut(trouble, ": ")
	switch code {
	case "":
		return Reason{}
	case ReasonSpacing, ReasonGeometry, ReasonTransferSyntax, ReasonPixels, ReasonDamaged, ReasonPositions:
		return Reason{Code: code, Detail: detail}
	}
	return Reason{Code: ReasonDamaged, Detail: trouble}
}

// String gives the code and the detail, for logs.
func (r Reason) String() string {
	if r.Detail == "" {
		return r.Code
	}
	return r.Code + ": " + r.Detail
}
