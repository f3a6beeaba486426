//! The few things that snapshots need of a directory, so that a simulated disk can offer them too.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use crate::raft::engine::rules::{Rule, kept};

/// A file that is being written.
pub trait FileWriter: Write + Send {
    /// Returns when everything written is on the disk.
    ///
    /// # Errors
    /// If the disk can't.
    fn sync(&mut self) -> io::Result<()>;
}

/// A flat directory. Its calls block.
pub trait Files: Send + Sync + 'static {
    /// All names, in no order.
    ///
    /// # Errors
    /// If the directory can't be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// A new, empty file in place of what had the name.
    ///
    /// # Errors
    /// If the directory can't be written.
    fn create(&self, name: &str) -> io::Result<Box<dyn FileWriter>>;

    /// A file from its beginning, and its length. It can be read to its end even if it is removed meanwhile.
    ///
    /// # Errors
    /// If it isn't there or can't be read.
    fn open(&self, name: &str) -> io::Result<(Box<dyn Read + Send>, u64)>;

    /// Gives a synced file its name; durable when this returns.
    ///
    /// # Errors
    /// If the directory can't be written.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// If the directory can't be written.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// Makes the name of a file or a directory durable, by a sync of the directory that it is in.
///
/// # Errors
/// If that can't be opened or synced.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// A directory of the operating system.
#[derive(Debug)]
pub struct RealFiles {
    directory: PathBuf,
}

impl RealFiles {
    /// Makes the directory if it isn't there. Its parent must be.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        sync_parent(directory)?;
        Ok(Self { directory: directory.to_owned() })
    }
}

impl FileWriter for io::BufWriter<File> {
    fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.get_ref().sync_all()
    }
}

impl Files for RealFiles {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            // What isn't UTF-8 isn't ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn FileWriter>> {
        Ok(Box::new(io::BufWriter::new(File::create(self.directory.join(name))?)))
    }

    fn open(&self, name: &str) -> io::Result<(Box<dyn Read + Send>, u64)> {
        let file = File::open(self.directory.join(name))?;
        let length = file.metadata()?.len();
        Ok((Box::new(io::BufReader::new(file)), length))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.directory.join(from), self.directory.join(to))?;
        if !kept(Rule::SnapshotNameSynced) {
            return Ok(());
        }
        File::open(&self.directory)?.sync_all()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.directory.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
