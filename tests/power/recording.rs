//! What was done to the files below one directory, in order, as the operating system was asked to do it.
//!
//! Files and directories have numbers, so that a rename moves a number and nothing else. One recording runs at a time in a process.
//! While one runs, the directory's syncs are noted and not done: the machine that loses its power is the recorded one.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::{OsStr, OsString},
    fs, io,
    path::{Component, Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;

/// A file or a directory.
pub type Node = usize;

/// The directory that is recorded.
pub const ROOT: Node = 0;

/// One thing that was done.
#[derive(Clone, Debug)]
pub enum Op {
    /// A name appeared: a file or a directory was made.
    Made {
        /// Where.
        directory: Node,
        /// The name.
        name: OsString,
        /// What has it.
        node: Node,
        /// It is a directory.
        is_directory: bool,
    },
    /// A name moved within its directory, over what had the new one.
    Renamed {
        /// Where.
        directory: Node,
        /// The old name.
        from: OsString,
        /// The new name.
        to: OsString,
        /// What has it.
        node: Node,
        /// It is a directory.
        is_directory: bool,
    },
    /// A name went.
    Removed {
        /// Where.
        directory: Node,
        /// The name.
        name: OsString,
    },
    /// Bytes were written.
    Written {
        /// The file.
        node: Node,
        /// Where in it.
        offset: u64,
        /// What.
        bytes: Bytes,
    },
    /// A file got this length.
    Cut {
        /// The file.
        node: Node,
        /// In bytes.
        length: u64,
    },
    /// `fsync` or `fdatasync` of a file or a directory returned.
    Synced {
        /// Which.
        node: Node,
    },
    /// `sync_file_range` returned: no sync, since neither the device's cache nor the file's length is in it.
    RangeSynced {
        /// Of which file.
        node: Node,
    },
    /// The one who works on the files says something.
    Note(Note),
}

/// What the worker says of its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The next step begins.
    Begun,
    /// It is acknowledged.
    Done,
}

/// A tree of files at one moment.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Of each directory, its names; what has them, and whether that is a directory.
    pub directories: HashMap<Node, BTreeMap<OsString, (Node, bool)>>,
    /// Of each file, its bytes.
    pub files: HashMap<Node, Vec<u8>>,
}

impl Tree {
    /// What stands below a directory.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut tree = Self::default();
        tree.directories.insert(ROOT, BTreeMap::new());
        let mut next = ROOT + 1;
        tree.gather(root, ROOT, &mut next)?;
        Ok(tree)
    }

    fn gather(&mut self, path: &Path, node: Node, next: &mut Node) -> io::Result<()> {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let (child, is_directory) = (*next, entry.file_type()?.is_dir());
            *next += 1;
            self.directories.entry(node).or_default().insert(entry.file_name(), (child, is_directory));
            if is_directory {
                self.directories.insert(child, BTreeMap::new());
                self.gather(&entry.path(), child, next)?;
            } else {
                self.files.insert(child, fs::read(entry.path())?);
            }
        }
        Ok(())
    }

    /// Makes real files of it, below an empty directory.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&self, root: &Path) -> io::Result<()> {
        self.write_below(root, ROOT)
    }

    fn write_below(&self, path: &Path, node: Node) -> io::Result<()> {
        for (name, (child, is_directory)) in self.directories.get(&node).into_iter().flatten() {
            let path = path.join(name);
            if *is_directory {
                fs::create_dir(&path)?;
                self.write_below(&path, *child)?;
            } else {
                fs::write(&path, self.files.get(child).map_or(&[][..], Vec::as_slice))?;
            }
        }
        Ok(())
    }

    /// Every file's path and bytes, by path; of a directory only its path.
    pub fn contents(&self) -> BTreeMap<PathBuf, Option<&[u8]>> {
        let mut found = BTreeMap::new();
        let mut open = vec![(PathBuf::new(), ROOT)];
        while let Some((path, node)) = open.pop() {
            for (name, (child, is_directory)) in self.directories.get(&node).into_iter().flatten() {
                let path = path.join(name);
                if *is_directory {
                    open.push((path.clone(), *child));
                    found.insert(path, None);
                } else {
                    found.insert(path, Some(self.files.get(child).map_or(&[][..], Vec::as_slice)));
                }
            }
        }
        found
    }
}

/// A finished recording.
pub struct Record {
    /// What stood there before; all of it durable.
    pub before: Tree,
    /// What was done.
    pub ops: Vec<Op>,
}

/// Who records may stop only his own.
pub struct Recording {
    before: Tree,
    /// Held for as long as it runs, since there can be one only.
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());
static ACTIVE: AtomicBool = AtomicBool::new(false);
static LIVE: Mutex<Option<Live>> = Mutex::new(None);

