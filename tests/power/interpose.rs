//! libc's functions that change files, as this program calls them: they do the same, and what they did below the recorded directory is
//! written down.
//!
//! A program's own functions come before a shared library's of the same name, so the standard library and sled call these. Each finds the
//! real one with `dlsym`. `open` and its like have a variable number of arguments in C; the third is passed in the same register whether
//! it is there or not on all machines that Ringfence runs on, and is handed on.
//!
//! That no call is missed is checked by what is recorded: all of it together must give the files that are really there.

#![allow(unsafe_code, reason = "functions of libc can be stood in for, and the real ones be called, in no other way")]

use std::{
    ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void},
    os::unix::ffi::OsStrExt,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use libc::{iovec, mode_t, off_t, size_t, ssize_t};

use crate::recording::{Live, Node, Op, recorded};

/// The real function of this name and type.
macro_rules! real {
    ($name:literal, fn($($argument:ty),*) -> $result:ty) => {{
        static REAL: AtomicUsize = AtomicUsize::new(0);
        let mut address = REAL.load(Ordering::Relaxed);
        if address == 0 {
            // SAFETY: the name is a C string.
            address = unsafe { libc::dlsym(libc::RTLD_NEXT, $name.as_ptr()) } as usize;
            assert!(address != 0, "libc lacks a function");
            REAL.store(address, Ordering::Relaxed);
        }
        // SAFETY: libc's function of this name has this type.
        unsafe { std::mem::transmute::<usize, unsafe extern "C" fn($($argument),*) -> $result>(address) }
    }};
}

/// A path from C.
fn path<'a>(path: *const c_char) -> &'a OsStr {
    // SAFETY: who calls libc with a path gives a C string, which lives for as long as the call.
    OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes())
}

/// The directory that a relative path begins at, if not the current one.
fn base(directory: c_int) -> Option<c_int> {
    (directory != libc::AT_FDCWD).then_some(directory)
}

/// Calls, and records what it did to an open file.
fn on_file<T>(file: c_int, call: impl FnOnce() -> T, record: impl FnOnce(&T, &mut Live, Node)) -> T {
    if let Some(mut live) = recorded()
        && let Some(live) = live.as_mut()
        && let Some(node) = live.node(file)
    {
        let result = call();
        record(&result, live, node);
        return result;
    }
    call()
}

fn open_with(directory: Option<c_int>, name: *const c_char, flags: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(mut live) = recorded() else { return call() };
    let Some(live) = live.as_mut() else { return call() };
    let place = live.place(directory, path(name));
    let file = call();
    if file >= 0 {
        live.forget(file);
        if let Some(place) = place {
            live.opened(file, place, flags & libc::O_TRUNC != 0);
        }
    }
    file
}

/// Calls, and records what it did to the name. Nothing, where it failed.
fn on_name(
    directory: Option<c_int>,
    name: *const c_char,
    call: impl FnOnce() -> c_int,
    record: impl FnOnce(&mut Live, crate::recording::Place),
) -> c_int {
    let Some(mut live) = recorded() else { return call() };
    let Some(live) = live.as_mut() else { return call() };
    let place = live.place(directory, path(name));
    let result = call();
    if let (0, Some(place)) = (result, place) {
        record(live, place);
    }
    result
}

fn rename_with(
    from: (Option<c_int>, *const c_char),
    to: (Option<c_int>, *const c_char),
    call: impl FnOnce() -> c_int,
) -> c_int {
    let Some(mut live) = recorded() else { return call() };
    let Some(live) = live.as_mut() else { return call() };
    let places = (live.place(from.0, path(from.1)), live.place(to.0, path(to.1)));
    let result = call();
    match (result, places) {
        (0, (Some(from), Some(to))) => live.renamed(from, to),
        (0, (None, None)) => {}
        (0, _) => panic!("a rename into or out of the recorded directory isn't modelled"),
        _ => {}
    }
    result
}

fn written(result: ssize_t, live: &mut Live, node: Node, offset: off_t, buffer: *const c_void) {
    let (Ok(count), Ok(offset)) = (usize::try_from(result), u64::try_from(offset)) else { return };
    if count > 0 {
        // SAFETY: the call has just read so many bytes from there.
        let bytes = Bytes::copy_from_slice(unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), count) });
        live.ops.push(Op::Written { node, offset, bytes });
    }
}

