package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/tokens/keys"
)

// keysCommand is everything about the keys of the key directory. It changes the
// directory alone; the gateways that run notice by themselves.
func (p *program) keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make, list and change the keys that tokens are signed with",
		Long: `Works on the directory that tokens.key_dir names. Gateways that run on it, one or
many, notice within seconds and need no restart.

A key is first "next": published at /.well-known/jwks.json, so that verifiers
know it. Then it is "signing". When another one signs it is "verifying", until
the last token that it signed has expired. Then it is "retired".`,
	}
	group(cmd)
	cmd.AddCommand(p.keysNew(), p.keysList(), p.keysRotate(), p.keysRetire(), p.keysJWKS())
	return cmd
}

func (p *program) keysNew() *cobra.Command {
	var algorithm string
	var asJSON bool
	cmd := p.configured(&cobra.Command{
		Use:   "new",
		Short: "Make a key: the first signs at once, a later one is next",
		Example: `  gatehouse keys new
  gatehouse keys new --alg EdDSA`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			dir, _, err := p.keyDirectory()
			if err != nil {
				return err
			}
			now := time.Now()
			made, err := keys.Make(algorithm, now)
			if err != nil {
				return usage("gatehouse keys new --alg ES256", "%w", err)
			}
			var entry keys.Entry
			var book keys.Book
			act, err := p.act(eventKeyCreate)
			if err != nil {
				return err
			}
			err = dir.Change(now, func(b *keys.Book) ([]*keys.Made, error) {
				b.Forget(now.Add(-rememberRetired))
				if next := b.In(keys.StateNext, now); len(next) > 0 {
					return nil, failed(fmt.Errorf("key %s is next already", next[0].ID), "gatehouse keys rotate")
				}
				entry = b.Add(made, now)
				book = *b
				return []*keys.Made{made}, nil
			})
			if err := act.with("kid", entry.ID).with("alg", entry.Algorithm).end(err); err != nil {
				return unlocked(dir, err)
			}
			if asJSON {
				return p.printJSON(asShown(book, entry, now))
			}
			if entry.State(book, now) == keys.StateSigning {
				_, err = fmt.Fprintf(p.stdout, "made %s (%s), which signs from now on\n", entry.ID, entry.Algorithm)
				return err
			}
			_, err = fmt.Fprintf(p.stdout, "made %s (%s), which is next: it is published, and `gatehouse keys rotate` lets it sign\n", entry.ID, entry.Algorithm)
			return err
		},
	})
	cmd.Flags().StringVar(&algorithm, "alg", "ES256", "`ALGORITHM`: ES256, EdDSA, RS256, or another with a key pair")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// rememberRetired is for how long retired keys are listed.
const rememberRetired = 90 * 24 * time.Hour

func (p *program) keysList() *cobra.Command {
	var asJSON bool
	cmd := p.configured(&cobra.Command{
		Use:   "list",
		Short: "List the keys of the directory and what each is for",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			dir, _, err := p.keyDirectory()
			if err != nil {
				return err
			}
			book, err := dir.Read()
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return unlocked(dir, err)
			}
			now := time.Now()
			all := make([]shownKey, 0, len(book.Keys))
			for _, e := range book.Keys {
				all = append(all, asShown(book, e, now))
			}
			if asJSON {
				return p.printJSON(all)
			}
			rows := make([][]string, 0, len(all))
			for i, k := range all {
				e := book.Keys[i]
				from := "not yet said"
				if !e.SignsFrom.IsZero() {
					from = moment(e.SignsFrom)
				}
				rows = append(rows, []string{k.ID, k.Algorithm, string(k.State), moment(e.Created), from, moment(end(e))})
			}
			return table(p.stdout, []string{"KID", "ALG", "STATE", "PUBLISHED", "SIGNS FROM", "UNTIL"}, rows)
		},
	})
	jsonFlag(cmd, &asJSON)
	return cmd
}

// shownKey is a key as --json shows it.
type shownKey struct {
	keys.Entry
	State keys.State `json:"state"`
}

func asShown(book keys.Book, e keys.Entry, now time.Time) shownKey {
	return shownKey{e, e.State(book, now)}
}

