//! What a power cut can leave of the real log on sled and of the real snapshot files, tried image by image.
//!
//! No test that kills a process finds what a power cut does: the kernel keeps what was written and not synced. So here every call that changes
//! a file is [recorded](recording) while the server's own disk code works; then, for many moments, the [images](image) are
//! built that a disk could hold if the power had gone just then; and each is opened with the same code and held against what had been
//! [acknowledged](promise) by that moment. What was opened [works on](work), and has its power cut a second time. All of it, from a seed, is a
//! [trial].
//!
//! That such a test can find anything is shown by breaking the rules of the disk one at a time; see `cuts.rs`, and
//! `docs/decisions/power-cuts.md` for what was found.
//!
//! `interpose` stands in for libc's functions and is the only file with `unsafe` code in the workspace.
#![cfg(not(madsim))]

pub mod image;
mod interpose;
pub mod promise;
pub mod recording;
pub mod trial;
pub mod work;
