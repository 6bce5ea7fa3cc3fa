// Package identity makes sure that what an upstream reads about the user was
// written by gatehouse: it folds header names as backends do, takes every client
// header away that could be read as one of ours, and writes ours.
//
// In order, for every request on every route, public ones too:
//
//	Strip  before anything is decided, on headers and on trailers
//	Set    on the outgoing request, once the user is known
//
// and once for a configuration: New.
//
// # Names
//
// CGI, WSGI, PHP and their like turn `X-User-Id` into HTTP_X_USER_ID, and some turn
// `X_User_Id` or `X.User.Id` into the same. So names are compared folded (Fold): lower
// case, and everything but letters and digits an underscore.
//
// # Values
//
// A value arrives as it is, as long as it is printable ASCII without a per cent sign and
// does not begin or end with a space. All other bytes are written as %XX, capital
// hex digits, byte for byte of the UTF-8 text:
//
//   - control characters, DEL, every byte from 0x80 up, and "%" itself;
//   - a space at the beginning or end of a value or of an element of a list;
//   - in groups and claims, every byte of the separator (`join`), also when there is
//     one value only: `a,b` is one group called "a,b" written a%2Cb, not two.
//
// Backends split at the separator first and unescape afterwards, with a function that
// leaves "+" alone: urllib.parse.unquote in Python, rawurldecode in PHP,
// decodeURIComponent in JavaScript. Different values never look the same, and none can end the line.
//
// A value that is missing or empty is a header that is missing, or `default` if the
// header has one. Strings, numbers and booleans are values, lists of them too (without their
// empty elements); an object, null, or a list that holds one of these is as good as
// missing. What would be longer than MaxValue is an error, never cut off.
//
// What must not be in here: who the user is, and whether he may pass.
package identity
