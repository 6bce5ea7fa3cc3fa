package proxy

import (
	"net/http"
	"net/url"
	"strings"
)

// Carry puts a token into a request that nobody sends, where its route looks for one:
// into the header that brings tokens, or else into the first place that token_from
// names. With a cookie it is one of a page of this site, unless its headers say more.
func (g *Gateway) Carry(in *http.Request, token string) {
	var d Decision
	_ = g.consider(in, &d, false)
	policy := d.Match.Policy()
	if header := g.tokenHeader; policy.FromHeader() {
		in.Header[header.name] = append(in.Header[header.name], header.scheme+" "+token)
		return
	}
	source := policy.Tokens[0]
	if source.Cookie != "" {
		in.Header.Add("Cookie", source.Cookie+"="+token)
		if in.Header.Get("Sec-Fetch-Site") == "" && in.Header.Get("Origin") == "" {
			in.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		return
	}
	join := "?"
	if strings.Contains(in.RequestURI, "?") {
		join = "&"
	}
	parameter := url.QueryEscape(source.Query) + "=" + token
	in.RequestURI += join + parameter
	in.URL.RawQuery = strings.TrimPrefix(in.URL.RawQuery+"&"+parameter, "&")
}
