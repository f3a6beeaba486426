//! TLS, for the server's two ports and for the client: certificates read, checked and renewed, handshakes, and what their failures mean.
//!
//! A [`Group`] is the files that belong together: a certificate with its key, and the CAs that the other side's certificate is held
//! against. An [`Acceptor`] serves with it, a [`Connector`] dials with it. Whoever has both, a member of a cluster, names one group for both.
//!
//! **What it holds to.**
//!
//! - **What can't be used is told before anything runs**, with the file, what is wrong and what would be right ([`TlsError`]).
//! - **Files are looked at again** at handshakes, and by a server every few seconds. New contents are used by the next
//!   connection; contents that can't be used leave in force what was there, and are complained about until they are mended (`renewed`).
//! - **Nothing is resumed.** Each connection's certificates are looked at anew, so that an expired or a foreign one never comes in by an earlier one.
//! - **A connection that was made is one that both sides accept.** In TLS 1.3 a client believes in a connection before the server has
//!   looked at its certificate, so that a dialler here waits for the server's first word (`greeted`). What fails before was surely not sent.
//!
//! In which order to read: `group` and `material` for what is read, `renewed`, then [`Acceptor`] and [`Connector`]; `words` for the messages.
//! Nothing under `--cfg madsim` has this crate: the simulated network has no bytes to encrypt.

/// What both sides speak where nothing else is said (ALPN): HTTP/2.
pub const HTTP: &[u8] = b"h2";

mod acceptor;
mod connector;
mod error;
mod greeted;
mod group;
mod material;
mod plain;
mod renewed;
#[cfg(test)]
mod tests;
mod words;

pub use acceptor::{Accepted, Acceptor};
pub use connector::{ConnectFailure, Connector, Dialled};
pub use error::TlsError;
pub use group::{Group, Source};
pub use plain::TLS_ALONE;
