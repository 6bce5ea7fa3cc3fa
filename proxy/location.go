package proxy

import (
	"net/http"
	"net/url"
	"strings"
)

// publish changes what an answer says about paths into what a client must ask for,
// in Location, Content-Location, Refresh and the paths of cookies. Nothing else in
// an answer is touched, least of all its body. server is the URL that was asked.
//
// What is changed: paths, where the route changes them; URLs that name the server
// as the route does, which no client can reach, to the path alone. A URL of
// somebody else, and one that browsers read in more than one way, stays as it is.
func (d *Decision) publish(header http.Header, server *url.URL) {
	for _, name := range []string{"Location", "Content-Location"} {
		if values := header[name]; len(values) == 1 {
			if public := d.publicURL(values[0], server); public != values[0] {
				header[name] = []string{public}
			}
		}
	}
	if values := header["Refresh"]; len(values) == 1 {
		if before, ref, after, ok := refreshURL(values[0]); ok {
			header["Refresh"] = []string{before + d.publicURL(ref, server) + after}
		}
	}
	if d.Match.Aim() == nil {
		return
	}
	for i, cookie := range header["Set-Cookie"] {
		header["Set-Cookie"][i] = d.publicCookie(cookie)
	}
}

// publicURL takes URLs apart by hand: what net/url would make of one is not what
// browsers do, and what is not changed must stay byte for byte.
func (d *Decision) publicURL(ref string, server *url.URL) string {
	if strings.ContainsFunc(ref, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
		return ref // browsers drop some of them, and take a backslash for a slash
	}
	authority, rest := "", ref
	scheme, after, absolute := strings.Cut(ref, "://")
	switch {
	case absolute && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")):
		authority, rest = cutAuthority(after)
	case strings.HasPrefix(ref, "//"):
		scheme, absolute = "", true
		authority, rest = cutAuthority(ref[2:])
	default:
		absolute = false
	}
	path, suffix := cutPath(rest)
	aim := d.Match.Aim()
	switch {
	case absolute && d.isPublic(authority):
		if public := aim.Public(orRoot(path)); public != orRoot(path) {
			return strings.TrimSuffix(ref, rest) + public + suffix
		}
	case absolute && d.isOurs(scheme, authority, server):
		if public := aim.Public(orRoot(path)); !strings.HasPrefix(public, "//") {
			return public + suffix
		}
	case absolute:
	case strings.HasPrefix(path, "/"):
		return aim.Public(path) + suffix
	case aim != nil && path != "":
		return d.publicRelative(ref, path, suffix)
	}
	return ref
}

// publicRelative leaves a relative path as it is where it leads to the same place
// from what the client asked for as from what the upstream was asked for.
func (d *Decision) publicRelative(ref, path, suffix string) string {
	to, err := url.Parse(path)
	if err != nil || to.IsAbs() || to.Host != "" {
		return ref
	}
	from := func(base string) string {
		unescaped, err := url.PathUnescape(base)
		if err != nil {
			return ""
		}
		return (&url.URL{Path: unescaped, RawPath: base}).ResolveReference(to).EscapedPath()
	}
	meant, got := d.Match.Aim().Public(from(d.target.Escaped)), from(d.Path.Escaped)
	if meant == got || strings.HasPrefix(meant, "//") {
		return ref
	}
	return meant + suffix
}

// isPublic reports whether clients use this authority for us.
func (d *Decision) isPublic(authority string) bool { return sameHost(authority, d.Client.Host) }

// isOurs reports whether it is one that only we use: that of the server, or the
// Host that a proxy in front of us has made up.
func (d *Decision) isOurs(scheme, authority string, server *url.URL) bool {
	if sameHost(authority, d.Host) {
		return true
	}
	// A socket is called localhost, which to a client is its own machine.
	return server != nil && server.Host != "localhost" && (scheme == "" || strings.EqualFold(scheme, server.Scheme)) && sameHost(authority, server.Host)
}

// sameHost compares authorities. The default port of either scheme is no port: who
// is behind a proxy for TLS does not know which one it is.
func sameHost(a, b string) bool {
	bare := func(s string) string {
		return strings.TrimSuffix(strings.TrimSuffix(s, ":80"), ":443")
	}
	return a != "" && strings.EqualFold(bare(a), bare(b))
}

// cutAuthority cuts what follows two slashes.
func cutAuthority(s string) (authority, rest string) {
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// cutPath cuts before a query or fragment.
func cutPath(s string) (path, suffix string) {
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

func orRoot(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// refreshURL finds the URL in `5; url=/x` or `5; url="/x"`.
func refreshURL(value string) (before, ref, after string, ok bool) {
	delay, rest, ok := strings.Cut(value, ";")
	if !ok {
		return "", "", "", false
	}
	word := strings.TrimLeft(rest, " \t")
	if len(word) < 4 || !strings.EqualFold(word[:3], "url") {
		return "", "", "", false
	}
	ref = strings.TrimLeft(word[3:], " \t")
	if !strings.HasPrefix(ref, "=") {
		return "", "", "", false
	}
	ref = strings.TrimLeft(ref[1:], " \t")
	if ref != "" && (ref[0] == '"' || ref[0] == '\'') {
		end := strings.IndexByte(ref[1:], ref[0])
		if end < 0 {
			return "", "", "", false
		}
		after = ref[1+end:]
		ref = ref[1 : 1+end]
	}
	before = value[:len(value)-len(after)-len(ref)]
	return before, ref, after, len(before) > len(delay)
}

// publicCookie changes the path of a cookie. That of one whose name begins with
// __Host- must be the root.
func (d *Decision) publicCookie(cookie string) string {
	attributes := strings.Split(cookie, ";")
	if name, _, _ := strings.Cut(attributes[0], "="); strings.HasPrefix(strings.ToLower(strings.TrimSpace(name)), "__host-") {
		return cookie
	}
	for i, attribute := range attributes[1:] {
		name, path, ok := strings.Cut(attribute, "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(name), "path") {
			continue
		}
		trimmed := strings.TrimSpace(path)
		if strings.HasPrefix(trimmed, "/") {
			attributes[i+1] = name + "=" + d.Match.Aim().PublicScope(trimmed)
		}
	}
	return strings.Join(attributes, ";")
}
