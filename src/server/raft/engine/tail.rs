//! The tail: a file in front of the database, into which each batch goes as a [frame] with one write and one `fdatasync`.
//!
//! The file is cut into *segments*, and frames follow one another within a segment. When it is full, the next frame begins another: one that is free, or
//! the oldest, once the database has durably all that its frames hold; else the file grows, up to its limit. What lies behind the last frame of a
//! segment is older: its numbers don't follow, nor does its salt. Which segment comes after which is told by the numbers alone.
//!
//! A segment is written with zeroes before it is used, a piece at a time while the one before fills: the sync of a frame takes longer behind a piece, for
//! the bytes and for the new length, but seldom, and not for long.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    num::NonZero,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::{Bytes, BytesMut};

use super::{
    Write, beside,
    frame::{self, Batch, FRAME_BYTES_MAX, Frame, Kept, Place, pages},
    rules::{Rule, kept},
};
use crate::raft::{failure::is_full, snapshots::files::sync_parent};

/// Bytes of a segment, which is as long as the largest frame.
pub const SEGMENT_BYTES: usize = FRAME_BYTES_MAX;
/// Bytes of zeroes that are written at once while frames are.
const ZEROES_BYTES: usize = 256 << 10;

/// The open file, which any thread may read.
pub struct TailFile {
    file: File,
    path: PathBuf,
    /// Bytes of it that were written.
    length: AtomicU64,
}

impl TailFile {
    /// The bytes of a place in the frame that begins here.
    ///
    /// # Errors
    /// What the disk says.
    pub fn read(&self, frame_at: u64, place: Place) -> io::Result<Bytes> {
        let mut bytes = BytesMut::zeroed(place.bytes as usize);
        self.file.read_exact_at(&mut bytes, frame_at + u64::from(place.start))?;
        Ok(bytes.freeze())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    /// What the kernel keeps of the file is in pieces as large as what was written at once, each of which it goes through whole for every write into it, and
    /// counts as written. Whole pages are written here, so that nothing of the former bytes is needed. It is advice: nothing is lost if it isn't taken.
    fn leave_the_cache(&self, segment: u64) {
        let length = NonZero::new(SEGMENT_BYTES as u64);
        let _ = rustix::fs::fadvise(&self.file, begin_of(segment), length, rustix::fs::Advice::DontNeed);
    }

    fn invalid(&self, what: String) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("{} {what}", self.path.display()))
    }
}

/// A batch that stands in the tail.
#[derive(Debug)]
pub struct Written {
    /// Its number.
    pub number: u64,
    /// Where its frame begins.
    pub at: u64,
    /// Bytes of the frame, in whole pages.
    pub bytes: usize,
    /// Its writes.
    pub kept: Vec<Kept>,
}

impl Written {
    /// Those of its writes that are wanted, from the tail.
    ///
    /// # Errors
    /// What the disk says.
    pub fn read(&self, file: &TailFile, wanted: impl Fn(&Kept) -> bool) -> io::Result<Vec<Write>> {
        let wanted = self.kept.iter().filter(|kept| wanted(kept));
        wanted.map(|kept| kept.write(|place| file.read(self.at, place))).collect()
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It is durable, in a frame that begins here, of so many bytes.
    At(u64, usize),
    /// The segment is full.
    NoRoom,
    /// It is larger than a segment.
    TooLarge,
}

/// The tail, for the one who writes it.
pub struct Tail {
    file: Arc<TailFile>,
    segments_max: u64,
    /// Where the next frame goes.
    current: Option<Current>,
    /// Segments that are full, oldest first.
    used: VecDeque<Used>,
    /// Segments that hold nothing that is needed.
    free: Vec<u64>,
}

struct Current {
    segment: u64,
    place: usize,
    salt: u64,
    /// Number of its last frame; 0 if it has none.
    last: u64,
}

struct Used {
    segment: u64,
    /// Number of its last frame.
    last: u64,
}

impl Tail {
    /// Opens the tail of the database in this directory, or makes it: a file beside it, which may grow to so many segments. Gives the batches, in
    /// order, that follow the one with this number, which is the last one that the database has.
    ///
    /// # Errors
    /// If the file can't be opened, or there is no room for it. [`io::ErrorKind::InvalidData`] if some in between are missing, if what is whole can't
    /// be understood, or if a newer version wrote it.
    pub fn open(database: &Path, segments_max: u64, number: u64) -> io::Result<(Self, Vec<Written>)> {
        let path = beside(database, ".tail");
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path)?;
        let length = file.metadata()?.len();
        let file = Arc::new(TailFile { file, path, length: AtomicU64::new(length) });
        let mut tail = Self { file, segments_max, current: None, used: VecDeque::new(), free: Vec::new() };
        tail.zero(SEGMENT_BYTES as u64, SEGMENT_BYTES)?;
        // What is found there needn't be durable, and counts as that from now on.
        tail.file.file.sync_all()?;
        sync_parent(&tail.file.path)?;
        let found = tail.look(number)?;
        Ok((tail, found))
    }

    /// The file, for who reads it.
    pub fn file(&self) -> &Arc<TailFile> {
        &self.file
    }

    /// Reads all segments. Those with batches after this one are used.
    fn look(&mut self, number: u64) -> io::Result<Vec<Written>> {
        let mut chains = Vec::new();
        for segment in 0..self.segments() {
            let mut chain = self.chain(segment)?;
            self.file.leave_the_cache(segment);
            chain.retain(|written| written.number > number);
            match chain.last() {
                Some(last) => chains.push((Used { segment, last: last.number }, chain)),
                None => self.free.push(segment),
            }
        }
        // The first ones are taken first.
        self.free.reverse();
        chains.sort_by_key(|(used, _)| used.last);
        let mut found: Vec<Written> = Vec::new();
        for (used, chain) in chains {
            let before = found.last().map_or(number, |last| last.number);
            if let Some(first) = chain.first().filter(|first| first.number != before + 1) {
                let place = if found.is_empty() { "the database" } else { "what is before it" };
                let first = first.number;
                return Err(self
                    .file
                    .invalid(format!("begins with batch {first}, and {place} ends with batch {before}")));
            }
            self.used.push_back(used);
            found.extend(chain);
        }
        Ok(found)
    }

