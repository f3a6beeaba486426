//! A backup file, as whoever has one reads it: its header, and its records one by one.
//!
//! It stands in [frames](crate::frames). The first holds a [`BackupHeader`], each further one some [`StateRecord`]s, each behind
//! its length, the same as in a snapshot. What the records say together is checked by whoever puts a state together from them;
//! that all of them are there and unchanged is checked here.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use prost::Message;

use crate::{
    frames::FrameReader,
    storage::{BackupHeader, StateRecord, state_record::Record},
};

/// Version of this layout.
pub const FORMAT: u32 = 1;
/// How a backup begins.
pub const MAGIC: &[u8; 8] = b"RFBACK\r\n";

/// Reads a backup.
pub struct BackupReader<R> {
    frames: FrameReader<R>,
    frame: Bytes,
    header: BackupHeader,
}

impl<R: Read> BackupReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] for a format that isn't known here; [`io::ErrorKind::InvalidData`] or
    /// [`io::ErrorKind::UnexpectedEof`] if it can't be a backup, with the place; else what the disk says.
    pub fn new(input: R) -> io::Result<Self> {
        let mut frames = FrameReader::new(input, MAGIC, "backup")?;
        let header = frames.next_frame()?.ok_or_else(|| frames.damaged("it has no header"))?;
        let header = BackupHeader::decode(header).map_err(|error| frames.damaged(&error.to_string()))?;
        if header.format != FORMAT {
            let what = format!("it is of format {}, and this version reads format {FORMAT}", header.format);
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
        Ok(Self { frames, frame: Bytes::new(), header })
    }

    /// What it says of itself.
    pub fn header(&self) -> &BackupHeader {
        &self.header
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// As [`BackupReader::new`].
    pub fn next_record(&mut self) -> io::Result<Option<StateRecord>> {
        while !self.frame.has_remaining() {
            match self.frames.next_frame()? {
                Some(frame) => self.frame = frame,
                None => return Ok(None),
            }
        }
        let record = StateRecord::decode_length_delimited(&mut self.frame);
        record.map(Some).map_err(|error| self.frames.damaged(&error.to_string()))
    }

    /// Checks that the file ends here.
    ///
    /// # Errors
    /// As [`BackupReader::new`], and if it doesn't.
    pub fn expect_end(&mut self) -> io::Result<()> {
        if self.frame.has_remaining() {
            return Err(self.frames.damaged("records follow the last one"));
        }
        self.frames.expect_end()
    }

    /// Bytes of the file, once its end was read.
    pub fn bytes(&self) -> u64 {
        self.frames.bytes()
    }
}

/// What a whole backup says, counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Its header.
    pub header: BackupHeader,
    /// Bytes of the file.
    pub bytes: u64,
    /// Its claims, of locks and elections alike.
    pub claims: u64,
    /// CRC-32 of the whole file, as common tools compute it.
    pub checksum: u32,
}

/// Reads all of a backup: each checksum, each record, and that its header says the same as they do.
///
/// # Errors
/// As [`BackupReader::new`].
pub fn inspect(input: impl Read) -> io::Result<Summary> {
    let mut summed = Summed { input, sum: crc32fast::Hasher::new() };
    let mut reader = BackupReader::new(&mut summed)?;
    let (mut records, mut sessions, mut claims) = (0_u64, 0_u64, 0_u64);
    loop {
        let record = reader.next_record()?.ok_or_else(|| reader.frames.damaged("its last record is missing"))?;
        match record.record {
            Some(Record::Trailer(trailer)) if trailer.records == records => break,
            Some(Record::Trailer(_)) => return Err(reader.frames.damaged("records are missing")),
            Some(Record::Session(_)) => sessions += 1,
            Some(Record::Claim(_)) => claims += 1,
            Some(_) => {}
            None => return Err(reader.frames.damaged("a record is of a newer version")),
        }
        records += 1;
    }
    reader.expect_end()?;
    if sessions != reader.header.sessions {
        return Err(reader.frames.damaged("its header names another number of sessions"));
    }
    let (bytes, header) = (reader.bytes(), reader.header);
    Ok(Summary { header, bytes, claims, checksum: summed.sum.finalize() })
}

/// Sums up what is read.
struct Summed<R> {
    input: R,
    sum: crc32fast::Hasher,
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.sum.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}
