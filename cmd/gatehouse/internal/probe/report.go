package probe

// Verdict is what a Finding means for a gateway in front.
type Verdict string

// The verdicts.
const (
	Fine    Verdict = "fine"    // nothing to do
	Note    Verdict = "note"    // worth knowing, with what to set
	Danger  Verdict = "danger"  // somebody can be whom they like, or gets where they must not
	Unknown Verdict = "unknown" // the answers do not tell
)

// Finding is how the backend reads one thing.
type Finding struct {
	Probe   string  `json:"probe"`            // "header-alias"
	Sent    string  `json:"sent"`             // what was sent, in short
	Read    string  `json:"read"`             // what the backend made of it
	Verdict Verdict `json:"verdict"`          // what that means
	Advice  string  `json:"advice,omitempty"` // what to set because of it
}

// report collects findings.
type report struct{ findings []Finding }

func (r *report) add(probe, sent, read string, verdict Verdict, advice string) {
	r.findings = append(r.findings, Finding{probe, sent, read, verdict, advice})
}
