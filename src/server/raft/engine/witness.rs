//! A witness beside the log, which tells a torn end from damage.
//!
//! sled takes the first broken record of its log for the end of what was written, and the tail the first broken frame: after a power cut it
//! usually is. But what was durable and rots later looks the same, and everything after it would be gone without a word. So each batch has a
//! number, which is written with what makes it durable, and here afterwards. A log whose last number is below the one here
//! lacks something that was durable: it is damaged.
//!
//! The file itself is never synced. After a power cut it may be older than the log, and finds less; it is never newer.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::beside;

/// The number, and its checksum.
const BYTES: usize = 12;

/// The file with the number of the last durable batch.
pub struct Witness {
    file: File,
    path: PathBuf,
    /// What was noted since it was opened.
    noted: u64,
}

impl Witness {
    /// Opens the witness of the log in this directory, or makes it: a file beside it.
    ///
    /// # Errors
    /// If the file can't be opened.
    pub fn open(database: &Path) -> io::Result<Self> {
        let path = beside(database, ".synced");
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path)?;
        Ok(Self { file, path, noted: 0 })
    }

    /// Holds the log's number against this one. `place`: where the log's last batch stands.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if the log's is smaller.
    pub fn check(&self, log: u64, place: &Path) -> io::Result<()> {
        match self.read()? {
            Some(number) if number > log => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "the log ends with batch {log} in {}, and {} says that batch {number} was durable: a record in between is \
                     damaged, and what follows it can't be read",
                    place.display(),
                    self.path.display()
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Notes that this batch is durable, unless that was noted.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn note(&mut self, number: u64) -> io::Result<()> {
        if number == self.noted {
            return Ok(());
        }
        let mut bytes = [0; BYTES];
        let (head, tail) = bytes.split_at_mut(8);
        head.copy_from_slice(&number.to_be_bytes());
        tail.copy_from_slice(&crc32fast::hash(head).to_be_bytes());
        self.file.write_all_at(&bytes, 0)?;
        self.noted = number;
        Ok(())
    }

    /// The number; `None` if there is none, or a power cut left half of it.
    fn read(&self) -> io::Result<Option<u64>> {
        let mut bytes = [0; BYTES];
        match self.file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let number = bytes
            .split_first_chunk::<8>()
            .and_then(|(head, tail)| (crc32fast::hash(head).to_be_bytes() == tail).then(|| u64::from_be_bytes(*head)));
        Ok(number)
    }
}
