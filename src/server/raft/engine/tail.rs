//! The tail: a file of fixed size in front of the database, into which each batch goes with one write and one `fdatasync`.
//!
//! A batch is a *frame*: a header, then the writes. Frames have consecutive numbers and begin at multiples of a page, so that no write touches a
//! page with something acknowledged in it. When there is no room for a frame, and the database has durably all that the others hold, the next
//! one goes to the beginning. What then lies behind it is older: its numbers don't follow, nor does its *salt*, which is drawn anew
//! each time, so that nothing that clients once wrote can be taken for a frame. The file is as long as it ever gets from the beginning,
//! since a sync that has a new length to write costs twice.
//!
//! The idea of numbers and salts is that of the write-ahead log of SQLite.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use bytes::{Buf, BufMut, Bytes};

use super::{
    Mark, Write, beside,
    rules::{Rule, kept},
};
use crate::raft::snapshots::files::sync_parent;

/// Bytes of the file. Larger batches than that, which hardly any load has, go into the database at once.
pub const TAIL_BYTES: usize = 4 << 20;
/// Where frames may begin: at multiples of this many bytes.
const PAGE_BYTES: usize = 4096;
/// What a frame begins with: the format's name, and its version.
const MAGIC: [u8; 3] = *b"RFT";
const VERSION: u8 = 1;
/// Name and version, bytes of the writes, number, salt, checksum of all but name and version.
const HEADER_BYTES: usize = 4 + 4 + 8 + 8 + 4;

/// The open file.
pub struct Tail {
    file: File,
    path: PathBuf,
    /// Where the next frame goes.
    place: usize,
    salt: u64,
}

impl Tail {
    /// Opens the tail of the database in this directory, or makes it: a file beside it.
    ///
    /// # Errors
    /// If the file can't be opened, or there is no room for it.
    pub fn open(database: &Path) -> io::Result<Self> {
        let path = beside(database, ".tail");
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path)?;
        let length = file.metadata()?.len();
        if length < TAIL_BYTES as u64 {
            // Written, not merely made longer, so that syncs needn't write where the bytes are.
            let missing = vec![0; TAIL_BYTES - usize::try_from(length).unwrap_or(0)];
            file.write_all_at(&missing, length)?;
        }
        file.sync_all()?;
        sync_parent(&path)?;
        let tail = Self { file, path, place: 0, salt: rand::random() };
        tail.leave_the_cache();
        Ok(tail)
    }

    /// What the kernel keeps of the file is in pieces as large as what was written at once, each of which it goes through whole for every write into it, and
    /// counts as written. Whole pages are written here, so that nothing of the former bytes is needed. It is advice: nothing is lost if it isn't taken.
    fn leave_the_cache(&self) {
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
    }

    /// The batches that follow the one with this number, which is the last one that the database has.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if some in between are missing, if what is whole can't be understood, or if a newer version wrote it.
    pub fn after(&self, number: u64) -> io::Result<Vec<(u64, Vec<Write>)>> {
        let mut bytes = vec![0; TAIL_BYTES];
        self.file.read_exact_at(&mut bytes, 0)?;
        if let Some(newer) = bytes.strip_prefix(&MAGIC).and_then(|rest| rest.first()).filter(|found| **found > VERSION)
        {
            return Err(self.invalid(format!("is of format {newer}, and this version reads up to {VERSION}")));
        }
        let bytes = Bytes::from(bytes);
        let mut batches = Vec::new();
        let (mut place, mut last) = (0, None);
        while let Some((frame, body)) = open(&bytes, place)
            && last.is_none_or(|(before, salt)| frame == Frame { number: before + 1, salt })
        {
            if last.is_none() && frame.number > number + 1 {
                let first = frame.number;
                return Err(
                    self.invalid(format!("begins with batch {first}, and the database ends with batch {number}"))
                );
            }
            last = Some((frame.number, frame.salt));
            place += pages(HEADER_BYTES + body.len());
            if frame.number > number {
                let writes = decode(body)
                    .ok_or_else(|| self.invalid(format!("can't be understood in batch {}", frame.number)))?;
                batches.push((frame.number, writes));
            }
        }
        Ok(batches)
    }

    /// Makes a batch durable, if there is room: false if there isn't.
    ///
    /// # Errors
    /// If the disk can't. What is durable then isn't known.
    pub fn append(&mut self, number: u64, batch: &Batch) -> io::Result<bool> {
        let bytes = batch.sealed(Frame { number, salt: self.salt });
        let room = bytes.as_ref().filter(|bytes| self.place + bytes.len() <= TAIL_BYTES);
        let Some(bytes) = room else { return Ok(false) };
        self.file.write_all_at(bytes, self.place as u64)?;
        if kept(Rule::TailSynced) {
            // What it says is never a mere lack of room: the kernel may have forgotten what it couldn't write.
            self.file.sync_data().map_err(|error| io::Error::other(format!("a sync failed: {error}")))?;
        }
        self.place += bytes.len();
        Ok(true)
    }

    /// Has the next frame go to the beginning. The database must have durably what the others hold.
    pub fn begin_anew(&mut self) {
        self.place = 0;
        self.salt = rand::random();
        self.leave_the_cache();
    }

    fn invalid(&self, what: String) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("{} {what}", self.path.display()))
    }
}

