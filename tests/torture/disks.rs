//! Servers' disks: small file systems of their own, which can be filled to the last byte.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rustix::io::Errno;

use crate::net::run;

/// More than a server needs in a round, and little enough to be filled at once.
const SIZE_MIB: u64 = 96;
/// What servers are to keep back of it. Their own reserve is meant for larger disks: on these it would never be free again.
pub const RESERVE_BYTES: u64 = 8 << 20;
/// What takes the room away. It stands beside what is the server's, and the server doesn't look at it.
const BALLAST: &str = "ballast";

/// What a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory of whatever file system there is. It can't be filled.
    Directory,
    /// In memory, where a sync is nothing.
    Memory,
    /// ext4 on an image, where a sync is one.
    Image,
}

/// A server's disk.
#[derive(Debug)]
pub struct Disk {
    at: PathBuf,
    kind: Kind,
}

impl Disk {
    /// Makes one at this directory, which is created.
    ///
    /// # Errors
    /// If it can't be made, or mounted.
    pub fn make(at: &Path, kind: Kind) -> Result<Self> {
        fs::create_dir_all(at).with_context(|| format!("create {}", at.display()))?;
        let place = at.to_string_lossy();
        match kind {
            Kind::Directory => {}
            Kind::Memory => {
                run(&["mount", "-t", "tmpfs", "-o", &format!("size={SIZE_MIB}m"), "ringfence", &place], "")?;
            }
            Kind::Image => {
                let image = at.with_extension("image");
                let file = File::create(&image).with_context(|| format!("create {}", image.display()))?;
                file.set_len(SIZE_MIB << 20)?;
                drop(file);
                let image = image.to_string_lossy();
                run(&["mkfs.ext4", "-q", "-F", "-m", "0", &image], "")?;
                run(&["mount", "-o", "loop", &image, &place], "")?;
            }
        }
        Ok(Self { at: at.to_owned(), kind })
    }

    /// It can be filled.
    #[must_use]
    pub fn is_small(&self) -> bool {
        self.kind != Kind::Directory
    }

    /// Takes all room that is left. Gives how many bytes that was.
    ///
    /// # Errors
    /// If it fails for another reason than that there is no room.
    pub fn fill(&self) -> Result<u64> {
        if !self.is_small() {
            return Ok(0);
        }
        let mut file = File::options().create(true).append(true).open(self.at.join(BALLAST))?;
        let mut taken = allocate(&file)?;
        // Ever smaller pieces, until not a byte is left.
        for piece in [1 << 20, 1 << 14, 1 << 9, 1] {
            let piece = vec![0; piece];
            loop {
                match file.write(&piece) {
                    Ok(0) => break,
                    Ok(written) => taken += written as u64,
                    Err(error) if is_full(&error) => break,
                    Err(error) => return Err(error).context("fill a disk"),
                }
            }
        }
        Ok(taken)
    }

    /// Gives the room back.
    ///
    /// # Errors
    /// If the ballast can't be taken away.
    pub fn empty(&self) -> Result<()> {
        match fs::remove_file(self.at.join(BALLAST)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("empty a disk"),
            _ => Ok(()),
        }
    }
}

/// Takes what the file system says is free, at once.
fn allocate(file: &File) -> Result<u64> {
    let room = rustix::fs::fstatvfs(file)?;
    let free = room.f_bavail * room.f_frsize;
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, free.max(1)) {
        Ok(()) => Ok(free),
        // Some of it was taken meanwhile, or is needed for more than what stands in files.
        Err(Errno::NOSPC) => Ok(0),
        Err(error) => Err(error).context("fill a disk"),
    }
}

fn is_full(error: &std::io::Error) -> bool {
    let full = [Errno::NOSPC, Errno::DQUOT].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| full.contains(&code))
}

/// Unmounts everything below a directory.
pub fn unmount_below(directory: &Path) {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split_whitespace().nth(1));
    let mine: Vec<&str> = places.filter(|place| Path::new(place).starts_with(directory)).collect();
    for place in mine.into_iter().rev() {
        if run(&["umount", place], "").is_err()
            && let Err(error) = run(&["umount", "-l", place], "")
        {
            eprintln!("{error:#}");
        }
    }
}
