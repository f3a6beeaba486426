//! Why a write has no reply of the state, sorted by what the caller can do.

/// Why a write has no reply of the state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// No leader could be reached in time. Surely not done: ask again.
    #[error("no leader could be reached in time; nothing was done")]
    NoLeader,
    /// It may be done, now or later, or never. A request with an id can be sent again as it is.
    #[error("it is not known whether the write was done")]
    Unknown,
    /// Too much waits here already. Surely not done: ask again after this time.
    #[error("too many writes wait; nothing was done")]
    Overloaded {
        /// When to ask again, in milliseconds.
        retry_after_ms: u64,
    },
    /// This member stops. Surely not done: ask another one.
    #[error("this member is stopping; nothing was done")]
    Stopping,
}
