//! Limits of what a server takes from its clients' connections. What the state takes is in [`ringfence_core::limits`].

use std::time::Duration;

/// Bytes of one gRPC message. The largest request of the state (two values of 1 MiB with their keys) fits with room for
/// the wire's own bytes; a larger one is refused by its length, before it is read.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// Bytes of one message of a pipeline, which holds many small calls: large ones go by themselves. Small, since a message of nothing but empty
/// calls takes a hundred times its bytes when it is read.
pub const PIPELINE_MESSAGE_BYTES_MAX: usize = 256 << 10;

/// Calls that go on in one turn of a connection, and that begin in one of a pipeline: few enough that ten other busy connections hold one
/// up for some milliseconds, and enough that a write is worth its while.
pub const CALLS_PER_TURN: usize = 64;

/// Connections at a time. A client has two: one of gRPC, which costs some 30 KiB when idle, and a link, which costs 10, so that these
/// are about 650 MiB. One more is closed at once, so that those that are open go on.
pub const CONNECTIONS_MAX: usize = 32_768;

/// Files that are kept for the log, the snapshots and the other members, out of what the system allows.
pub const FILES_RESERVED: usize = 256;

/// Calls that one connection has open at a time, and those that share one stream. A waiting lock is an open call, so that this bounds the
/// locks that a process waits for; the next ones wait in the client until one is over.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 2048;

/// How long a connection may take to say its first byte. Whoever connects and says nothing is no client.
pub const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a TLS handshake may take: as long as the first byte without TLS.
pub const HANDSHAKE_TIMEOUT: Duration = FIRST_BYTE_TIMEOUT;

/// How often a silent client is asked whether it is there, so that calls and connections of a machine that was switched
/// off don't stay open.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// How long it may take to answer that.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may say nothing on a link for its calls. It asks every three seconds whether anybody is there.
pub const LINK_SILENCE_MAX: Duration = Duration::from_secs(20);

/// How long the bytes to a client on a link may wait to be taken: it may have stopped to read its watches, and goes on elsewhere when it reads.
pub const LINK_UNREAD_MAX: Duration = Duration::from_secs(60);

/// Bytes on their way to a client on a link for watches, which its system and this one keep. Without this it would be some mebibytes for each
/// watch that isn't read.
pub const LINK_UNREAD_BYTES: usize = 256 << 10;

/// Streams that a client opened and reset at once, before the connection is closed: the customary number against the
/// attack that is called rapid reset.
pub const PENDING_RESETS_MAX: usize = 20;

/// Bytes of a call's headers. Ours have none of their own; 16 KiB are customary.
pub const HEADER_BYTES_MAX: u32 = 16 << 10;

/// Bytes that a connection may send on one stream before the server has read them: one whole message.
pub const STREAM_WINDOW_BYTES: u32 = MESSAGE_BYTES_MAX as u32;

/// Bytes that a connection may send on all its streams before the server has read them.
pub const CONNECTION_WINDOW_BYTES: u32 = 2 * STREAM_WINDOW_BYTES;

/// How long calls may take to end after the server was told to stop and its streams were ended. Then their connections are
/// closed. With the hand-over of leadership and the disk's closing this stays well within five seconds.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// How long raft may take to stop: to hand leadership over, and to sync what is left.
pub const NODE_STOP_TIMEOUT: Duration = Duration::from_millis(2500);

/// How long another member may take to give its account of itself, when a client asks for the cluster's status.
pub const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a change of the members may take when the leader is another member: a learner's first snapshot is not waited
/// for, so that this is a few rounds among the members.
pub const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);

/// When to come again who was refused because too much waits, in milliseconds: some entries later.
pub const RETRY_AFTER_MS: u64 = 100;
