package study

import "time"

// An AIState is what a reader is told of the AI, in one word.
type AIState string

// The states. A result is not_flagged only when every planned tile was seen.
const (
	Flagged    AIState = "flagged"
	Uncertain  AIState = "uncertain"
	NotFlagged AIState = "not_flagged"
	Running    AIState = "running"
	Failed     AIState = "failed"       // AI did not answer: read normally
	OutOfScope AIState = "out_of_scope" // no model was meant for it: AI did not run
)

// A Score is what a model gave for one tile: its scalar outputs in the order in
// which the card lists them, and for a patch of a slide whatever else of it is one
// number, in the order that the card's Columns gives.
type Score struct {
	Tile   int       `json:"t"` // index in the block
	Values []float32 `json:"v"`
}

// A Candidate is a place where a map that the model gave rose above the card's
// threshold, one connected component; or what the model detected on a patch.
type Candidate struct {
	Tile    int         `json:"t"` // index in the block of the tile nearest to its center
	X       float64     `json:"x"` // center, pixels of that tile's frame, (0,0) the center of its first pixel
	Y       float64     `json:"y"`
	ZMM     float64     `json:"z,omitempty"` // along the volume's normal
	WidthMM float64     `json:"w"`           // largest extent in the plane
	Volume  float64     `json:"n"`           // mm³, or mm² of an image
	Peak    float32     `json:"p"`           // highest value within
	Mean    float32     `json:"m"`
	Patient *[3]float64 `json:"mm,omitempty"` // center in the patient's coordinates, mm
	Seam    *Seam       `json:"seam,omitempty"`
	// Of a detection on a slide: how wide and high its box is, both 0 for a
	// point, and whether it reaches the edge of its tile, beyond which it may go
	// on. X, Y and sizes on a slide are pixels of the level's total matrix, the
	// corner of the first pixel being (0,0).
	Box [2]float64 `json:"box,omitzero"`
	Cut bool       `json:"cut,omitempty"`
}

// A Seam joins the pieces of a candidate that goes on in the next block of its
// volume, or in any other of its slide. It holds whole numbers, so that the pieces add up to exactly what one
// block would have given.
type Seam struct {
	Voxels int64    `json:"n,omitempty"`  // of the map
	Sum    [3]int64 `json:"sum,omitzero"` // of their columns, rows and planes
	Value  int64    `json:"value"`        // sum of their values, in millionths
	// Scale is how many pixels of the tile's frame a column and a row of the map
	// have, and Voxel what one voxel has, mm³.
	Scale [2]float64 `json:"scale"`
	Voxel float64    `json:"voxel"`
	MM    [2]float64 `json:"mm,omitzero"` // a column and a row of a slide's map, mm
	// Hull is the outline of the candidate's shadow on the plane: corners of the
	// map's voxels, column and row in turn.
	Hull []int32 `json:"hull,omitempty"`
	// Low and High are the candidate's runs on the block's first and last plane,
	// where it touches them: row, first column, last column, and so on.
	Low  []int32 `json:"low,omitempty"`
	High []int32 `json:"high,omitempty"`
	// Runs and Edge are of slides, whose maps lie on one grid, column and row 0
	// at the corner of the level. Runs are all of the candidate's, and Edge those
	// parts of them that touch what another block answers for; both packed row
	// by row. They stand for Voxels, Sum, Hull, Low and High, which are empty then.
	Runs []byte `json:"runs,omitempty"`
	Edge []byte `json:"edge,omitempty"`
}

// Features are what a network says of each tile to another one that judges the
// slide by all of them. They lie in an object beside their part.
type Features struct {
	Key    string `json:"key"`
	SHA256 Hash   `json:"sha256"`
	Bytes  int64  `json:"bytes"`
	Count  int    `json:"n"`   // tiles: those of the part's scores, in their order
	Dim    int    `json:"dim"` // numbers of a tile
	// Values are the numbers, tile by tile. They are in the object alone.
	Values []float32 `json:"-"`
}

// A MapSum is what a map over a block's tiles adds up to, in whole numbers, so
// that blocks add up to exactly what one block would have given.
type MapSum struct {
	Output string  `json:"output"`
	Pixels int64   `json:"n"`     // of the map, each counted in one block
	Above  int64   `json:"above"` // those at or above the card's threshold
	Value  int64   `json:"value"` // sum of their values, in millionths
	Peak   float32 `json:"peak"`
	// Scale is what one pixel of the map measures, mm, across and down.
	Scale [2]float64 `json:"scale"`
}

// A Miss is a planned tile that went unseen.
type Miss struct {
	Tile   int    `json:"t"`
	Reason Reason `json:"r"`
}

