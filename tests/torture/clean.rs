//! Takes away what a run has made, however it ended: processes, networks, mounts. Each is known by the run's name or directory, so that nothing of
//! anybody else is touched.

use std::{fs, path::Path};

use ringfence_cluster::Process;
use rustix::process::Signal;

use crate::{disks, net};

/// Ends processes of a run, unmounts its disks, removes its networks; its directory stays.
pub fn clean(name: &str, directory: &Path) {
    for file in pid_files(directory) {
        if let Some(process) = Process::load(&file) {
            drop(process.signal(Signal::KILL));
        }
    }
    networks(name);
    disks::unmount_below(directory);
}

/// Ends what runs in a run's networks, and removes them.
pub fn networks(name: &str) {
    if net::why_not().is_some() {
        return;
    }
    for pid in net::processes(name) {
        // What runs in a network of this run was started by it.
        if let Some(process) = Process::of(pid) {
            drop(process.signal(Signal::KILL));
        }
    }
    net::remove(name);
}

/// Files that name a process: `ROUND/nodeN/pid`.
fn pid_files(directory: &Path) -> Vec<std::path::PathBuf> {
    let below = |directory: &Path| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let nodes = below(directory).into_iter().flat_map(|round| below(&round));
    nodes.map(|node| node.join("pid")).filter(|file| file.is_file()).collect()
}
