package drf

import (
	"net/http"
	"strings"
)

// View is one address that takes a POST with a few text fields and answers JSON. It also answers OPTIONS, and refuses
// everything else. Set it up once and do not change it; it is then safe for concurrent use.
type View struct {
	Name        string  // in OPTIONS, "Token Obtain Pair"
	Description string  // in OPTIONS; free prose
	Fields      []Field // in the order in which errors are listed

	// Authenticate is the value of WWW-Authenticate on every answer 401. Empty sends none.
	Authenticate string

	// MaxBody is how many bytes a request body may have; 0 is 1 MiB. It is held in memory, twice for a moment.
	MaxBody int64

	// Post answers a POST whose fields are in order. Its context is that of the request.
	Post func(r *http.Request, in Input) Answer
}

// ServeHTTP answers one request; the package documentation has the order of the checks.
func (v *View) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := v.answer(w, r)
	w.Header().Set("Allow", "POST, OPTIONS")
	if a.Status == http.StatusUnauthorized && v.Authenticate != "" {
		w.Header().Set("WWW-Authenticate", v.Authenticate)
	}
	if log, ok := w.(interface{ Because(reason string) }); ok && a.Reason != "" {
		log.Because(a.Reason)
	}
	a.Write(w, r)
}

func (v *View) answer(w http.ResponseWriter, r *http.Request) Answer {
	if refusal := refuseAccept(r); refusal != nil {
		return *refusal
	}
	switch method := strings.ToUpper(r.Method); method {
	case http.MethodPost:
	case http.MethodOptions:
		return Answer{Status: http.StatusOK, Body: v.metadata()}
	default:
		return Detail(http.StatusMethodNotAllowed, `Method "`+method+`" not allowed.`)
	}
	data, refusal := v.read(w, r)
	if refusal != nil {
		return *refusal
	}
	object, ok := data.(Object)
	if !ok {
		return notAnObject(data)
	}
	in, refusal := readFields(v.Fields, object)
	if refusal != nil {
		return *refusal
	}
	return v.Post(r, in)
}

func notAnObject(data any) Answer {
	problem := "Invalid data. Expected a dictionary, but got " + pythonType(data) + "."
	if data == nil {
		problem = "No data provided"
	}
	return Answer{Status: http.StatusBadRequest, Body: Object{{"non_field_errors", []string{problem}}}}
}

func pythonType(v any) string {
	switch v := v.(type) {
	case []any:
		return "list"
	case bool:
		return "bool"
	case Number:
		if v.IsInt() {
			return "int"
		}
		return "float"
	}
	return "str"
}

// metadata is the answer to OPTIONS.
func (v *View) metadata() Object {
	var fields Object
	for _, f := range v.Fields {
		fields = append(fields, Member{f.Name, Object{
			{"type", "string"},
			{"required", !f.ReadOnly && !f.Optional},
			{"read_only", f.ReadOnly},
			{"label", f.Label},
		}})
	}
	return Object{
		{"name", v.Name},
		{"description", v.Description},
		{"renders", []string{"application/json"}},
		{"parses", []string{"application/json", "application/x-www-form-urlencoded", "multipart/form-data"}},
		{"actions", Object{{"POST", fields}}},
	}
}