/// As [`written`], from several places.
fn written_from(result: ssize_t, live: &mut Live, node: Node, offset: off_t, parts: *const iovec, count: c_int) {
    let (Ok(mut left), Ok(mut at)) = (usize::try_from(result), u64::try_from(offset)) else { return };
    for number in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: the caller gave so many parts.
        let part = unsafe { &*parts.add(number) };
        let length = part.iov_len.min(left);
        if length > 0 {
            // SAFETY: the call has just read so many bytes from there.
            let bytes =
                Bytes::copy_from_slice(unsafe { std::slice::from_raw_parts(part.iov_base.cast::<u8>(), length) });
            live.ops.push(Op::Written { node, offset: at, bytes });
            at += length as u64;
            left -= length;
        }
    }
}

/// Where a sequential write of so many bytes began: where the file stands now, less those.
fn began(file: c_int, result: ssize_t) -> off_t {
    // SAFETY: no memory is involved.
    (unsafe { libc::lseek(file, 0, libc::SEEK_CUR) }) - result as off_t
}

macro_rules! opens {
    ($($function:ident $name:literal, $function_at:ident $name_at:literal);*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $function(name: *const c_char, flags: c_int, mode: mode_t) -> c_int {
            let real = real!($name, fn(*const c_char, c_int, mode_t) -> c_int);
            // SAFETY: as the caller called.
            open_with(None, name, flags, || unsafe { real(name, flags, mode) })
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $function_at(directory: c_int, name: *const c_char, flags: c_int, mode: mode_t) -> c_int {
            let real = real!($name_at, fn(c_int, *const c_char, c_int, mode_t) -> c_int);
            // SAFETY: as the caller called.
            open_with(base(directory), name, flags, || unsafe { real(directory, name, flags, mode) })
        }
    )*};
}

opens!(open c"open", openat c"openat"; open64 c"open64", openat64 c"openat64");

