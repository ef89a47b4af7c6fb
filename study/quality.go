package study

import "time"

// A Watched is one exam as those who watch models need it: who sent it, what was
// said of it by models and by readers, and how long it waited. It names no patient;
// sex and age are what differences between groups are looked for by.
type Watched struct {
	Study      UID
	Rev        int
	Sender     string // calling AE title
	Modality   Modality
	Priority   Priority
	Class      int    // of the worklist, as it stands now
	Sex        string // M, F or O; empty when it was not told
	Age        int    // whole years when the exam came; -1 when no birth date was told
	ReceivedAt time.Time
	OpenedAt   time.Time // zero until a reader opened it
	ReadAt     time.Time // zero until it was read
	Waiting    bool      // still to be read
	Answers    []WatchedAnswer
	Steps      []WatchedStep // of its last revision, in their order
}

// A WatchedAnswer is what one model said of an exam's last revision.
type WatchedAnswer struct {
	Model       ModelRef
	AI          AIState
	Shadow      bool
	Probability *float64 // nil when the model gave none
	At          time.Time
}

// A WatchedStep is what a reader did: an impression, a verdict on a finding, a mark
// of what was missed, or the answer. The reader's name and words are left out.
type WatchedStep struct {
	Step    string
	Reader  int // 1 for the first who did anything with the exam, and so on
	Model   ModelRef
	Verdict string
	Wrong   []string
	At      time.Time
}

// A WatchedSpan is a time from From up to but not including To.
type WatchedSpan struct {
	From, To time.Time
	Limit    int // exams, the latest ones; 0 = 100,000
}

// An AuditFilter picks rows of the audit trail, newest first. What is empty lets all
// pass.
type AuditFilter struct {
	Study  UID
	Model  string // id@version
	Actor  string // the exact name
	From   time.Time
	To     time.Time // not included
	Before int64     // rows with a smaller number; 0 is from the newest on
	Limit  int       // 0 = 100
}

// A Shone is what a reader was shown of the AI, with the digest by which the audit
// trail names it.
type Shone struct {
	Digest Hash // of what the ledger keeps
	Shown  Shown
}

// A Preference is how a person likes the pages. What is empty is as the browser, or
// the site, would have it.
type Preference struct {
	Lang    string `json:"lang,omitempty"`    // en, nb or da
	Theme   string `json:"theme,omitempty"`   // dark or light; "system" is as the system says
	Keys    string `json:"keys,omitempty"`    // "off": no shortcuts of a single key
	Density string `json:"density,omitempty"` // rows of lists: compact or roomy
}
