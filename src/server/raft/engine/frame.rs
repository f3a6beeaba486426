//! A batch of writes as it stands in the [tail](super::tail): a header, then the writes.
//!
//! Frames have consecutive numbers and begin at multiples of a page, so that no write touches a page with something acknowledged in it. All
//! frames of a segment have the same *salt*, which is drawn anew each time one begins, so that nothing that clients once wrote can be
//! taken for a frame.
//!
//! The idea of numbers and salts is that of the write-ahead log of SQLite.

use std::{convert::Infallible, ops::Range};

use bytes::{Buf, BufMut, Bytes};

use super::{Mark, Write};

/// Bytes that a frame has at most.
pub const FRAME_BYTES_MAX: usize = 4 << 20;
/// Where frames may begin: at multiples of this many bytes.
pub const PAGE_BYTES: usize = 4096;
/// What a frame begins with: the format's name, and its version. Version 1 is the same, in a file of one segment.
const MAGIC: [u8; 3] = *b"RFT";
const VERSION: u8 = 2;
/// Name and version, bytes of the writes, number, salt, checksum of all but name and version.
const HEADER_BYTES: usize = 4 + 4 + 8 + 8 + 4;

/// Bytes of a write beyond those of its record or value, at most.
const WRITE_BYTES_MAX: usize = 32;

/// What a frame is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Of its batch.
    pub number: u64,
    /// Of its segment.
    pub salt: u64,
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

/// Where a record or a mark's value is, in bytes from its frame's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its first byte.
    pub start: u32,
    /// How many they are.
    pub bytes: u32,
}

impl Place {
    /// As indexes of a frame's bytes.
    fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.bytes as usize
    }
}

/// A write, whose bytes are in its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// [`Write::Append`].
    Append {
        /// The index.
        index: u64,
        /// The record.
        record: Place,
    },
    /// [`Write::Mark`].
    Mark {
        /// Which.
        mark: Mark,
        /// Its value.
        value: Place,
    },
    /// [`Write::Truncate`].
    Truncate {
        /// The first that goes.
        from: u64,
    },
    /// [`Write::Remove`].
    Remove {
        /// Which.
        indexes: Range<u64>,
    },
}

impl Kept {
    /// As it was written, with the bytes of its place.
    ///
    /// # Errors
    /// If they can't be had.
    pub fn write<E>(&self, bytes: impl FnOnce(Place) -> Result<Bytes, E>) -> Result<Write, E> {
        Ok(match self {
            Self::Append { index, record } => Write::Append { index: *index, record: bytes(*record)? },
            Self::Mark { mark, value } => Write::Mark { mark: *mark, value: bytes(*value)? },
            Self::Truncate { from } => Write::Truncate { from: *from },
            Self::Remove { indexes } => Write::Remove { indexes: indexes.clone() },
        })
    }
}

/// Bytes of a batch whose memory is used again for the next one.
const REUSED_BYTES_MAX: usize = 256 << 10;

/// Writes that will be a frame.
#[derive(Debug)]
pub struct Batch {
    /// With room for the header. Once it is sealed the rest of the last page follows.
    bytes: Vec<u8>,
    /// Where the writes end.
    end: usize,
    kept: Vec<Kept>,
}

impl Default for Batch {
    fn default() -> Self {
        Self { bytes: vec![0; HEADER_BYTES], end: HEADER_BYTES, kept: Vec::new() }
    }
}

impl Batch {
    /// Adds a write.
    pub fn add(&mut self, write: &Write) {
        let out = &mut self.bytes;
        out.truncate(self.end);
        let kept = match write {
            Write::Append { index, record } => {
                out.put_u8(1);
                out.put_u64(*index);
                Kept::Append { index: *index, record: put_bytes(out, record) }
            }
            Write::Mark { mark, value } => {
                out.put_u8(2);
                put_bytes(out, mark.name().as_bytes());
                Kept::Mark { mark: *mark, value: put_bytes(out, value) }
            }
            Write::Truncate { from } => {
                out.put_u8(3);
                out.put_u64(*from);
                Kept::Truncate { from: *from }
            }
            Write::Remove { indexes } => {
                out.put_u8(4);
                out.put_u64(indexes.start);
                out.put_u64(indexes.end);
                Kept::Remove { indexes: indexes.clone() }
            }
        };
        self.end = out.len();
        self.kept.push(kept);
    }

    /// Whether a frame can hold what was added and this write, too.
    pub fn fits(&self, write: &Write) -> bool {
        let bytes = match write {
            Write::Append { record, .. } => record.len(),
            Write::Mark { value, .. } => value.len(),
            Write::Truncate { .. } | Write::Remove { .. } => 0,
        };
        self.end.saturating_add(bytes).saturating_add(WRITE_BYTES_MAX) <= FRAME_BYTES_MAX
    }