// A Part is what one job found in one block. Scores and candidates are in the
// order of the tiles, so that two runs over the same bytes give the same Part
// except for Seconds.
type Part struct {
	Job        string      `json:"job"`
	Study      UID         `json:"study"`
	Rev        int         `json:"rev"`
	Model      ModelRef    `json:"model"`
	Index      int         `json:"part"`
	Block      Block       `json:"block"`
	Scores     []Score     `json:"scores"`
	Candidates []Candidate `json:"candidates,omitempty"`
	Maps       []MapSum    `json:"maps,omitempty"`     // of patches, in the card's order
	Features   *Features   `json:"features,omitempty"` // of patches, when the card asks for them
	Masks      *Masks      `json:"masks,omitempty"`    // what a network drew over slices and images
	Chances    *Chances    `json:"chances,omitempty"`  // of the voxels of slices and images, when the card has them kept
	Looks      []Look      `json:"looks,omitempty"`    // what the input gate measured, in the order of the tiles
	Missed     []Miss      `json:"missed,omitempty"`
	Seconds    float64     `json:"seconds"`
	Ran        Provenance  `json:"ran"`
}

// Provenance is what ran: enough to run it again.
type Provenance struct {
	Runtime  string   `json:"runtime"`        // ONNX Runtime's version
	Library  Hash     `json:"library_sha256"` // of the library file
	Route    string   `json:"route"`          // configured, beside, system, module
	Provider string   `json:"provider"`       // cpu, cuda, tensorrt, openvino, webgpu
	Decoders []string `json:"decoders"`       // names and versions, sorted
	Card     Hash     `json:"card_sha256"`
	Varde    string   `json:"varde"`
	// Fallback says why some or all of the network ran on the processor although
	// its card would rather have another provider; empty when nothing did.
	Fallback string `json:"fallback,omitempty"`
	// MIL is the hash of the second network, which judged each slide by the
	// features of all its tiles; zero where the model has none.
	MIL Hash `json:"mil_sha256,omitzero"`
	// CPU is the class of the processor, as far as numbers depend on it, and
	// Objects a digest of the names and hashes of all objects whose pixels were
	// asked for. Both are empty in results that were made before they were kept.
	CPU     string `json:"cpu,omitempty"`
	Objects Hash   `json:"objects_sha256,omitzero"`
	// Calibration is the hash of the calibration that made the probability; zero
	// where it is the model's own.
	Calibration Hash `json:"calibration_sha256,omitzero"`
}

// A Measurement is a coded number.
type Measurement struct {
	Name  Code    `json:"name"`
	Value float64 `json:"value"`
	Unit  Code    `json:"unit"` // UCUM
	// Chance says that this is a model's probability of something. It is shown to
	// readers only where the result is calibrated.
	Chance bool `json:"chance,omitempty"`
}

// A Shape of a region, PS3.3 §C.18.6.
type Shape string

// The shapes. Points are pairs of column and row in pixels of the frame, the
// center of the first pixel being (0.5, 0.5) as in an SR.
const (
	Point   Shape = "POINT"
	Circle  Shape = "CIRCLE" // center, then a point on it
	Outline Shape = "POLYLINE"
)

// A Region is a shape on one frame.
type Region struct {
	Instance UID       `json:"instance"`
	Class    UID       `json:"class"`
	Frame    int       `json:"frame"`  // from 1, as in DICOM
	Frames   int       `json:"frames"` // of the instance: 1 means that a reference needs no frame number
	Shape    Shape     `json:"shape"`
	Points   []float64 `json:"points"`
	// Total says that Points are in the total pixel matrix of a slide level.
	Total bool `json:"total,omitempty"`
}

// A Finding is one thing that a model found, and where.
type Finding struct {
	Slide        UID           `json:"slide_series_uid,omitempty"` // the slide that it is on; empty for other kinds
	Number       int           `json:"number"`                     // from 1, most suspicious first
	Tracking     UID           `json:"tracking"`                   // the same over re-runs of one model on the same finding
	What         Code          `json:"what"`
	Site         Code          `json:"site"`
	Laterality   Code          `json:"laterality"`
	Probability  *float64      `json:"probability,omitempty"` // 0–1; nil when the model gives none
	Regions      []Region      `json:"regions"`
	CenterMM     *[3]float64   `json:"center_mm,omitempty"` // patient's coordinates
	Measurements []Measurement `json:"measurements"`
}

