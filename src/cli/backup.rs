//! Backups: write one, look at one.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ringfence_client::{Backup, BackupSummary, inspect_backup};

use crate::args::backup::{BackupArgs, BackupCommand};
use crate::context::{Context, Done};
use crate::exit;
use crate::failure::Failure;
use crate::output::{Object, escape, size, wall_time};

/// Between two looks of people at how far it is.
const PROGRESS_PERIOD: Duration = Duration::from_millis(200);

/// Does one of the commands.
pub async fn run(context: &Context, args: BackupArgs) -> Done {
    let summary = match (args.command, args.file) {
        (Some(BackupCommand::Inspect { file }), None) => (inspect(&file)?, file),
        (None, Some(file)) => (write(context, &file, args.force).await?, file),
        _ => return Err(Failure::usage("name one file to write, or one to inspect")),
    };
    let (summary, file) = summary;
    context.output.either(|| object(&file, &summary), || lines(&file, &summary))?;
    Ok(exit::DONE)
}

/// Writes a backup. Nothing has the file's name before all of it is there, checked and synced.
async fn write(context: &Context, file: &Path, force: bool) -> Result<BackupSummary, Failure> {
    let may_replace = || if force { Ok(()) } else { refuse_existing(file) };
    may_replace()?;
    let backup = context.client.cluster().backup().await?;
    let partial = Partial::create(file)?;
    let revision = backup.revision;
    receive(context, backup, &partial).await?;
    partial.file.sync_all().map_err(|error| partial.failure(&error))?;
    let summary = inspect(&partial.path)?;
    if summary.revision != revision {
        return Err(damaged(&partial.path, "it is of another revision than was given"));
    }
    may_replace()?;
    partial.finish(file)?;
    Ok(summary)
}

async fn receive(context: &Context, mut backup: Backup, partial: &Partial) -> Result<(), Failure> {
    let mut out = &partial.file;
    let (mut bytes, mut shown) = (0_u64, Instant::now());
    while let Some(part) = backup.next().await? {
        out.write_all(&part).map_err(|error| partial.failure(&error))?;
        bytes += part.len() as u64;
        if shown.elapsed() >= PROGRESS_PERIOD {
            shown = Instant::now();
            let so_far = format!("{}, {} records; {} keys to save", size(bytes), backup.records, backup.keys);
            context.output.progress_line(&so_far);
        }
    }
    context.output.progress_line("");
    Ok(())
}

fn refuse_existing(file: &Path) -> Result<(), Failure> {
    match fs::symlink_metadata(file) {
        Ok(_) => Err(Failure::new(exit::USAGE, "FILE_EXISTS", format!("{} is there already", file.display()))
            .next("name another file, or replace this one with --force")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::io(&file.display().to_string(), &error)),
    }
}

/// A file that isn't whole yet. Dropped before its end, it is removed.
struct Partial {
    path: PathBuf,
    file: File,
    finished: bool,
}

impl Partial {
    fn create(whole: &Path) -> Result<Self, Failure> {
        let mut path = OsString::from(whole);
        path.push(".partial");
        let path = PathBuf::from(path);
        let failed = |error: &io::Error| Failure::io(&path.display().to_string(), error);
        // One of an earlier backup that was ended is written over, but not one that is being written.
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| failed(&error))?;
        if file.try_lock().is_err() {
            let message = format!("{} is being written by another process", path.display());
            return Err(Failure::new(exit::IO, "IO", message).next("wait for it, or name another file"));
        }
        file.set_len(0).map_err(|error| failed(&error))?;
        Ok(Self { path, file, finished: false })
    }

    /// Gives it its name, durably.
    fn finish(mut self, whole: &Path) -> Result<(), Failure> {
        let renamed = fs::rename(&self.path, whole).and_then(|()| {
            self.finished = true;
            match whole.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
                _ => File::open(".")?.sync_all(),
            }
        });
        renamed.map_err(|error| Failure::io(&whole.display().to_string(), &error))
    }

    fn failure(&self, error: &io::Error) -> Failure {
        Failure::io(&self.path.display().to_string(), error)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // The next backup to the same file writes over it if this can't remove it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn inspect(file: &Path) -> Result<BackupSummary, Failure> {
    let opened = File::open(file).map_err(|error| Failure::io(&file.display().to_string(), &error))?;
    let input: Box<dyn Read> = Box::new(io::BufReader::new(opened));
    inspect_backup(input).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => damaged(file, &error.to_string()),
        io::ErrorKind::Unsupported => Failure::no("BACKUP_FORMAT", format!("{}: {error}", file.display()))
            .next("use the programs of the version that wrote it, or a newer one"),
        _ => Failure::io(&file.display().to_string(), &error),
    })
}

fn damaged(file: &Path, what: &str) -> Failure {
    Failure::no("BACKUP_DAMAGED", format!("{} is no whole backup: {what}", file.display()))
        .next("nothing can be restored from it: take another copy, or an earlier backup")
}

fn object(file: &Path, summary: &BackupSummary) -> Object {
    Object::new()
        .field("file", file.display().to_string())
        .field("format", summary.format)
        .field("cluster_id", format!("{:016x}", summary.cluster_id))
        .field("cluster", summary.cluster.as_str())
        .field("revision", summary.revision)
        .field("taken_wall_ms", summary.taken_wall_ms)
        .field("node", summary.node)
        .field("version", summary.version.as_str())
        .field("keys", summary.keys)
        .field("sessions", summary.sessions)
        .field("locks", summary.locks)
        .field("claims", summary.claims)
        .field("bytes", summary.bytes)
        .field("checksum", checksum(summary))
}

fn lines(file: &Path, summary: &BackupSummary) -> String {
    let path = escape(file.display().to_string().as_bytes());
    let cluster = escape(summary.cluster.as_bytes());
    format!(
        "{path}: whole, format {}\n\
         cluster {cluster} ({:016x}), revision {}, taken {} on node {} (version {})\n\
         {} keys, {} sessions, {} locks with {} claims; {} bytes, checksum {}",
        summary.format,
        summary.cluster_id,
        summary.revision,
        wall_time(summary.taken_wall_ms),
        summary.node,
        escape(summary.version.as_bytes()),
        summary.keys,
        summary.sessions,
        summary.locks,
        summary.claims,
        summary.bytes,
        checksum(summary),
    )
}

fn checksum(summary: &BackupSummary) -> String {
    format!("crc32:{:08x}", summary.checksum)
}
