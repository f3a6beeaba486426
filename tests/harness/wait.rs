//! Waiting for a condition, never for a time.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

/// How long a condition may take before it counts as one that never comes. Far above what any of them needs on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until `look` gives something.
///
/// # Panics
/// After [`PATIENCE`], with `what` was waited for and what the last look said.
pub async fn until<T, E: Debug>(what: &str, mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    let start = Instant::now();
    loop {
        let last = match tokio::time::timeout(PATIENCE, look()).await {
            Ok(Ok(found)) => return found,
            Ok(Err(not_yet)) => format!("{not_yet:?}"),
            Err(_) => "the look itself hung".to_owned(),
        };
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}; the last look said: {last}");
        // Between two looks at a condition; nothing depends on how long this is.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for a future that must end by itself.
///
/// # Panics
/// After [`PATIENCE`].
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}