fn live() -> MutexGuard<'static, Option<Live>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recording {
    /// Begins to record what is done below this directory. Waits until another recording has ended.
    ///
    /// # Errors
    /// If the directory can't be read.
    pub fn begin(root: &Path) -> io::Result<Self> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let root = root.canonicalize()?;
        let before = Tree::read(&root)?;
        let next = before.files.len() + before.directories.len();
        let names = before.directories.clone();
        *live() = Some(Live { root, names, next, open: HashMap::new(), ops: Vec::new() });
        ACTIVE.store(true, Ordering::SeqCst);
        Ok(Self { before, _alone: alone })
    }

    /// Puts a note between what is done.
    pub fn note(&self, note: Note) {
        if let Some(live) = live().as_mut() {
            live.ops.push(Op::Note(note));
        }
    }

    /// Ends it.
    pub fn end(self) -> Record {
        ACTIVE.store(false, Ordering::SeqCst);
        let ops = live().take().map(|live| live.ops).unwrap_or_default();
        Record { before: self.before.clone(), ops }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        ACTIVE.store(false, Ordering::SeqCst);
        live().take();
    }
}

/// A recording that runs, as libc's stand-ins see it.
pub(crate) struct Live {
    root: PathBuf,
    names: HashMap<Node, BTreeMap<OsString, (Node, bool)>>,
    next: Node,
    open: HashMap<i32, Node>,
    pub(crate) ops: Vec<Op>,
}

/// Where a path leads.
pub(crate) struct Place {
    /// The directory and the name in it; the root has none.
    pub(crate) name: Option<(Node, OsString)>,
    /// What is there.
    pub(crate) node: Option<(Node, bool)>,
}

/// Locked for the time of one call, so that what is recorded has the order in which it was done. `None` if nothing is recorded.
pub(crate) fn recorded() -> Option<MutexGuard<'static, Option<Live>>> {
    if !ACTIVE.load(Ordering::SeqCst) {
        return None;
    }
    Some(live()).filter(|live| live.is_some())
}

impl Live {
    /// Where a path leads that was given with this directory, if that is below the root.
    pub(crate) fn place(&self, directory: Option<i32>, path: &OsStr) -> Option<Place> {
        let path = Path::new(path);
        let (mut node, rest) = match directory.and_then(|directory| self.open.get(&directory)) {
            Some(node) if path.is_relative() => (*node, path.to_owned()),
            _ => {
                let whole = if path.is_absolute() { path.to_owned() } else { std::env::current_dir().ok()?.join(path) };
                (ROOT, whole.strip_prefix(&self.root).ok()?.to_owned())
            }
        };
        let mut place = Place { name: None, node: Some((node, true)) };
        for part in rest.components() {
            let Component::Normal(part) = part else { continue };
            node = place.node.filter(|(_, is_directory)| *is_directory)?.0;
            let found = self.names.get(&node).and_then(|names| names.get(part)).copied();
            place = Place { name: Some((node, part.to_owned())), node: found };
        }
        Some(place)
    }

    /// What an open file is.
    pub(crate) fn node(&self, file: i32) -> Option<Node> {
        self.open.get(&file).copied()
    }

    /// A descriptor stands for something else now.
    pub(crate) fn forget(&mut self, file: i32) {
        self.open.remove(&file);
    }

    /// A file was opened, and made if it wasn't there.
    pub(crate) fn opened(&mut self, file: i32, place: Place, emptied: bool) {
        let node = match (place.node, place.name) {
            (Some((node, is_directory)), _) => {
                if emptied && !is_directory {
                    self.ops.push(Op::Cut { node, length: 0 });
                }
                node
            }
            (None, Some((directory, name))) => self.made(directory, name, false),
            (None, None) => return,
        };
        self.open.insert(file, node);
    }

    /// A name appeared.
    pub(crate) fn made(&mut self, directory: Node, name: OsString, is_directory: bool) -> Node {
        let node = self.next;
        self.next += 1;
        self.names.entry(directory).or_default().insert(name.clone(), (node, is_directory));
        if is_directory {
            self.names.insert(node, BTreeMap::new());
        }
        self.ops.push(Op::Made { directory, name, node, is_directory });
        node
    }

    /// A name went.
    pub(crate) fn removed(&mut self, place: Place) {
        if let Some((directory, name)) = place.name {
            self.names.entry(directory).or_default().remove(&name);
            self.ops.push(Op::Removed { directory, name });
        }
    }

    /// A name moved.
    pub(crate) fn renamed(&mut self, from: Place, to: Place) {
        let (Some((node, is_directory)), Some((directory, from)), Some((other, to))) = (from.node, from.name, to.name)
        else {
            return;
        };
        assert_eq!(directory, other, "a rename between directories isn't modelled: {from:?} to {to:?}");
        let names = self.names.entry(directory).or_default();
        names.remove(&from);
        names.insert(to.clone(), (node, is_directory));
        self.ops.push(Op::Renamed { directory, from, to, node, is_directory });
    }
}
