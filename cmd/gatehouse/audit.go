package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/cmd/gatehouse/internal/audit"
	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/tokens"
	"gatehouse/users"
	"gatehouse/users/password"
	"gatehouse/users/rate"
)

// The events that happen here, beside those of tokens.
const (
	eventStart        = "server.start"
	eventStop         = "server.stop"
	eventReload       = "config.reload"
	eventUserCreate   = "user.create"
	eventUserChange   = "user.change"
	eventUserGroups   = "user.groups"
	eventUserPassword = "user.password"
	eventUserEnable   = "user.enable"
	eventUserDisable  = "user.disable"
	eventUserDelete   = "user.delete"
	eventUnlock       = "login.unlock"
	eventSessionEnd   = "session.end"
	eventKeyCreate    = "key.create"
	eventKeyRotate    = "key.rotate"
	eventKeyRetire    = "key.retire"
	eventImport       = "store.import"
	eventExport       = "store.export"
	eventCopy         = "store.copy"
	eventPrune        = "store.prune"
)

// openAudit opens the audit of a server, with its faults in loaded.
func (s *server) openAudit(loaded *config.Loaded) {
	stream, err := audit.Open(loaded.Audit, audit.Parts{Stdout: s.stdout, Failed: func(err error) {
		if err != nil {
			s.logger.Error("the audit cannot be written", slog.Any("error", err), slog.String("audit", loaded.Audit.Output), slog.String("on_failure", loaded.Audit.OnFailure))
		} else {
			s.logger.Info("the audit can be written again", slog.String("audit", loaded.Audit.Output))
		}
	}})
	loaded.Blame("audit", err)
	s.audit = stream
}

// tellAudit writes what endpoints tell.
func (s *server) tellAudit(_ context.Context, e tokens.Event) error {
	r := audit.Record{
		Event: string(e.Name), Outcome: string(e.Outcome), Reason: e.Reason, ActorType: audit.Client,
		UserID: e.UserID, User: e.User, NameDigest: e.NameDigest, Session: e.Session, Address: e.Address, RequestID: e.RequestID, Detail: e.Detail,
	}
	switch {
	case e.Name == tokens.EventKeySigns:
		r.ActorType = audit.System
	case e.Outcome == tokens.OutcomeSuccess: // who fails has not shown who they are
		r.Actor = e.User
	}
	return s.audit.WriteRepeated(r, likeness(e))
}

// How many refusals of a minute have a line each. A guess costs whoever makes it a hash, or a
// part of a budget, and is looked into one by one; the others cost nothing.
const guessesEach = 20

// likeness says which refusals are summed up: whatever clients can have without end, and
// without paying for it. What is about an account says so as long as there are not too
// many of them.
func likeness(e tokens.Event) audit.Repeat {
	if e.Outcome == tokens.OutcomeSuccess || e.Name == tokens.EventKeySigns {
		return audit.Repeat{}
	}
	network := networkOf(e.Address)
	account := e.NameDigest
	if e.UserID != 0 {
		account = strconv.FormatInt(e.UserID, 10)
	}
	budget, _ := e.Detail["budget"].(string)
	like := audit.Repeat{Kind: strings.Join([]string{string(e.Name), string(e.Outcome), e.Reason, budget}, " "), Network: network}
	switch {
	case e.Outcome == tokens.OutcomeError: // it is nobody's fault in particular
		like.Each = guessesEach
	case budget == string(users.BudgetNetwork): // many names, of which nobody was looked at
		like.Of = network
	case budget == string(users.BudgetAccount): // many networks
		like.Of = account
	case budget != "":
		like.Of = account + " " + network
	case e.Name == tokens.EventLogin && e.UserID == 0: // each may be about another name
		like.Of, like.Each = network, guessesEach
	case e.Name == tokens.EventLogin:
		like.Of, like.Each = account+" "+network, guessesEach
	case e.Name == tokens.EventReuse:
		like.Of = e.Session
	default:
		like.Of = account + " " + network
	}
	return like
}

// networkOf is the network of an address, as budgets have it.
func networkOf(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	first := rate.NetworkOf(addr)
	if first.Is6() {
		return netip.PrefixFrom(first, 64).String()
	}
	return first.String()
}

// tellSystem writes what the program does by itself.
func (s *server) tellSystem(event string, err error, detail map[string]any) {
	r := audit.Record{Event: event, Outcome: audit.Success, ActorType: audit.System, Detail: detail}
	if err != nil {
		r.Outcome, r.Reason = audit.Failure, reasonOf(err)
	}
	_ = s.audit.Write(r) // it has happened
}

// collectAudit counts the lines that could not be written.
func collectAudit(s *server) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "gatehouse_audit_write_failures_total", Help: "Lines of the audit that could not be written.",
	}, func() float64 { return float64(s.audit.Failures()) })
}

// act is what a command does, for the audit.
type act struct {
	stream *audit.Stream
	record audit.Record
}

// act begins a record of what an operator does. Where the audit cannot be opened nothing
// is done.
func (p *program) act(event string) (*act, error) {
	a := &act{record: audit.Record{Event: event, ActorType: audit.Operator, Actor: operator()}}
	if sudo := os.Getenv("SUDO_USER"); sudo != "" {
		a.with("sudo_user", legible(sudo))
	}
	if p.loaded == nil {
		return a, nil
	}
	var err error
	if a.stream, err = audit.Open(p.loaded.Audit, audit.Parts{Stdout: p.stderr}); err != nil {
		p.loaded.Blame("audit", err)
		return nil, failed(p.loaded.Err(), "run it as the user that gatehouse runs as")
	}
	return a, nil
}

