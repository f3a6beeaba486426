//! Too much of one kind: everybody else goes on.

use ringfence_tests::{
    World,
    overload::{self, Kind, Size},
};

async fn bear(kind: Kind) {
    let world = World::start(3).await;
    let report = overload::run(&world, kind, Size::small(kind)).await.unwrap();
    assert_eq!(report.broken, Vec::<String>::new(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_say_nothing() {
    bear(Kind::IdleConnections).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_that_nobody_reads() {
    bear(Kind::SilentWatchers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_without_pause() {
    bear(Kind::Flood).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_of_everything() {
    bear(Kind::RangeLoop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_expire_together() {
    bear(Kind::ExpiryStorm).await;
}