// end is when a key stops to verify; zero is not known.
func end(e keys.Entry) time.Time {
	if !e.Retired.IsZero() {
		return e.Retired
	}
	return e.Until
}

func (p *program) keysRotate() *cobra.Command {
	var algorithm string
	var soon, asJSON bool
	cmd := p.configured(&cobra.Command{
		Use:   "rotate",
		Short: "Let the next key sign, and the current one verify until its tokens have expired",
		Long: `Lets the next key sign as soon as it has been published for long enough for
everybody who keeps the JWKS, which is six minutes; where there is no next key,
one is made. Until then the current key signs, and then it verifies for as long
as the tokens live that it has signed (tokens.refresh_lifetime, or a longer one). Nobody is logged
out, and nothing else need be done: the moments are in the directory, and each
gateway goes by them.

--now does not wait for others who keep the JWKS, only for the gateways
themselves to read the directory. Others may then refuse new tokens for up to
five minutes.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, loaded, err := p.keyDirectory()
			if err != nil {
				return err
			}
			now := time.Now()
			lifetime := loaded.Tokens.LongestLife() + time.Minute
			var turn keys.Turn
			var fresh *keys.Made
			act, err := p.act(eventKeyRotate)
			if err != nil {
				return err
			}
			err = dir.Change(now, func(b *keys.Book) (made []*keys.Made, err error) {
				b.Forget(now.Add(-rememberRetired))
				next := b.In(keys.StateNext, now)
				if len(next) == 0 {
					if !cmd.Flags().Changed("alg") {
						if signing, ok := b.Signing(now); ok {
							algorithm = signing.Algorithm
						}
					}
					if fresh, err = keys.Make(algorithm, now); err != nil {
						return nil, usage("gatehouse keys rotate --alg ES256", "%w", err)
					}
					made = []*keys.Made{fresh}
					b.Add(fresh, now)
				} else if cmd.Flags().Changed("alg") && next[0].Algorithm != algorithm {
					return nil, failed(fmt.Errorf("key %s is next, and is for %s", next[0].ID, next[0].Algorithm), "gatehouse keys retire "+next[0].ID)
				}
				if _, signs := b.Signing(now); !signs || len(b.In(keys.StateNext, now)) == 0 {
					turn = keys.Turn{Next: b.Keys[len(b.Keys)-1]}
					return made, nil
				}
				turn, err = b.Rotate(soon, lifetime, now)
				return made, err
			})
			act.with("next", turn.Next.ID).with("previous", turn.Previous.ID).with("made", fresh != nil)
			if err := act.end(err); err != nil {
				return unlocked(dir, err)
			}
			if asJSON {
				return p.printJSON(map[string]any{"next": turn.Next, "previous": turn.Previous})
			}
			return p.tellTurn(turn, fresh != nil, now)
		},
	})
	cmd.Flags().StringVar(&algorithm, "alg", "ES256", "`ALGORITHM` of a key that is made; not said, that of the current one")
	cmd.Flags().BoolVar(&soon, "now", false, "do not wait for verifiers that keep the JWKS")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// tellTurn explains what happens when.
func (p *program) tellTurn(turn keys.Turn, made bool, now time.Time) error {
	next, old := turn.Next, turn.Previous
	word := "is published"
	if made {
		word = "was made and is published"
	}
	rows := [][]string{{"now", next.ID, word}, {clock(next.SignsFrom, now), next.ID, "signs"}}
	if old.ID != "" {
		rows = append(rows, []string{clock(next.SignsFrom, now), old.ID, "signs no more, and verifies what it has signed"},
			[]string{clock(old.Until, now), old.ID, "is retired: the last token that it signed has expired"})
	}
	return table(p.stdout, []string{"WHEN", "KEY", "WHAT"}, rows)
}

// clock is a moment that is to come, as a person reads it.
func clock(t, now time.Time) string {
	if !t.After(now) {
		return "now"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func (p *program) keysRetire() *cobra.Command {
	var force, asJSON bool
	cmd := p.configured(&cobra.Command{
		Use:   "retire KID",
		Short: "End a key at once, such as one that was stolen",
		Long: `Ends a key and removes its file. Every token that it signed is refused from then
on. A key that still verifies, or that signs, is only ended with --force; in
place of one that signs, the next one does. KID may be the beginning of the ID.

A key that was stolen:
  gatehouse keys rotate --now
  gatehouse keys retire KID --force`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("gatehouse keys list", "%s needs the ID of one key", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			dir, _, err := p.keyDirectory()
			if err != nil {
				return err
			}
			now := time.Now()
			var book keys.Book
			var i int
			act, err := p.act(eventKeyRetire)
			if err != nil {
				return err
			}
			err = dir.Change(now, func(b *keys.Book) (_ []*keys.Made, err error) {
				if i, err = b.Find(args[0]); err != nil {
					return nil, failed(err, "gatehouse keys list")
				}
				err = b.Retire(i, force, now)
				book = keys.Book{Keys: slices.Clone(b.Keys)}
				return nil, err
			})
			if len(book.Keys) > 0 {
				act.with("kid", book.Keys[i].ID)
			}
			if err := act.with("force", force).end(err); err != nil {
				return unlocked(dir, err)
			}
			if asJSON {
				return p.printJSON(asShown(book, book.Keys[i], now))
			}
			_, err = fmt.Fprintf(p.stdout, "retired %s; gateways refuse its tokens within seconds\n", book.Keys[i].ID)
			return err
		},
	})
	cmd.Flags().BoolVar(&force, "force", false, "also where tokens of the key are good still, whose owners are then logged out")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (p *program) keysJWKS() *cobra.Command {
	return p.configured(&cobra.Command{
		Use:   "jwks",
		Short: "Print the public keys, as /.well-known/jwks.json has them",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			loaded, err := p.load(nil, "tokens")
			if err != nil {
				return err
			}
			set := new(keys.Set)
			if len(loaded.Tokens.Keys) > 0 {
				set, err = keys.New(loaded.Tokens.Keys)
				loaded.Blame("tokens", err)
				if err := loaded.Err(); err != nil {
					return err
				}
			}
			now := time.Now()
			if loaded.Tokens.KeyDir != "" {
				dir := keys.NewDirectory(loaded.Tokens.KeyDir)
				book, err := dir.Read()
				if err != nil {
					return unlocked(dir, err)
				}
				own, err := dir.Load(book, now, nil)
				if err != nil {
					return unlocked(dir, err)
				}
				signing, _ := book.Signing(now)
				if set, err = set.With(own, signing.ID); err != nil {
					return failed(err, "gatehouse keys new")
				}
			}
			_, err = fmt.Fprintf(p.stdout, "%s\n", set.JWKS(now))
			return err
		},
	})
}

// keyDirectory finds the directory of the configuration.
func (p *program) keyDirectory() (*keys.Directory, *config.Loaded, error) {
	loaded, err := p.load(nil, "tokens", "audit")
	if err != nil {
		return nil, nil, err
	}
	loaded.Blame("audit", errors.Join(loaded.Audit.Check()...))
	if err := loaded.Err(); err != nil {
		return nil, nil, err
	}
	p.loaded = loaded
	if loaded.Tokens.KeyDir == "" {
		return nil, nil, failed(errors.New("there is no key directory; keys under tokens.keys are changed in the configuration itself"),
			"write tokens: { key_dir: keys } in place of the key that signs")
	}
	return keys.NewDirectory(loaded.Tokens.KeyDir), loaded, nil
}

// unlocked turns what went wrong with a directory into a sentence with its remedy.
func unlocked(dir *keys.Directory, err error) error {
	var known *failure
	if errors.As(err, &known) {
		return err
	}
	if unsafe, ok := errors.AsType[*keys.Unsafe](err); ok {
		return failed(err, unsafe.Hint)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return failed(fmt.Errorf("there is no key in %s", dir.Path()), "gatehouse keys new")
	}
	if errors.Is(err, fs.ErrPermission) {
		return failed(fmt.Errorf("this user may not read or write %s: %w", dir.Path(), err), "run it as the user that gatehouse runs as")
	}
	return failed(err, "")
}
