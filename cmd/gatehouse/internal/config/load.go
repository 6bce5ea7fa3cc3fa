package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// Input is where settings come from, the weakest first.
type Input struct {
	// Path names the YAML file. It is shown in messages as it is given. Empty: there
	// is none, and the environment says everything (Bare).
	Path string
	// Environ is the environment as os.Environ returns it.
	Environ []string
	// Flags are settings of the command line: key path → text.
	Flags map[string]Flag
	// Only names the sections that are wanted; nil is all. What stands in the
	// others is not looked at, so it may be incomplete.
	Only []string
	// Now is the moment for which keys with an end are looked at; zero is now.
	Now time.Time
}

// Flag is a setting made on the command line.
type Flag struct {
	Name  string // --listen
	Value string
}

// Loaded is a configuration, complete if Err is nil. Not safe for concurrent use
// while faults are added.
type Loaded struct {
	File
	// Path is the file as it was named.
	Path string
	// Read lists every file that the configuration is made of: itself and what foo_file
	// keys name, also one that is not there.
	Read []string
	// Secrets are the files among them that nobody else should read.
	Secrets []Said
	// Warnings are worth a look and stop nothing.
	Warnings Faults

	places   places
	faults   []Fault
	unplaced []Fault
	unread   bool // the file has no form, so nothing that it may say is missing
}

// Err returns everything found wrong so far as [Faults], or nil.
func (l *Loaded) Err() error {
	if len(l.faults) > 0 {
		return inOrder(l.faults)
	}
	if len(l.unplaced) > 0 {
		return inOrder(l.unplaced)
	}
	return nil
}

// Load reads a configuration. An error that is Faults comes with a Loaded that
// holds what could be read, for one purpose: that the rooms' New can find their
// faults too and all are shown together. It must not be used otherwise. Any
// other error means that the file itself cannot be read; Loaded is then nil.
func Load(in Input) (*Loaded, error) {
	l := &Loaded{File: Defaults(), Path: in.Path, places: places{}}
	root := &yaml.Node{Kind: yaml.MappingNode}
	if in.Path != "" {
		data, err := readAll(in.Path, maxFile+1)
		if err != nil {
			return nil, fmt.Errorf("the configuration %s cannot be read: %w", in.Path, reason(err))
		}
		l.Read = []string{in.Path}
		var line int
		var problem string
		if root, line, problem = parse(data); problem != "" {
			l.unread = true
			l.faults = append(l.faults, Fault{File: in.Path, Line: line, Problem: problem})
			return l, l.Err()
		}
	}
	if err := l.layer(root, in); err != nil {
		return nil, err
	}
	l.readTwins(reflect.ValueOf(&l.File).Elem(), "", in.Only)
	l.anchorStore()
	l.anchorKeys()
	l.anchorSite()
	l.anchorAudit()
	l.checkBootstrap(in.Only)
	l.checkThrottle()
	l.warn(cmp.Or(in.Now, time.Now()))
	return l, l.Err()
}

// layer lays file, environment and flags over the defaults.
func (l *Loaded) layer(root *yaml.Node, in Input) error {
	t := &tree{file: in.Path, only: in.Only, places: l.places}
	fromFile := t.section(root, reflect.TypeFor[File](), "")
	fromEnvironment, faults := environment(in, l.places)
	fromFlags, more := flags(in.Flags, l.places)
	l.faults = slices.Concat(l.faults, t.faults, faults, more)

	// Viper gets values that already have the types of their keys. Lists and
	// maps of sections are opaque to it, so that its folding of keys to lower
	// case does not reach the names that operators choose.
	if in.Path == "" {
		l.fill(fromEnvironment)
	}
	v := viper.NewWithOptions(viper.KeyDelimiter("::"))
	for _, layer := range []map[string]any{fromFile, fromEnvironment, fromFlags} {
		if err := v.MergeConfigMap(layer); err != nil {
			return fmt.Errorf("merging settings: %w", err)
		}
	}
	err := v.UnmarshalExact(&l.File, func(c *mapstructure.DecoderConfig) {
		c.DecodeHook = nil
		c.WeaklyTypedInput = false
		c.ZeroFields = true // a list that is said replaces the default, and is not merged into it
	})
	if err != nil {
		return fmt.Errorf("merging settings: %w", err)
	}
	return nil
}

