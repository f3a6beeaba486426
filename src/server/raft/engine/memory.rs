//! A simulated disk. (Skeleton.)

/// A simulated disk, which outlives a node within the process. A clone is the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Power cut: what was not synced is lost, and whoever has the disk open can neither read nor write it any more. Call it
    /// before the node is killed, since destructors of a killed node still run. The next start opens what is left.
    pub fn crash(&self) {}
}
