//! Opens a node's disk: whose it is, the log, the snapshots.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use prost::Message;
use ringfence_proto::storage as pb;

use super::{
    DataPlace, NodeSettings, StartError,
    engine::{
        LogEngine, Mark, Write,
        disk::DiskEngine,
        rules::{Rule, kept},
    },
    failure::Failure,
    log_store::{LogStore, record},
    room::Room,
    snapshots::{
        Snapshots,
        files::{Files, RealFiles, sync_parent},
    },
    stall::Stall,
    upkeep::Growth,
};

/// Version of the layout of the data directory.
pub const FORMAT: u32 = 1;
/// Stands in a data directory while a backup is restored into it.
pub const RESTORING: &str = "restoring";

/// An open disk.
pub struct Disk {
    /// The log.
    pub log: LogStore,
    /// The snapshots.
    pub snapshots: Snapshots,
    /// How much more it can take.
    pub room: Room,
    /// Whether it takes what the log gives it.
    pub stall: Stall,
    /// Held as long as the directory is used.
    pub lock: Option<File>,
}

/// Opens the disk and checks all of it. Blocks.
///
/// # Errors
/// See [`StartError`].
pub fn open(settings: &NodeSettings, failure: Arc<Failure>, growth: Arc<Growth>) -> Result<Disk, StartError> {
    let path = match &settings.data {
        DataPlace::Directory(path) => path.clone(),
        DataPlace::Memory(_) => PathBuf::from("memory"),
    };
    let at = |error| start_error(&path, error);
    let room = Room::new(settings.data.clone(), settings.disk_reserve_bytes).map_err(at)?;
    let (engine, files, lock): (Arc<dyn LogEngine>, Arc<dyn Files>, _) = match &settings.data {
        DataPlace::Directory(path) => {
            make_directory(path).map_err(at)?;
            let lock = lock(path)?;
            if path.join(RESTORING).exists() {
                return Err(StartError::HalfRestored { path: path.clone() });
            }
            let engine = DiskEngine::open(&path.join("log"), settings.tail_bytes_max()).map_err(at)?;
            let files = RealFiles::open(&path.join("snapshots")).map_err(at)?;
            (Arc::new(engine), Arc::new(files), Some(lock))
        }
        DataPlace::Memory(disk) => (Arc::new(disk.open()), Arc::new(disk.open()), None),
    };
    identify(&*engine, settings, &path)?;
    let (snapshots, refused) = Snapshots::open(files, settings.cluster).map_err(at)?;
    let stall = Stall::default();
    let log = LogStore::open(engine, failure, growth, room.clone(), stall.clone()).map_err(at)?;
    if let Some(purged) = log.purged() {
        let covered = snapshots.current().and_then(|(meta, _)| meta.last_log_id).map(|last| last.index);
        if covered.is_none_or(|covered| covered < purged) {
            let what = format!("no snapshot covers the log's purged entries up to {purged}");
            let place = refused.first().cloned().unwrap_or_else(|| path.join("snapshots").display().to_string());
            return Err(StartError::Damaged { place, what });
        }
    }
    for refused in refused {
        tracing::warn!(%refused, "a snapshot is refused; the one before it and the log after that are used");
    }
    Ok(Disk { log, snapshots, room, stall, lock })
}

/// Makes the data directory if it isn't there, and makes its name durable: otherwise a power cut could take it away with everything
/// that was ever synced in it.
fn make_directory(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|above| !above.as_os_str().is_empty() && !above.exists()).collect();
    fs::create_dir_all(path)?;
    if !kept(Rule::DirectorySynced) {
        return Ok(());
    }
    for made in &missing {
        sync_parent(made)?;
    }
    if missing.is_empty() {
        // An earlier start may have been killed between the two. Whoever made the directory for us may have put it where we can't
        // read, or where nothing can be written; then its name is that one's business.
        use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem};
        match sync_parent(path) {
            Err(error) if !matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem | InvalidInput) => {
                return Err(error);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Takes the directory for this process, until the file is closed.
///
/// # Errors
/// See [`StartError`].
pub fn lock(directory: &Path) -> Result<File, StartError> {
    let path = directory.join("lock");
    let file = File::create(&path).map_err(|error| start_error(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse { path: directory.to_owned() }),
        Err(TryLockError::Error(error)) => Err(start_error(&path, error)),
    }
}

/// Writes whose data these are, or compares it.
fn identify(engine: &dyn LogEngine, settings: &NodeSettings, path: &Path) -> Result<(), StartError> {
    let at = |error| start_error(path, error);
    let Some(found) = engine.mark(Mark::Identity).map_err(at)? else {
        let identity = pb::Identity { format: FORMAT, cluster: settings.cluster, node: settings.id };
        let value = record::seal_mark(Mark::Identity, &identity.encode_to_vec());
        engine.write(&[Write::Mark { mark: Mark::Identity, value }]).map_err(at)?;
        return engine.sync().map_err(at);
    };
    let found: pb::Identity = record::open_mark(Mark::Identity, &found).map_err(at)?;
    let path = path.to_owned();
    if found.format > FORMAT {
        return Err(StartError::NewerFormat { path, found: found.format, newest: FORMAT });
    }
    if found.cluster != settings.cluster {
        return Err(StartError::OtherCluster { path, found: found.cluster, expected: settings.cluster });
    }
    if found.node != settings.id {
        return Err(StartError::OtherNode { path, found: found.node, expected: settings.id });
    }
    Ok(())
}

fn start_error(path: &Path, error: io::Error) -> StartError {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            StartError::Damaged { place: path.display().to_string(), what: error.to_string() }
        }
        _ => StartError::Io { path: path.to_owned(), error },
    }
}