// checkBootstrap finds a first user of whom only half is said.
func (l *Loaded) checkBootstrap(only []string) {
	if only != nil && !slices.Contains(only, "bootstrap") {
		return
	}
	first := l.Bootstrap
	switch {
	case first.User != "" && first.Password == "":
		l.faults = append(l.faults, l.at("bootstrap.user", "has no password; name the file that holds it in bootstrap.password_file"))
	case first.User == "" && first.Password != "":
		l.faults = append(l.faults, l.at("bootstrap.password", "belongs to nobody; name the user in bootstrap.user"))
	case first.User != "" && first.Email() == "" && (l.Login.FindBy == "email" || l.Tokens.UserIDField == "email"):
		l.faults = append(l.faults, l.at("bootstrap.user", "has no e-mail address, without which nobody can log in here (login.find_by, tokens.user_id_field); write an address"))
	}
}

// checkThrottle refuses budgets of which nobody says whether they hold: who writes them
// wants them.
func (l *Loaded) checkThrottle() {
	if l.Says("login.throttle") && !l.Says("login.throttle.enabled") {
		l.faults = append(l.faults, l.at("login.throttle", "does not say whether it is on; write enabled: true, or enabled: false"))
	}
}

// flags reads settings of the command line as if they were variables.
func flags(said map[string]Flag, places places) (map[string]any, []Fault) {
	values := map[string]any{}
	var faults []Fault
	for _, v := range variables() {
		flag, ok := said[v.key]
		if !ok {
			continue
		}
		places.elsewhere(v.key, flag.Name)
		value, err := v.read(flag.Value)
		if err != nil {
			faults = append(faults, Fault{Source: flag.Name, Problem: err.Error(), suspects: []string{v.key}})
			continue
		}
		put(values, v.path, value)
	}
	return values, faults
}

// anchorStore makes a relative path of the database one from the directory of
// the file that says it: a command run elsewhere must not open another store.
func (l *Loaded) anchorStore() {
	dsn := l.Store.DSN
	if said := l.places.find("store.dsn"); said.line == 0 || said.source != "" {
		return
	}
	if l.Store.Driver != "sqlite" || dsn == "" || dsn[0] == ':' || filepath.IsAbs(dsn) || hasScheme(dsn) {
		return
	}
	l.Store.DSN = filepath.Join(filepath.Dir(l.Path), dsn)
}

// anchorKeys does the same for the key directory.
func (l *Loaded) anchorKeys() {
	if dir := l.Tokens.KeyDir; dir != "" && !filepath.IsAbs(dir) && l.layerOf("tokens.key_dir") == 1 {
		l.Tokens.KeyDir = filepath.Join(filepath.Dir(l.Path), dir)
	}
}

// anchorSite does the same for the database of a Django site.
func (l *Loaded) anchorSite() {
	said := l.places.find("store.users.dsn")
	path := strings.TrimPrefix(l.Store.Users.DSN, "sqlite:///")
	// sqlite:///x may be a relative path and an absolute one; it is taken for absolute.
	if said.line == 0 || said.source != "" || path == "" || path != l.Store.Users.DSN || strings.Contains(path, "://") || strings.Contains(path, "=") || filepath.IsAbs(path) {
		return
	}
	l.Store.Users.DSN = filepath.Join(filepath.Dir(l.Path), path)
}

// anchorAudit does the same for the audit. It is not watched: it changes all the time.
func (l *Loaded) anchorAudit() {
	if path := l.Audit.Path(); strings.Contains(path, "/") && !filepath.IsAbs(path) && l.layerOf("audit.output") == 1 {
		l.Audit.Output = filepath.Join(filepath.Dir(l.Path), path)
		if !strings.Contains(l.Audit.Output, "/") { // a configuration that was named without a directory
			l.Audit.Output = "./" + l.Audit.Output
		}
	}
}

func hasScheme(dsn string) bool {
	return len(dsn) > 5 && dsn[:5] == "file:"
}

// readAll reads a file of which no more than limit bytes can be of use.
func readAll(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return nil, errors.New("it is a directory")
	}
	return io.ReadAll(io.LimitReader(file, limit))
}

// reason leaves out what the sentence around it says already.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