// A Result is everything that one model found in one state of one study.
type Result struct {
	Study UID      `json:"study"`
	Rev   int      `json:"rev"`
	Model ModelRef `json:"model"`
	Name  string   `json:"name"` // the model's name for people
	// CE is what its card says of the model's CE mark: "MDR IIa, 2797". Empty: it
	// has none, and every text about it says so.
	CE     string  `json:"ce,omitempty"`
	Shadow bool    `json:"shadow,omitempty"`
	AI     AIState `json:"ai_state"`
	Reason Reason  `json:"reason"` // why failed, out of scope or partial
	// Corrects says that the model answered an earlier state of the study, and does not
	// answer this one: whoever was told then must hear that it does not hold for this.
	Corrects    bool     `json:"corrects,omitempty"`
	Probability *float64 `json:"probability,omitempty"` // of the study, 0–1; nil when the model gives none
	Calibrated  bool     `json:"calibrated"`
	Raw         *float64 `json:"raw,omitempty"` // the number that Probability was made of by the site's calibration
	// Frequency is what the site's calibration says of this result in natural
	// frequencies. Without it no percentage is shown to anybody.
	Frequency *Frequency `json:"frequency,omitempty"`
	Findings  []Finding  `json:"findings"` // empty and AI not_flagged: ran, nothing found
	// Unlisted is how many findings there are beyond Findings: those are as many as
	// the card lists, the first ones.
	Unlisted     int           `json:"findings_unlisted,omitempty"`
	Measurements []Measurement `json:"measurements"`
	Labels       []Label       `json:"labels,omitempty"` // in the card's order
	// Terms are the words of the model's card for its codes in other languages, as the
	// card had them when the result was made: a reader's language is chosen later.
	Terms []Term `json:"terms,omitempty"`
	// Slide is the worst of the slides that were scored: Probability and
	// Measurements are its. Slides tells of each one, the worst first and those
	// that could not be scored last. Both are empty for other kinds.
	Slide      UID           `json:"slide_series_uid,omitempty"`
	Slides     []SlideResult `json:"slides,omitempty"`
	Planned    int           `json:"tiles_planned"`
	Seen       int           `json:"tiles_scored"`
	Seconds    float64       `json:"seconds"` // compute, summed over the parts
	Ran        Provenance    `json:"ran"`
	Parameters string        `json:"parameters"` // thresholds in force, for the report
	At         time.Time     `json:"at"`
}

// A SlideResult is what one model found on one slide of a case.
type SlideResult struct {
	Series       UID           `json:"series_uid"`
	Container    string        `json:"container_id,omitempty"` // (0040,0512), as on the slide's label
	AI           AIState       `json:"ai_state"`               // failed or out_of_scope: the slide was not scored
	Reason       Reason        `json:"reason"`                 // why failed, out of scope or partial
	Probability  *float64      `json:"probability,omitempty"`
	Measurements []Measurement `json:"measurements"`
	Findings     int           `json:"findings"` // all of them; the result may list fewer
	Hotspot      *Hotspot      `json:"hotspot,omitempty"`
	Planned      int           `json:"tiles_planned"`
	Seen         int           `json:"tiles_scored"`
}

// Unscored lists the slides that a plan leaves out, each with the reason.
func (p ModelPlan) Unscored() []SlideResult {
	var all []SlideResult
	for _, s := range p.Slides {
		if s.State == Failed || s.State == OutOfScope {
			r := SlideResult{Series: s.Series, AI: s.State, Reason: s.Reason, Measurements: []Measurement{}}
			if s.State == Failed {
				r.Planned = 1 // as in the plan
			}
			all = append(all, r)
		}
	}
	return all
}

// Partial reports whether some planned tile of the slide went unseen.
func (r SlideResult) Partial() bool { return r.Seen < r.Planned }

// A Hotspot is the window of a slide with the most detections in it.
type Hotspot struct {
	Count   int     `json:"count"`
	AreaMM2 float64 `json:"area_mm2"` // of the window
	Region  Region  `json:"region"`
}

// Tells reports whether destinations are told of the result. One that is out of scope
// is told where the model was asked and its images were looked at and turned away; of
// the many models that a study is not for nothing is said.
func (r Result) Tells() bool {
	return !r.Shadow && (r.AI != OutOfScope || r.Parameters != "" || r.Corrects)
}

// Partial reports whether some planned tile went unseen. A partial result is
// shown as such and never counts as a negative.
func (r Result) Partial() bool { return r.Seen < r.Planned }

// Found reports whether AI has something to tell: findings, or a word on the study as a
// whole that points to no place. It must never be told as "without findings". A partial
// result that is uncertain only because it is partial has found nothing so far.
func (r Result) Found() bool {
	return len(r.Findings) > 0 || r.AI == Flagged || r.AI == Uncertain && !r.Partial()
}

