// Package users is what gatehouse remembers: accounts with their groups and
// password hashes, and the refresh tokens that were handed out and revoked. It is
// the only package that contains SQL.
//
// A [Store] is opened once per process ([Open]): the file is created readable by
// its owner alone, its schema is brought up to date, and two background tasks
// start, one that reads the change feed and one that removes expired rows. Other
// processes, such as the commands that edit users, may have the same file open.
//
//   - A login ([Store.Authenticate]) reads the account, verifies the password
//     through package password, reads the account again, because the check may
//     have waited, and only then looks whether it is active. All failures are one
//     error and take one time.
//   - A forwarded request asks [Store.LiveUser] for the account as it is now. The
//     answer is at most ten seconds old; it is dropped at once when this process
//     writes the account, and about a second after another one did.
//   - A login begins a session ([Store.StartSession]), and a refresh goes on with it
//     ([Store.RenewSession]), by compare-and-swap if the token is exchanged. All
//     tokens of a session are of one [Family]. That it was ended is known from
//     memory ([Store.SessionEnded]), in other processes after about a second.
//   - A revoked refresh token ([Store.RevokeToken]) is on the disk when the call
//     returns, and stays there until long after it has expired.
//
// Writes to SQLite go through one connection, each transaction taking the write lock at
// its beginning: it waits for another process's write and never fails halfway for having
// begun as a read. What comes to be written while the disk is waited for is the next
// transaction together, each behind a savepoint of its own, and answered when that is on
// the disk. Reads have connections of their own and wait for nobody.
//
// What is not in here: HTTP, tokens themselves (only their ids), configuration
// files. Times are stored as microseconds since 1970, UTC.
package users