#[unsafe(no_mangle)]
unsafe extern "C" fn creat(name: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: as the caller called.
    unsafe { open(name, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn close(file: c_int) -> c_int {
    let real = real!(c"close", fn(c_int) -> c_int);
    let mut live = recorded();
    if let Some(live) = live.as_mut().and_then(|live| live.as_mut()) {
        live.forget(file);
    }
    // SAFETY: as the caller called.
    unsafe { real(file) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(file: c_int, buffer: *const c_void, count: size_t) -> ssize_t {
    let real = real!(c"write", fn(c_int, *const c_void, size_t) -> ssize_t);
    on_file(
        file,
        // SAFETY: as the caller called.
        || unsafe { real(file, buffer, count) },
        |result, live, node| written(*result, live, node, began(file, *result), buffer),
    )
}

#[unsafe(no_mangle)]
unsafe extern "C" fn writev(file: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    let real = real!(c"writev", fn(c_int, *const iovec, c_int) -> ssize_t);
    on_file(
        file,
        // SAFETY: as the caller called.
        || unsafe { real(file, parts, count) },
        |result, live, node| written_from(*result, live, node, began(file, *result), parts, count),
    )
}

macro_rules! writes_at {
    ($($function:ident $name:literal, $function_of_parts:ident $name_of_parts:literal);*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $function(file: c_int, buffer: *const c_void, count: size_t, offset: off_t) -> ssize_t {
            let real = real!($name, fn(c_int, *const c_void, size_t, off_t) -> ssize_t);
            on_file(
                file,
                // SAFETY: as the caller called.
                || unsafe { real(file, buffer, count, offset) },
                |result, live, node| written(*result, live, node, offset, buffer),
            )
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $function_of_parts(file: c_int, parts: *const iovec, count: c_int, offset: off_t) -> ssize_t {
            let real = real!($name_of_parts, fn(c_int, *const iovec, c_int, off_t) -> ssize_t);
            on_file(
                file,
                // SAFETY: as the caller called.
                || unsafe { real(file, parts, count, offset) },
                |result, live, node| written_from(*result, live, node, offset, parts, count),
            )
        }
    )*};
}

writes_at!(pwrite c"pwrite", pwritev c"pwritev"; pwrite64 c"pwrite64", pwritev64 c"pwritev64");

macro_rules! cuts {
    ($($function:ident $name:literal),*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $function(file: c_int, length: off_t) -> c_int {
            let real = real!($name, fn(c_int, off_t) -> c_int);
            on_file(
                file,
                // SAFETY: no memory is involved.
                || unsafe { real(file, length) },
                |result, live, node| {
                    if let (0, Ok(length)) = (*result, u64::try_from(length)) {
                        live.ops.push(Op::Cut { node, length });
                    }
                },
            )
        }
    )*};
}

cuts!(ftruncate c"ftruncate", ftruncate64 c"ftruncate64");

/// A sync of a recorded file isn't done: whether it was asked for is all that counts.
fn sync(file: c_int, call: impl FnOnce() -> c_int, op: impl FnOnce(Node) -> Op) -> c_int {
    if let Some(mut live) = recorded()
        && let Some(live) = live.as_mut()
        && let Some(node) = live.node(file)
    {
        live.ops.push(op(node));
        return 0;
    }
    call()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(file: c_int) -> c_int {
    let real = real!(c"fsync", fn(c_int) -> c_int);
    // SAFETY: no memory is involved.
    sync(file, || unsafe { real(file) }, |node| Op::Synced { node })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(file: c_int) -> c_int {
    let real = real!(c"fdatasync", fn(c_int) -> c_int);
    // SAFETY: no memory is involved.
    sync(file, || unsafe { real(file) }, |node| Op::Synced { node })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sync_file_range(file: c_int, offset: off_t, count: off_t, flags: c_uint) -> c_int {
    let real = real!(c"sync_file_range", fn(c_int, off_t, off_t, c_uint) -> c_int);
    // SAFETY: no memory is involved.
    sync(file, || unsafe { real(file, offset, count, flags) }, |node| Op::RangeSynced { node })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    let real = real!(c"rename", fn(*const c_char, *const c_char) -> c_int);
    // SAFETY: as the caller called.
    rename_with((None, from), (None, to), || unsafe { real(from, to) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn renameat(from_base: c_int, from: *const c_char, to_base: c_int, to: *const c_char) -> c_int {
    let real = real!(c"renameat", fn(c_int, *const c_char, c_int, *const c_char) -> c_int);
    // SAFETY: as the caller called.
    rename_with((base(from_base), from), (base(to_base), to), || unsafe { real(from_base, from, to_base, to) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdir(name: *const c_char, mode: mode_t) -> c_int {
    let real = real!(c"mkdir", fn(*const c_char, mode_t) -> c_int);
    // SAFETY: as the caller called.
    on_name(None, name, || unsafe { real(name, mode) }, made_directory)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdirat(directory: c_int, name: *const c_char, mode: mode_t) -> c_int {
    let real = real!(c"mkdirat", fn(c_int, *const c_char, mode_t) -> c_int);
    // SAFETY: as the caller called.
    on_name(base(directory), name, || unsafe { real(directory, name, mode) }, made_directory)
}

fn made_directory(live: &mut Live, place: crate::recording::Place) {
    if let Some((directory, name)) = place.name {
        live.made(directory, name, true);
    }
}

macro_rules! removes {
    ($($function:ident $name:literal),*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $function(name: *const c_char) -> c_int {
            let real = real!($name, fn(*const c_char) -> c_int);
            // SAFETY: as the caller called.
            on_name(None, name, || unsafe { real(name) }, Live::removed)
        }
    )*};
}

removes!(unlink c"unlink", rmdir c"rmdir", remove c"remove");

#[unsafe(no_mangle)]
unsafe extern "C" fn unlinkat(directory: c_int, name: *const c_char, flags: c_int) -> c_int {
    let real = real!(c"unlinkat", fn(c_int, *const c_char, c_int) -> c_int);
    // SAFETY: as the caller called.
    on_name(base(directory), name, || unsafe { real(directory, name, flags) }, Live::removed)
}
