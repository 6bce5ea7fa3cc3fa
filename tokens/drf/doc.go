// Package drf speaks HTTP and JSON the way Django REST Framework on Python does, so that a client written against such a
// site cannot tell the difference. It knows neither tokens nor users: a View is told its fields and is given a function
// that answers a well-formed POST.
//
// A request to a View is looked at in this order, and the first thing wrong is the answer:
//
//  1. the `format` parameter of the query, then `Accept` (404, 406)
//  2. the method (405; OPTIONS is answered with the description of the view)
//  3. the content type, if there is a body (415)
//  4. the size of the body (413) and its syntax: JSON, urlencoded form or multipart form (400)
//  5. the shape: an object is wanted (400)
//  6. the fields, all of them together (400)
//  7. View.Post
//
// The JSON decoder (Decode) exists because no library reports what clients of such a site see: Python's error texts with
// positions in characters, its idea of what a number is, and strings that hold half a surrogate pair. The encoders are its
// counterpart; AppendJSON writes what the framework answers, AppendASCII what Python puts into a token.
//
// Python 3.11 is the reference for texts. Where it would crash (a status 500), this package answers 4xx instead.
//
// Where a client can tell the difference nevertheless, on purpose:
//
//   - Chunked bodies are read. A body beyond View.MaxBody is 413, whatever its type.
//   - A multipart type may be written in any letter case, and a part need not end its lines with CR LF. Parts that are not
//     well formed may yield other fields, or none.
//   - The charsets utf-7, utf-32 and Python's transformations (base64, idna, …) count as unknown, hence as UTF-8. The texts
//     for bytes that are not in a charset other than UTF-8 and ASCII may name another place.
//   - Of several equally specific items of Accept the first one says how to indent; the original picks any.
//   - Every answer says Cache-Control: no-store.
//
// What must not be in here: claims, keys, passwords, users, routes, and any decision on who may do what.
package drf
