package identity

import (
	"slices"
	"time"
)

// Preset is what a legacy stack expects of the proxy in front of it.
type Preset struct {
	// Headers are sent beside those of the configuration, which win where both name one.
	Headers map[string]Source
	// Strip are more headers that no client may send to such a backend.
	Strip []string
	// KeepAlive is how long an idle connection is kept, where nothing is said: less than
	// the usual server of the stack keeps its side. 0 is the usual time.
	KeepAlive time.Duration
}

// presets, by the names that operators write. The names of headers are those that
// applications read most often, or the default of the framework's own class.
var presets = map[string]Preset{
	"django-remote-user": remoteUser("Remote-"),
	"php":                remoteUser("Remote-"),
	"rails":              remoteUser("X-Remote-").keeping(10 * time.Second), // Puma: 20 s
	"spring-preauth": {
		// The default of RequestHeaderAuthenticationFilter, underscore and all.
		Headers:   map[string]Source{"SM_USER": {Word: "username"}},
		Strip:     []string{"Sm-*", "Remote-*", "X-Remote-*"},
		KeepAlive: 10 * time.Second, // Tomcat: 20 s
	},
}

func remoteUser(prefix string) Preset {
	return Preset{
		Headers: map[string]Source{prefix + "User": {Word: "username"}, prefix + "Email": {Word: "email"}, prefix + "Groups": {Word: "groups"}},
		Strip:   []string{"Remote-*", "X-Remote-*", "X-Webauth-*"},
	}
}

func (p Preset) keeping(alive time.Duration) Preset {
	p.KeepAlive = alive
	return p
}

// PresetOf finds a preset by its name; "" is the empty one.
func PresetOf(name string) (p Preset, ok bool) {
	if name == "" {
		return Preset{}, true
	}
	p, ok = presets[name]
	return p, ok
}

// PresetNames are all, in the order of the alphabet.
func PresetNames() []string {
	var names []string
	for name := range presets {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