// Judged reports whether a model ran and came to a result.
func (s AIState) Judged() bool { return s == Flagged || s == Uncertain || s == NotFlagged }

// worst orders the states by what a reader must know first.
var worst = [...]AIState{Flagged, Uncertain, Failed, Running, NotFlagged, OutOfScope}

// Worst gives the state that stands for several results: what is flagged comes
// first, and a failure hides behind no negative. Without results it is [Running]
// or, when nothing is to come, [OutOfScope]; the caller knows which.
func Worst(results []Result, none AIState) AIState {
	for _, s := range worst {
		for _, r := range results {
			if r.AI == s && !r.Shadow {
				return s
			}
		}
	}
	return none
}

// A Place is where a study stands in the reading order: class first, then the
// virtual arrival.
type Place struct {
	Class    int       `json:"class"`    // 0 is read first
	Key      time.Time `json:"key"`      // arrival minus the head start
	Why      []Reason  `json:"why"`      // codes have a text under locale key "why.CODE"
	Deadline time.Time `json:"deadline"` // zero when none is known
	Clock    Clock     `json:"clock"`    // of the pathway that the deadline comes from; zero when it was told outright
	Rule     string    `json:"rule"`     // the version of the rule that placed it
}

// PlaceFacts is all that the place of a study may depend on.
type PlaceFacts struct {
	ArrivedAt time.Time
	Now       time.Time // of the placing; zero counts as the arrival
	Priority  Priority
	Deadline  time.Time
	Clock     Clock         // of the pathway that the deadline comes from
	Needed    time.Duration // how long the department takes to come to it at its present pace; 0 when nobody has asked
	NoAI      bool          // no result is to come: no model is for it, or nobody answers
	Results   []Result      // of the current revision; empty before
	Old       *Place        // nil for a new study
	Opened    bool          // an opened study keeps its place
}

// A Placer places a study. It decides by its argument alone.
type Placer func(PlaceFacts) Place

// A Report is an object, or a message, that Varde wrote about a study.
type Report struct {
	Kind       string     `json:"kind"`                       // "sr"; of slides also "seg", a heatmap, and "ann", annotations; see [MediaOf] for the others
	Slide      UID        `json:"slide_series_uid,omitempty"` // the slide that a heatmap or annotations are of
	Lang       string     `json:"lang,omitempty"`             // en, nb, da; empty for what has no words, or was written before languages were told apart
	Purpose    Purpose    `json:"purpose,omitempty"`
	Media      string     `json:"media_type,omitempty"` // empty stands for [MediaDICOM]
	Modality   Modality   `json:"-"`                    // of a DICOM object, when it is entered; empty goes by the kind
	UID        UID        `json:"sop_instance_uid"`
	Series     UID        `json:"series_uid"`
	Study      UID        `json:"study_uid"`
	Class      UID        `json:"sop_class_uid"`
	Rev        int        `json:"rev"`
	Model      ModelRef   `json:"model"`
	Key        string     `json:"-"`
	Bytes      int64      `json:"bytes"`
	SHA256     Hash       `json:"sha256"`
	At         time.Time  `json:"at"`
	Deliveries []Delivery `json:"delivered"`
	// To names the destinations that it is to go to, when it is entered.
	To []string `json:"-"`
	// Held says why it must not leave: it did not pass the check of its own
	// template. Empty for what is sound.
	Held string `json:"held,omitempty"`
}

// A Delivery is one report on its way to one destination.
type Delivery struct {
	ID          string    `json:"-"`
	Report      UID       `json:"-"`
	Study       UID       `json:"-"`
	Key         string    `json:"-"` // of the report in the object store
	Class       UID       `json:"-"`
	Kind        string    `json:"-"` // of the report, as its Kind
	Media       string    `json:"-"` // of the report; never empty
	Seq         int64     `json:"-"` // of the study at the destination: a lower one goes first
	Destination string    `json:"destination"`
	Status      string    `json:"status"` // waiting, sent (taken, and commitment is awaited), delivered, failed, withheld (its model was stopped), held (it failed its check, and is not sent), dropped (a person has given it up, or its result was called back first)
	Tries       int       `json:"tries"`
	NextAt      time.Time `json:"next_at"`
	At          time.Time `json:"at"` // delivered at
	Error       string    `json:"error,omitempty"`
}

// A Case is a study with all that is known of it now.
type Case struct {
	Study   Study
	Results []Result // of the current revision, one per model, sorted by model
	Reports []Report
}

// AI gives the one word for the case's results.
func (c Case) AI() AIState {
	none := Running
	if c.Study.Note != "" {
		none = OutOfScope
	}
	return Worst(c.Results, none)
}
