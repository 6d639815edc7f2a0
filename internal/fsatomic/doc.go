// Package fsatomic is the only place that creates, renames and fsyncs files.
//
// A power cut must never leave a key, a journal or a published release half
// written, and a success that was reported must survive it. Both take an exact
// sequence of writes, fsyncs, renames and fsyncs of directories; here it is
// written once, and tested with a power cut at every step (package crashfs).
//
// What is guaranteed, on a file system and a disk that honour fsync:
//
//   - A reader of a name finds the old file or the new one, whole, at any moment.
//   - After a nil error the new state survives a power cut.
//   - After a power cut in the middle, or an error, the old state or the new one is there, whole.
//     The one error that says which is a wrapped [fs.ErrExist]: nothing was changed.
//   - Temporary files have their final permissions from the start, and names no one can guess.
//
// What is not: two writers of one name are not serialised (the last one wins; [CreateFile]
// lets the first one win), a cut may leave a temporary file behind (see [Leftover]), and
// the owner, extended attributes and other links of a replaced file are not carried over.
// On Windows directories can not be synced, and a name that someone holds open may refuse replacement.
package fsatomic
