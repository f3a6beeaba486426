//! Files in frames: what a snapshot and a backup have in common.
//!
//! Eight bytes of magic, then frames. A frame is the length of its data (4 bytes, big-endian), a checksum over its number and
//! its data (4 bytes), and the data: zstd. The last frame is empty; after it the file ends. A file that was cut off, changed
//! anywhere or put together from two is refused, with the place.

use std::io::{self, Read, Write};

use bytes::Bytes;

/// Bytes of a frame before compression, at most: what is gathered in one, and one of the largest records, a remembered
/// reply. A frame that says that it is larger is damaged, and is refused before memory is taken for it.
pub const FRAME_BYTES_MAX: usize = 64 << 20;
/// Bytes of the magic.
pub const MAGIC_BYTES: usize = 8;
/// Bytes before the data of a frame.
const HEAD_BYTES: usize = 8;
/// zstd's level: the fastest, since nobody waits for it but disks are small.
const LEVEL: i32 = 1;

/// Writes frames.
pub struct FrameWriter<W> {
    out: W,
    number: u64,
}

impl<W: Write> FrameWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// What the disk says.
    pub fn new(mut out: W, magic: &[u8; MAGIC_BYTES]) -> io::Result<Self> {
        out.write_all(magic)?;
        Ok(Self { out, number: 0 })
    }

    /// Writes one frame.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&mut self, raw: &[u8]) -> io::Result<()> {
        let data = zstd::bulk::compress(raw, LEVEL)?;
        self.put(&data)
    }

    /// Writes the end.
    ///
    /// # Errors
    /// What the disk says.
    pub fn end(&mut self) -> io::Result<()> {
        self.put(&[])
    }

    /// What is written to.
    pub fn out(&mut self) -> &mut W {
        &mut self.out
    }

    fn put(&mut self, data: &[u8]) -> io::Result<()> {
        let length = u32::try_from(data.len()).map_err(|_| io::Error::other("a frame passes 4 GiB"))?;
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(&checksum(self.number, data).to_be_bytes())?;
        self.out.write_all(data)?;
        self.number += 1;
        Ok(())
    }
}

/// Reads frames.
pub struct FrameReader<R> {
    input: R,
    /// Of the frame that comes next.
    number: u64,
    /// Where that one begins.
    offset: u64,
    ended: bool,
}

impl<R: Read> FrameReader<R> {
    /// Begins with a file; `what` is what it should be, for the message if it isn't.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if it begins with another magic, [`io::ErrorKind::UnexpectedEof`] if it is shorter than
    /// that; else what the disk says.
    pub fn new(mut input: R, magic: &[u8; MAGIC_BYTES], what: &str) -> io::Result<Self> {
        let mut found = [0; MAGIC_BYTES];
        input.read_exact(&mut found).map_err(|error| cut_off(error, 0))?;
        if &found != magic {
            return Err(damaged(&format!("it doesn't begin like a {what}")));
        }
        Ok(Self { input, number: 0, offset: MAGIC_BYTES as u64, ended: false })
    }

    /// What the next frame holds; `None` at the end.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] or [`io::ErrorKind::UnexpectedEof`] if it can't be what was written; else what the disk
    /// says.
    pub fn next_frame(&mut self) -> io::Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        let at = |what: &str| damaged(&format!("{what} (frame {}, at byte {})", self.number, self.offset));
        let (mut length, mut sum) = ([0; 4], [0; 4]);
        self.input.read_exact(&mut length).map_err(|error| cut_off(error, self.offset))?;
        self.input.read_exact(&mut sum).map_err(|error| cut_off(error, self.offset))?;
        let length = u32::from_be_bytes(length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(at("a frame is too long"));
        }
        let mut data = vec![0; length];
        self.input.read_exact(&mut data).map_err(|error| cut_off(error, self.offset))?;
        if u32::from_be_bytes(sum) != checksum(self.number, &data) {
            return Err(at("a checksum doesn't match"));
        }
        let raw = match data.is_empty() {
            true => None,
            false => {
                let raw = zstd::bulk::decompress(&data, FRAME_BYTES_MAX);
                Some(raw.map_err(|error| at(&error.to_string()))?.into())
            }
        };
        self.number += 1;
        self.offset += (HEAD_BYTES + length) as u64;
        self.ended = raw.is_none();
        Ok(raw)
    }

    /// Checks that nothing follows the last frame that was read but the end.
    ///
    /// # Errors
    /// As [`FrameReader::next_frame`], and if something does.
    pub fn expect_end(&mut self) -> io::Result<()> {
        if self.next_frame()?.is_some() {
            return Err(damaged("frames follow the last record"));
        }
        if self.input.read(&mut [0])? != 0 {
            return Err(damaged(&format!("bytes follow its end, at byte {}", self.offset)));
        }
        Ok(())
    }

    /// Bytes read, once the end was read: all of the file.
    pub fn bytes(&self) -> u64 {
        self.offset
    }

    /// An error that names the frame that was read last.
    pub fn damaged(&self, what: &str) -> io::Error {
        damaged(&format!("{what} (frame {}, before byte {})", self.number.saturating_sub(1), self.offset))
    }
}

fn checksum(number: u64, data: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_be_bytes());
    hasher.update(data);
    hasher.finalize()
}

fn cut_off(error: io::Error, offset: u64) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), format!("it is cut off after byte {offset}")),
        _ => error,
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
