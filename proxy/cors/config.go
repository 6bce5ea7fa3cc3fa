package cors

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Config is one entry of the `cors` section: what scripts of other origins may do.
// Routes name it in `cors`, and the token endpoints in `tokens.cors`.
type Config struct {
	// Origins are the sites whose scripts may ask, as browsers write them:
	// "https://app.example.com", with the port if it is not the usual one;
	// "https://*.example.com" is one or more labels in front. "*" alone is every site, and
	// excludes credentials. Required.
	Origins []string `mapstructure:"origins"`
	// Methods that they may use. Default: GET, HEAD and POST.
	Methods []string `mapstructure:"methods"`
	// Headers that they may send. "*" alone is every header, and excludes credentials.
	// Default: authorization and content-type.
	Headers []string `mapstructure:"headers"`
	// ExposeHeaders are those of an answer that they may read, beside the few that
	// they always may. Default: none.
	ExposeHeaders []string `mapstructure:"expose_headers"`
	// Credentials lets a browser send its cookies with them, and with that of a
	// cookie named in token_from. Danger: whoever controls such an origin acts as the
	// user. Default: false.
	Credentials bool `mapstructure:"credentials"`
	// MaxAge is for how long a browser need not ask again whether it may; up to 24h.
	// Default: what browsers do unasked, 5 s.
	MaxAge time.Duration `mapstructure:"max_age"`
}

// Fault is one value of a set that cannot be accepted.
type Fault struct {
	At      string // the key in the file
	Problem string
	Fix     string
}

func (f *Fault) Error() string { return f.Problem + "; " + f.Fix }

// Field is the key in the file.
func (f *Fault) Field() string { return f.At }

// New compiles a set called name. The error joins every *Fault.
func New(name string, cfg Config) (*Set, error) {
	var faults []error
	fault := func(at, problem, fix string) {
		faults = append(faults, &Fault{"cors." + name + "." + at, problem, fix})
	}
	s := &Set{credentials: cfg.Credentials, age: cfg.MaxAge, origins: map[string]bool{}}

	if strings.EqualFold(name, None) {
		faults = append(faults, &Fault{"cors." + name, "a set cannot be called none, which is what a rule writes that wants none", "write another name"})
	}
	if len(cfg.Origins) == 0 {
		fault("origins", "no origin is named, so no script may ask", `name one such as "https://app.example.com"`)
	}
	for i, text := range cfg.Origins {
		at := fmt.Sprintf("origins[%d]", i)
		switch problem, fix := originProblem(text); {
		case text == "*" && cfg.Credentials:
			fault(at, `"*" and credentials: true would let every site in the world act as the user`, "name the origins, or take credentials out")
		case text == "*" && len(cfg.Origins) > 1:
			fault(at, `"*" is every origin, beside which others say nothing`, "take it or the others out")
		case text == "*":
			s.any = true
		case problem != "":
			fault(at, problem, fix)
		case slices.Contains(cfg.Origins[:i], text):
			fault(at, fmt.Sprintf("%q is named twice", text), "take one out")
		case strings.Contains(text, "*"):
			front, back, _ := strings.Cut(text, "*")
			s.wild = append(s.wild, [2]string{front, back})
		default:
			s.origins[text] = true
		}
	}

	s.methods = []string{"GET", "HEAD", "POST"}
	if cfg.Methods != nil {
		s.methods = cfg.Methods
	}
	for i, method := range s.methods {
		if !isToken(method) || method != strings.ToUpper(method) {
			fault(fmt.Sprintf("methods[%d]", i), fmt.Sprintf("%q is not a method", method), "write one in capitals, such as GET")
		}
	}
	s.headers = map[string]bool{}
	listed := []string{"authorization", "content-type"}
	if cfg.Headers != nil {
		listed = nil
	}
	for i, header := range cfg.Headers {
		at := fmt.Sprintf("headers[%d]", i)
		switch {
		case header == "*" && cfg.Credentials:
			fault(at, `"*" is no wildcard for browsers where credentials are true`, "name the headers")
		case header == "*" && len(cfg.Headers) > 1:
			fault(at, `"*" is every header, beside which others say nothing`, "take it or the others out")
		case header == "*":
			s.anyHeader = true
		case !isToken(header):
			fault(at, fmt.Sprintf("%q is not a header", header), "write its name, such as content-type")
		default:
			listed = append(listed, strings.ToLower(header))
		}
	}
	for _, header := range listed {
		s.headers[header] = true
	}
	for i, header := range cfg.ExposeHeaders {
		if !isToken(header) || header == "*" {
			fault(fmt.Sprintf("expose_headers[%d]", i), fmt.Sprintf("%q is not a header", header), "write its name, such as X-Total-Count")
		}
	}
	if cfg.MaxAge < 0 || cfg.MaxAge > 24*time.Hour || cfg.MaxAge%time.Second != 0 {
		fault("max_age", fmt.Sprintf("%v is not whole seconds up to 24h", cfg.MaxAge), "write one such as 10m")
	}
	s.methodList = strings.Join(s.methods, ", ")
	s.headerList = strings.Join(listed, ", ")
	s.exposed = strings.Join(cfg.ExposeHeaders, ", ")
	if faults != nil {
		return nil, errors.Join(faults...)
	}
	return s, nil
}

// originProblem says why no browser sends this as an Origin (RFC 6454, section 6.2).
func originProblem(text string) (problem, fix string) {
	const form = `write it as browsers do: "https://app.example.com", with the port if it is not the usual one`
	if text == "null" {
		return `"null" is what every sandboxed page says that it is`, "name an origin"
	}
	plain := strings.Replace(text, "://*.", "://any.", 1)
	u, err := url.Parse(plain)
	switch {
	case text == "*":
		return "", ""
	case strings.Contains(plain, "*"):
		return fmt.Sprintf("%q has a * that does not stand for whole labels in front of a name", text), `write "https://*.example.com"`
	case err != nil || u.Scheme == "" || u.Host == "" || u.Hostname() == "":
		return fmt.Sprintf("%q is not an origin", text), form
	case u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil || strings.HasSuffix(plain, "#"):
		return fmt.Sprintf("%q has more than scheme, host and port", text), fmt.Sprintf("write %q", strings.Replace(u.Scheme+"://"+u.Host, "://any.", "://*.", 1))
	case text != strings.ToLower(text):
		return fmt.Sprintf("%q has capitals, which browsers do not send", text), fmt.Sprintf("write %q", strings.ToLower(text))
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80", strings.HasSuffix(u.Host, ":"):
		return fmt.Sprintf("%q has the usual port, which browsers leave out", text), fmt.Sprintf("write %q", text[:strings.LastIndexByte(text, ':')])
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f {
			return fmt.Sprintf("%q has bytes that do not stand in an origin", text), "write the xn-- form of the name"
		}
	}
	return "", ""
}

// isToken reports whether s is a token, RFC 9110, section 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		return !letter && !strings.ContainsRune("0123456789!#$%&'*+-.^_`|~", r)
	})
}
