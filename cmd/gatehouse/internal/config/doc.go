// Package config reads the settings of the program: one YAML file, the
// environment over it, the flags over both.
//
// In order:
//
//  1. The file is parsed into YAML's node tree, which knows the line of
//     everything. The tree is held against the Go types of [File]: unknown and
//     repeated keys, wrong types and values that cannot be read are faults, and
//     all of them are reported together.
//  2. The environment (GATEHOUSE_ and the path of a key in capitals) and the
//     flags are read in the same way, for every scalar key of File.
//  3. Viper lays the three over each other and over the defaults of the rooms.
//  4. Every foo_file is read and becomes foo.
//
// What the values mean is not decided here. The rooms' New functions do that;
// their faults carry a key path, and [Loaded.Locate] finds the line for it.
//
// Only main imports this package, so that no room can come to depend on how the
// file is written. Nothing here may print a value that could be a secret.
package config
