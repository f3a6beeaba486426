//! openraft's own suites for log stores and state machines, on both engines.

use std::sync::Arc;

use openraft::{
    StorageError,
    testing::log::{StoreBuilder, Suite},
};
use tempfile::TempDir;

use super::harness::CLUSTER;
use crate::{
    raft::{
        DataPlace, MemoryDisk, NodeSettings, disk, failure::Failure, log_store::LogStore, state_machine::StateMachine,
        types::TypeConfig, upkeep::Growth,
    },
    replica::Replica,
};

pub(super) fn build(data: DataPlace) -> (LogStore, StateMachine) {
    let settings = NodeSettings::new(CLUSTER, 1, ([127, 0, 0, 1], 0).into(), data);
    let growth = Growth::new(u64::MAX);
    let disk = disk::open(&settings, Arc::new(Failure::default()), growth.clone()).unwrap();
    let machine = StateMachine::new(Replica::new(), &disk, growth, settings.level);
    (disk.log, machine)
}

struct OnMemory;

impl StoreBuilder<TypeConfig, LogStore, StateMachine> for OnMemory {
    async fn build(&self) -> Result<((), LogStore, StateMachine), StorageError<TypeConfig>> {
        let (log, machine) = build(DataPlace::Memory(MemoryDisk::new()));
        Ok(((), log, machine))
    }
}

struct OnSled;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for OnSled {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let directory = tempfile::tempdir().unwrap();
        let (log, machine) = build(DataPlace::Directory(directory.path().to_owned()));
        Ok((directory, log, machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_conforms() {
    Suite::<TypeConfig, LogStore, StateMachine, OnMemory, ()>::test_all(OnMemory).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sled_conforms() {
    Suite::<TypeConfig, LogStore, StateMachine, OnSled, TempDir>::test_all(OnSled).await.unwrap();
}
