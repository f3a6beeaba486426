//! Data of a server that is only tried: a directory that goes with it.
//!
//! A process that is killed can't take its directory along. So each directory holds a file that its process keeps locked as long as it
//! lives, and the next server that is tried removes those whose file nobody has locked.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// How the directories' names begin.
const PREFIX: &str = "ringfence-dev-";
/// How they begin until the lock is held: a directory is never seen under its final name without.
const UNLOCKED: &str = "ringfence-new-";
/// The file that is locked.
const OWNER: &str = "owner";

/// A directory of this process, and everything in it. Goes when this is dropped.
#[derive(Debug)]
pub struct DevData {
    path: PathBuf,
    /// Held as long as the directory is used.
    _owner: File,
}

impl DevData {
    /// Makes one within this directory, and removes those whose processes are gone.
    ///
    /// # Errors
    /// If nothing can be made there. What can't be removed is left.
    pub fn within(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        let made = tempfile::Builder::new().prefix(UNLOCKED).tempdir_in(parent)?;
        let owner = File::create(made.path().join(OWNER))?;
        owner.try_lock()?;
        let name = made.path().file_name().unwrap_or_default().to_string_lossy().replacen(UNLOCKED, PREFIX, 1);
        let path = parent.join(name);
        fs::rename(made.path(), &path)?;
        // It is not there any more under the name that this would remove.
        let _ = made.keep();
        Ok(Self { path, _owner: owner })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DevData {
    fn drop(&mut self) {
        // What can't be removed now is removed by the next one.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        // The entry's own type: a link to a directory is none.
        let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !directory || !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // Somebody else's can't be opened; one that is used can't be locked. The lock is held until the directory is gone, so that two who
        // start at once don't both remove it.
        let Ok(owner) = File::open(entry.path().join(OWNER)) else { continue };
        if owner.try_lock().is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(parent: &Path) -> Vec<String> {
        let entries = fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = entries.collect();
        names.sort();
        names
    }

    /// A directory as it is left by a process that was killed: a dead process holds no lock.
    fn left_behind(parent: &Path, name: &str) {
        fs::create_dir_all(parent.join(name).join("log")).unwrap();
        fs::write(parent.join(name).join(OWNER), "").unwrap();
        fs::write(parent.join(name).join("log/db"), "data").unwrap();
    }

    #[test]
    fn it_goes_with_its_process_and_not_before() {
        let parent = tempfile::tempdir().unwrap();
        let one = DevData::within(parent.path()).unwrap();
        fs::write(one.path().join("data"), "data").unwrap();
        let other = DevData::within(parent.path()).unwrap();
        assert!(one.path().join("data").exists());
        assert_eq!(names(parent.path()).len(), 2);
        drop((one, other));
        assert!(names(parent.path()).is_empty());
    }

    #[test]
    fn what_a_killed_process_left_is_removed_by_the_next_and_nothing_else_is() {
        let parent = tempfile::tempdir().unwrap();
        left_behind(parent.path(), "ringfence-dev-killed");
        left_behind(parent.path(), "something-else");
        // Not one of ours, whatever its name says.
        fs::create_dir(parent.path().join("ringfence-dev-foreign")).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        left_behind(elsewhere.path(), "linked");
        std::os::unix::fs::symlink(elsewhere.path().join("linked"), parent.path().join("ringfence-dev-link")).unwrap();

        let data = DevData::within(parent.path()).unwrap();
        let own = data.path().file_name().unwrap().to_str().unwrap().to_owned();
        let mut expected =
            vec![own, "ringfence-dev-foreign".into(), "ringfence-dev-link".into(), "something-else".into()];
        expected.sort();
        assert_eq!(names(parent.path()), expected);
        assert!(elsewhere.path().join("linked/log/db").exists());
    }
}