    /// Nothing was added.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Gives what was added, as it stands in the frame, and is empty then.
    pub fn take_kept(&mut self) -> Vec<Kept> {
        self.end = HEADER_BYTES;
        self.bytes.truncate(self.end);
        self.bytes.shrink_to(REUSED_BYTES_MAX);
        // Tens of thousands of them may be kept.
        self.kept.drain(..).collect()
    }

    /// What was added.
    pub fn writes(&self) -> Vec<Write> {
        let bytes = |place: Place| Bytes::copy_from_slice(self.bytes.get(place.range()).unwrap_or_default());
        let write = |kept: &Kept| {
            let Ok(write) = kept.write(|place| Ok::<_, Infallible>(bytes(place)));
            write
        };
        self.kept.iter().map(write).collect()
    }

    /// The frame, in whole pages; `None` if it would be larger than any.
    pub fn sealed(&mut self, frame: Frame) -> Option<&[u8]> {
        let body = self.bytes.get(HEADER_BYTES..self.end)?;
        let length = u32::try_from(body.len()).ok().filter(|_| self.end <= FRAME_BYTES_MAX)?;
        let checksum = frame.checksum(body);
        let mut header = self.bytes.get_mut(..HEADER_BYTES)?;
        header.put_slice(&MAGIC);
        header.put_u8(VERSION);
        header.put_u32(length);
        header.put_u64(frame.number);
        header.put_u64(frame.salt);
        header.put_u32(checksum);
        self.bytes.resize(pages(self.end), 0);
        Some(&self.bytes)
    }
}

/// Bytes of whole pages.
pub fn pages(bytes: usize) -> usize {
    bytes.next_multiple_of(PAGE_BYTES)
}

/// The version that begins these bytes, if it is one that this version of Ringfence can't read.
pub fn newer(bytes: &[u8]) -> Option<u8> {
    bytes.strip_prefix(&MAGIC)?.first().copied().filter(|found| *found > VERSION)
}

/// The newest version that can be read.
pub fn newest() -> u8 {
    VERSION
}

/// The frame that these bytes begin with, if there is a whole one, and its bytes without the rest of its last page.
pub fn open(bytes: &[u8]) -> Option<(Frame, &[u8])> {
    let mut rest = bytes;
    let known = rest.len() >= HEADER_BYTES && rest.starts_with(&MAGIC) && (1..=VERSION).contains(&rest[MAGIC.len()]);
    if !known {
        return None;
    }
    rest.advance(MAGIC.len() + 1);
    let length = rest.get_u32() as usize;
    let frame = Frame { number: rest.get_u64(), salt: rest.get_u64() };
    let sum = rest.get_u32();
    let body = rest.get(..length)?;
    (frame.checksum(body) == sum).then(|| (frame, &bytes[..HEADER_BYTES + length]))
}

/// The writes of a frame, of which these are the bytes; `None` if they can't be that.
pub fn decode(frame: &[u8]) -> Option<Vec<Kept>> {
    let mut rest = frame.get(HEADER_BYTES..)?;
    let mut kept = Vec::new();
    while rest.has_remaining() {
        kept.push(match rest.get_u8() {
            1 => Kept::Append { index: rest.try_get_u64().ok()?, record: take_bytes(frame, &mut rest)? },
            2 => {
                let name = take_bytes(frame, &mut rest)?;
                Kept::Mark { mark: mark(frame.get(name.range())?)?, value: take_bytes(frame, &mut rest)? }
            }
            3 => Kept::Truncate { from: rest.try_get_u64().ok()? },
            4 => Kept::Remove { indexes: rest.try_get_u64().ok()?..rest.try_get_u64().ok()? },
            _ => return None,
        });
    }
    Some(kept)
}

/// Lengths of more than 4 GiB don't fit, but neither does the batch.
fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Place {
    out.put_u32(bytes.len() as u32);
    let place = Place { start: out.len() as u32, bytes: bytes.len() as u32 };
    out.put_slice(bytes);
    place
}

fn take_bytes(frame: &[u8], rest: &mut &[u8]) -> Option<Place> {
    let bytes = rest.try_get_u32().ok()?;
    let start = u32::try_from(frame.len() - rest.len()).ok()?;
    if bytes as usize > rest.len() {
        return None;
    }
    rest.advance(bytes as usize);
    Some(Place { start, bytes })
}

fn mark(name: &[u8]) -> Option<Mark> {
    Mark::ALL.into_iter().find(|mark| mark.name().as_bytes() == name)
}
