//! Limits of what the state takes. They are part of its definition: the same on every replica, changed only together
//! with the format's version.

/// Bytes of a key. Keys are paths and names; long ones would make every index deep and every error unreadable.
pub const KEY_BYTES_MAX: usize = 4096;
/// Bytes of a value. Configuration and pointers, not blobs: an entry must pass the log and the network well within an
/// election's time-out.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// Comparisons of a transaction, and operations of each of its lists: bounds the time of one `apply`.
pub const TXN_OPS_MAX: usize = 128;
/// Bytes of all keys and values of a request: two of the largest values and room for their keys.
pub const REQUEST_BYTES_MAX: usize = 2 * VALUE_BYTES_MAX + 64 * 1024;
/// Entries that one range read returns. More come page by page.
pub const RANGE_ENTRIES_MAX: usize = 10_000;
/// Bytes of keys and values that one range read, or one about a key's history, returns: under gRPC's customary 4 MiB a message.
pub const RANGE_BYTES_MAX: usize = 3 << 20;
/// Keys that one deletion may cover: bounds the time of one `apply` and the size of one watch event batch.
pub const DELETE_KEYS_MAX: usize = 10_000;
/// Versions in one answer about a key's history.
pub const HISTORY_VERSIONS_MAX: usize = 1000;
/// Bytes of the name of a lock or an election: leaves room in a key for session and suffix.
pub const NAME_BYTES_MAX: usize = 1024;
/// Bytes of a claim's suffix.
pub const SUFFIX_BYTES_MAX: usize = 64;
/// Bytes of a claim's value: an address or a short document; every observer gets it.
pub const CLAIM_VALUE_BYTES_MAX: usize = 64 * 1024;
/// Permits of a semaphore.
pub const PERMITS_MAX: u32 = 1 << 20;
/// Shortest TTL: below it a single election would cost sessions their lease.
pub const TTL_MS_MIN: u64 = 500;
/// Longest TTL, a day: what outlives it is no proof of being alive.
pub const TTL_MS_MAX: u64 = 86_400_000;
/// Bytes of a session's description.
pub const OWNER_BYTES_MAX: usize = 256;
/// Sessions at a time: about 1 GiB of state with a few keys each.
pub const SESSIONS_MAX: usize = 1_000_000;
/// Sessions in one renewal.
pub const RENEWALS_MAX: usize = 100_000;
/// Keys and claims bound to one session: bounds the time of the `apply` that ends it.
pub const SESSION_KEYS_MAX: usize = 10_000;
/// Sessions that one entry may expire, so that a storm of expiries never stalls the log.
pub const EXPIRIES_PER_ENTRY_MAX: usize = 256;
/// Replies that a session's retry table keeps.
pub const RETRY_REPLIES_MAX: usize = 64;
/// Bytes of the replies that a session's retry table keeps: room for one value of the largest size, so that a retry of a put or of
/// a deletion finds its answer, and for as many small ones as there can be. Without a bound one session could hold a hundred times
/// as much in every member's memory. What is over it is given up, oldest first, and remembered as done:
/// [`crate::Refusal::ReplyNotKept`].
pub const RETRY_BYTES_MAX: usize = VALUE_BYTES_MAX + 512 * 1024;
/// Replies up to this are never given up: all of them together are less than what [`RETRY_BYTES_MAX`] has beside the value.
pub const RETRY_REPLY_BYTES_SMALL: usize = 4 * 1024;
