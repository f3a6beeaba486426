//! The configuration: from a TOML file, the environment (`RINGFENCE_…`) and flags, the later ones stronger, to [`Settings`]
//! that are known to be usable.
//!
//! Read [`keys`] for what there is, [`source`] for where values come from, [`read`] for how each is checked, [`settings`]
//! for how they must fit together, `tls` for the files that are looked into, [`flags`] for the command line, [`offline`] for what is done without a server, [`dev_data`] for what is only tried, and [`show`] for the way back to text.
//! `docs/configuration.md` tells people the same.

pub mod address;
pub mod dev_data;
mod error;
pub mod flags;
pub mod keys;
pub mod offline;
mod read;
mod settings;
mod show;
mod source;
#[cfg(test)]
mod tests;
#[cfg(not(madsim))]
mod tls;

pub use error::ConfigError;
pub use settings::{LogFormat, Settings};
pub use source::{Origin, Value, Values};