// actOfCopy is act for a command that needs no configuration.
func (p *program) actOfCopy() (*act, error) {
	path, err := p.findConfig()
	if p.config == "" && (err != nil || path == "") {
		return p.act(eventCopy)
	}
	if p.loaded, err = p.load(nil, "audit"); err != nil {
		return nil, err
	}
	p.loaded.Blame("audit", errors.Join(p.loaded.Audit.Check()...))
	if err := p.loaded.Err(); err != nil {
		return nil, err
	}
	return p.act(eventCopy)
}

// operator is the operating system's user, by name or by number.
func operator() string {
	if u, err := user.Current(); err == nil {
		return cmp.Or(legible(u.Username), u.Uid)
	}
	return strconv.Itoa(os.Getuid())
}

// legible cuts what a variable says to a length that a line can have.
func legible(text string) string {
	const most = 64
	if len(text) > most {
		return text[:most]
	}
	return text
}

// on notes whom it is about.
func (a *act) on(u users.User) *act {
	a.record.UserID, a.record.User = u.ID, u.Username
	return a
}

// with notes what else is to be said.
func (a *act) with(name string, value any) *act {
	if a.record.Detail == nil {
		a.record.Detail = map[string]any{}
	}
	a.record.Detail[name] = value
	return a
}

// session notes which session it is about, if that is the name of one.
func (a *act) session(id string) *act {
	if family, ok := users.ParseFamily(id); ok {
		a.record.Session = family.String()
	}
	return a
}

// imported and copied note how much.
func (a *act) imported(report users.DjangoReport) *act {
	return a.with("users_created", report.Users.Created).with("users_updated", report.Users.Updated).with("tokens_created", report.Tokens.Created)
}

func (a *act) copied(report users.CopyReport) *act {
	for _, t := range report.Tables {
		a.with(t.Table, t.Rows)
	}
	return a
}

// end writes how it ended, and returns err. What was done stays done where that cannot be
// written, and the command says so.
func (a *act) end(err error) error {
	a.record.Outcome = audit.Success
	if err != nil {
		a.record.Outcome, a.record.Reason = audit.Failure, reasonOf(err)
	}
	defer func() { _ = a.stream.Close() }()
	_ = a.stream.Write(a.record)
	if a.stream.Failures() == 0 {
		return err
	}
	told := failed(errors.New("the audit could not be written: "+a.stream.Trouble()), "mend that; what was done is not undone")
	if err != nil {
		return errors.Join(err, told)
	}
	return told
}

// reasonOf is one word for why something was not done. The errors themselves may hold what
// somebody typed.
func reasonOf(err error) string {
	for _, known := range commandReasons() {
		if known.is(err) {
			return known.word
		}
	}
	return reasonFailed
}

const reasonFailed = "failed"

// commandReason is why a command, or a reload, did nothing.
type commandReason struct {
	word string
	is   func(error) bool
}

func commandReasons() []commandReason {
	like := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	return []commandReason{
		{"not_found", like(users.ErrNotFound)},
		{"exists", like(users.ErrExists)},
		{"managed_elsewhere", like(users.ErrManaged)},
		{"not_valid", func(err error) bool {
			_, value := errors.AsType[*users.Fault](err)
			_, file := errors.AsType[config.Faults](err)
			return value || file
		}},
		{"unavailable", like(users.ErrUnavailable)},
		{"busy", like(password.ErrBusy)},
		{"interrupted", like(context.Canceled)},
	}
}

// updateUser changes a user, of which groups are an event by themselves.
func (p *program) updateUser(ctx context.Context, store *users.Store, name string, c users.Change) (users.User, error) {
	before, err := store.UserByName(ctx, name)
	if err != nil {
		return users.User{}, err
	}
	fields := changedFields(c)
	act, err := p.act(eventUserChange)
	if err != nil {
		return users.User{}, err
	}
	user, err := store.UpdateUser(ctx, name, c)
	if err != nil {
		return user, act.on(before).with("fields", fields).end(err)
	}
	if groups := len(c.AddGroups) + len(c.RemoveGroups); groups > 0 {
		of, err := p.act(eventUserGroups)
		if err != nil {
			return user, err
		}
		if err := of.on(user).with("added", c.AddGroups).with("removed", c.RemoveGroups).end(nil); err != nil {
			return user, err
		}
	}
	if len(fields) == 0 {
		return user, nil
	}
	if user.Username != before.Username {
		act.with("name_before", before.Username)
	}
	return user, act.on(user).with("fields", fields).end(nil)
}

// changedFields names what a change is about, without what it says.
func changedFields(c users.Change) []string {
	all := []string{}
	for _, f := range []struct {
		name string
		said bool
	}{
		{"username", c.Username != nil},
		{"email", c.Email != nil},
		{"first_name", c.FirstName != nil},
		{"last_name", c.LastName != nil},
		{"staff", c.Staff != nil},
		{"superuser", c.Superuser != nil},
		{"attributes", len(c.SetAttributes)+len(c.RemoveAttributes) > 0},
	} {
		if f.said {
			all = append(all, f.name)
		}
	}
	return all
}