    /// The frames of a segment, as far as they follow one another.
    fn chain(&self, segment: u64) -> io::Result<Vec<Written>> {
        let mut bytes = vec![0; SEGMENT_BYTES];
        self.file.file.read_exact_at(&mut bytes, begin_of(segment))?;
        if let Some(newer) = frame::newer(&bytes) {
            let newest = frame::newest();
            return Err(self.file.invalid(format!("is of format {newer}, and this version reads up to {newest}")));
        }
        let mut chain = Vec::new();
        let (mut place, mut last) = (0, None);
        while let Some((frame, whole)) = bytes.get(place..).and_then(frame::open)
            && last.is_none_or(|before: Frame| frame == Frame { number: before.number + 1, ..before })
        {
            let (number, length) = (frame.number, pages(whole.len()));
            let kept = frame::decode(whole)
                .ok_or_else(|| self.file.invalid(format!("can't be understood in batch {number}")))?;
            chain.push(Written { number, at: begin_of(segment) + place as u64, bytes: length, kept });
            last = Some(frame);
            place += length;
        }
        Ok(chain)
    }

    fn segments(&self) -> u64 {
        self.file.bytes() / SEGMENT_BYTES as u64
    }

    /// Makes a batch durable.
    ///
    /// # Errors
    /// If the disk can't. What is durable then isn't known.
    pub fn append(&mut self, number: u64, batch: &mut Batch) -> io::Result<Placed> {
        let salt = self.current.as_ref().map_or(0, |current| current.salt);
        let Some(bytes) = batch.sealed(Frame { number, salt }) else { return Ok(Placed::TooLarge) };
        let room = self.current.as_mut().filter(|current| current.place + bytes.len() <= SEGMENT_BYTES);
        let Some(current) = room else { return Ok(Placed::NoRoom) };
        let at = begin_of(current.segment) + current.place as u64;
        self.file.file.write_all_at(bytes, at)?;
        if kept(Rule::TailSynced) {
            // What it says is never a mere lack of room: the kernel may have forgotten what it couldn't write.
            self.file.file.sync_data().map_err(|error| io::Error::other(format!("a sync failed: {error}")))?;
        }
        current.place += bytes.len();
        current.last = number;
        Ok(Placed::At(at, bytes.len()))
    }

    /// Has the next frame begin a segment. False if none is free, when the database has durably all up to this batch.
    pub fn begin_segment(&mut self, durable: u64) -> bool {
        self.end_segment();
        self.reclaim(durable);
        let Some(segment) = self.free.pop() else { return false };
        self.file.leave_the_cache(segment);
        self.current = Some(Current { segment, place: 0, salt: rand::random(), last: 0 });
        true
    }

    /// No frame follows the last one: a batch comes after it that isn't here.
    pub fn end_segment(&mut self) {
        self.used.extend(self.current.take().map(|full| Used { segment: full.segment, last: full.last }));
    }

    /// Frees what the database has durably up to this batch.
    fn reclaim(&mut self, durable: u64) {
        while let Some(oldest) = self.used.pop_front_if(|oldest| oldest.last <= durable || !kept(Rule::TailHeld)) {
            self.free.push(oldest.segment);
        }
    }

    /// A segment is free for when the current one is full, if the database has durably all up to this batch.
    pub fn is_ready(&mut self, durable: u64) -> bool {
        self.reclaim(durable);
        !self.free.is_empty()
    }

    /// The last batch of the oldest segment that is full: when the database has it durably, the segment is free.
    pub fn oldest(&self) -> Option<u64> {
        self.used.front().map(|oldest| oldest.last)
    }

    /// Lets the file grow by a segment, or by as much of it as the current one is full. False if it may not, or there is no room.
    ///
    /// # Errors
    /// What the disk says.
    pub fn grow(&mut self, whole: bool) -> io::Result<bool> {
        let segments = self.segments();
        if segments >= self.segments_max {
            return Ok(false);
        }
        let filled = self.current.as_ref().map_or(0, |current| current.place);
        let part = if whole { SEGMENT_BYTES } else { filled.next_multiple_of(ZEROES_BYTES) };
        match self.zero(begin_of(segments) + part as u64, ZEROES_BYTES) {
            Err(error) if is_full(&error) => {
                // It stays as large as it is.
                self.segments_max = segments;
                self.file.file.set_len(begin_of(segments))?;
                self.file.length.store(begin_of(segments), Ordering::Release);
                return Ok(false);
            }
            zeroed => zeroed?,
        }
        self.free.extend((self.segments() > segments).then_some(segments));
        Ok(true)
    }

    /// Writes zeroes behind the end, up to there, so many at once.
    fn zero(&self, upto: u64, bytes_max: usize) -> io::Result<()> {
        let mut length = self.file.bytes();
        while length < upto {
            let bytes = usize::try_from(upto - length).unwrap_or(bytes_max).min(bytes_max);
            self.file.file.write_all_at(&vec![0; bytes], length)?;
            length += bytes as u64;
            self.file.length.store(length, Ordering::Release);
        }
        Ok(())
    }
}

fn begin_of(segment: u64) -> u64 {
    segment * SEGMENT_BYTES as u64
}

#[cfg(all(test, not(madsim)))]
#[path = "tail_tests.rs"]
mod tests;
