package proxy

import "net/http"

// outcome is what became of a request, in words of fixed sets, for logs and metrics.
type outcome struct {
	decision string
	reason   string // why it is refused or has failed; "" otherwise
}

// What becomes of a request.
const (
	decisionPassed   = "passed"   // on to an upstream, and its answer back
	decisionChecked  = "checked"  // another proxy may let it pass
	decisionAnswered = "answered" // by gatehouse itself; the status says how
	decisionRefused  = "refused"  // by the policy, or because nobody could be sure what it means
	decisionFailed   = "failed"   // nobody could answer it, or decide about it
	decisionAborted  = "aborted"  // the answer broke off, or the client left
)

func outcomeOf(d *Decision, refusal *Refusal) outcome {
	switch {
	case refusal == nil && d.Check:
		return outcome{decision: decisionChecked}
	case refusal == nil && d.local != nil:
		return outcome{decision: decisionAnswered}
	case refusal == nil:
		return outcome{decision: decisionPassed}
	}
	o := outcome{decisionRefused, refusal.Reason}
	switch status := refusal.Answer.Status; {
	case status == statusClientGone:
		o.decision = decisionAborted
	case status >= http.StatusInternalServerError:
		o.decision = decisionFailed
	case status == http.StatusNoContent:
		o.decision = decisionAnswered // a preflight
	}
	return o
}