/// What a frame is known by.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Frame {
    number: u64,
    salt: u64,
}

impl Frame {
    fn checksum(self, body: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&(body.len() as u64).to_be_bytes());
        hasher.update(&self.number.to_be_bytes());
        hasher.update(&self.salt.to_be_bytes());
        hasher.update(body);
        hasher.finalize()
    }
}

/// Bytes of whole pages.
fn pages(bytes: usize) -> usize {
    bytes.next_multiple_of(PAGE_BYTES)
}

/// The frame that begins here, and its writes, if there is a whole one.
fn open(bytes: &Bytes, place: usize) -> Option<(Frame, Bytes)> {
    let mut rest = bytes.get(place..)?;
    if rest.len() < HEADER_BYTES || rest[..MAGIC.len()] != MAGIC || rest[MAGIC.len()] != VERSION {
        return None;
    }
    rest.advance(MAGIC.len() + 1);
    let length = rest.get_u32() as usize;
    let frame = Frame { number: rest.get_u64(), salt: rest.get_u64() };
    let sum = rest.get_u32();
    let body = rest.get(..length)?;
    (frame.checksum(body) == sum).then(|| (frame, bytes.slice_ref(body)))
}

/// Writes that will be a frame.
pub struct Batch(Vec<u8>);

impl Default for Batch {
    fn default() -> Self {
        // Room for the header.
        Self(vec![0; HEADER_BYTES])
    }
}

impl Batch {
    /// Adds a write.
    pub fn add(&mut self, write: &Write) {
        let out = &mut self.0;
        match write {
            Write::Append { index, record } => {
                out.put_u8(1);
                out.put_u64(*index);
                put_bytes(out, record);
            }
            Write::Mark { mark, value } => {
                out.put_u8(2);
                put_bytes(out, mark.name().as_bytes());
                put_bytes(out, value);
            }
            Write::Truncate { from } => {
                out.put_u8(3);
                out.put_u64(*from);
            }
            Write::Remove { indexes } => {
                out.put_u8(4);
                out.put_u64(indexes.start);
                out.put_u64(indexes.end);
            }
        }
    }

    /// With its header, in whole pages; `None` if it is larger than any frame.
    fn sealed(&self, frame: Frame) -> Option<Vec<u8>> {
        let body = self.0.get(HEADER_BYTES..)?;
        let length = u32::try_from(body.len()).ok().filter(|_| self.0.len() <= TAIL_BYTES)?;
        let mut bytes = Vec::with_capacity(pages(self.0.len()));
        bytes.put_slice(&MAGIC);
        bytes.put_u8(VERSION);
        bytes.put_u32(length);
        bytes.put_u64(frame.number);
        bytes.put_u64(frame.salt);
        bytes.put_u32(frame.checksum(body));
        bytes.put_slice(body);
        bytes.resize(pages(bytes.len()), 0);
        Some(bytes)
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    // Lengths of more than 4 GiB don't fit, but neither does the batch.
    out.put_u32(bytes.len() as u32);
    out.put_slice(bytes);
}

/// The writes of a frame; `None` if they can't be that.
fn decode(mut body: Bytes) -> Option<Vec<Write>> {
    let mut writes = Vec::new();
    while body.has_remaining() {
        writes.push(match body.get_u8() {
            1 => Write::Append { index: body.try_get_u64().ok()?, record: take_bytes(&mut body)? },
            2 => Write::Mark { mark: mark(&take_bytes(&mut body)?)?, value: take_bytes(&mut body)? },
            3 => Write::Truncate { from: body.try_get_u64().ok()? },
            4 => Write::Remove { indexes: range(&mut body)? },
            _ => return None,
        });
    }
    Some(writes)
}

fn take_bytes(body: &mut Bytes) -> Option<Bytes> {
    let length = body.try_get_u32().ok()? as usize;
    (length <= body.len()).then(|| body.split_to(length))
}

fn range(body: &mut Bytes) -> Option<Range<u64>> {
    Some(body.try_get_u64().ok()?..body.try_get_u64().ok()?)
}

fn mark(name: &[u8]) -> Option<Mark> {
    Mark::ALL.into_iter().find(|mark| mark.name().as_bytes() == name)
}

#[cfg(all(test, not(madsim)))]
#[path = "tail_tests.rs"]
mod tests;
