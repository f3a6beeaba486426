//! Libc's syncs and its wall clock, as a tortured server calls them: preloaded into its process, and told what to do by a small file, whose name is in a
//! variable. Syncs take longer or fail; the wall clock is another. Without the file all is as ever.
//!
//! The file holds three numbers of eight bytes, little end first: microseconds that each sync takes longer; 1 if syncs fail, else 0; milliseconds that the
//! wall clock is ahead. It is read at each call, so that a change has its effect at once.

#![allow(unsafe_code, reason = "functions of libc can be stood in for, and the system be called, in no other way")]

use std::{
    ffi::{c_int, c_long},
    sync::atomic::{AtomicI32, Ordering},
};

use libc::{clockid_t, timespec};

/// Names the file.
const VARIABLE: &std::ffi::CStr = c"TORTURE_CONTROL";
const NOT_OPENED: c_int = -2;
const NANOSECONDS: i64 = 1_000_000_000;

/// What the file says.
#[derive(Clone, Copy, Default)]
struct Wanted {
    delay_us: i64,
    fails: bool,
    ahead_ms: i64,
}

/// What is wanted now. Nothing is allocated here: who asks may be in the middle of that.
fn wanted() -> Wanted {
    static FILE: AtomicI32 = AtomicI32::new(NOT_OPENED);
    let mut file = FILE.load(Ordering::Relaxed);
    if file == NOT_OPENED {
        // SAFETY: the variable's value is a C string, if there is one, and nobody in this program changes variables.
        file = unsafe {
            let name = libc::getenv(VARIABLE.as_ptr());
            if name.is_null() { -1 } else { libc::open(name, libc::O_RDONLY | libc::O_CLOEXEC) }
        };
        FILE.store(file, Ordering::Relaxed);
    }
    let mut bytes = [0u8; 24];
    // SAFETY: so many bytes are there to be written to.
    let read = unsafe { libc::pread(file, bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if file < 0 || read != 24 {
        return Wanted::default();
    }
    let number = |place: usize| {
        let mut eight = [0; 8];
        eight.copy_from_slice(&bytes[place..place + 8]);
        i64::from_le_bytes(eight)
    };
    Wanted { delay_us: number(0), fails: number(8) == 1, ahead_ms: number(16) }
}

/// Waits, and syncs or fails.
fn sync(call: c_long, file: c_int) -> c_int {
    let wanted = wanted();
    if wanted.delay_us > 0 {
        let time = timespec { tv_sec: wanted.delay_us / 1_000_000, tv_nsec: wanted.delay_us % 1_000_000 * 1000 };
        // SAFETY: the time is there, and nobody asks what is left of it.
        unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
    }
    if wanted.fails {
        // SAFETY: each thread has a place for its error.
        unsafe { *libc::__errno_location() = libc::EIO };
        return -1;
    }
    // SAFETY: the call takes a file's number and nothing else.
    unsafe { libc::syscall(call, file) as c_int }
}

/// As libc's.
#[unsafe(no_mangle)]
pub extern "C" fn fsync(file: c_int) -> c_int {
    sync(libc::SYS_fsync, file)
}

/// As libc's.
#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(file: c_int) -> c_int {
    sync(libc::SYS_fdatasync, file)
}

/// As libc's, but that the wall clock is ahead by what is wanted.
///
/// # Safety
/// As libc's: `time` points to a time, or to nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    // SAFETY: the caller gives what the call takes.
    let got = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) as c_int };
    if got == 0 && clock == libc::CLOCK_REALTIME && !time.is_null() {
        let ahead = wanted().ahead_ms;
        // SAFETY: it was just written.
        let time = unsafe { &mut *time };
        let nanoseconds = time.tv_nsec + ahead % 1000 * 1_000_000;
        time.tv_sec += ahead / 1000 + nanoseconds.div_euclid(NANOSECONDS);
        time.tv_nsec = nanoseconds.rem_euclid(NANOSECONDS);
    }
    got
}
