//! The protobuf packages of Ringfence, compiled.
//!
//! [`v1`] is what clients speak. [`storage`] is what stands on disk, and [`peer`] what members say to each other. Whoever
//! turns the feature `files` on gets the frames that snapshots and backups stand in, and the reading of a backup.

#[cfg(feature = "files")]
pub mod backup;
#[cfg(feature = "files")]
pub mod frames;

#[allow(missing_docs, clippy::all, reason = "generated; the documentation is in the .proto files")]
mod ringfence {
    pub mod v1 {
        tonic::include_proto!("ringfence.v1");
    }
    pub mod storage {
        pub mod v1 {
            tonic::include_proto!("ringfence.storage.v1");
        }
    }
    pub mod peer {
        pub mod v1 {
            tonic::include_proto!("ringfence.peer.v1");
        }
    }
}

pub use ringfence::peer::v1 as peer;
pub use ringfence::storage::v1 as storage;
pub use ringfence::v1;

/// All descriptors, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The domain in every `google.rpc.ErrorInfo`.
pub const ERROR_DOMAIN: &str = "ringfence.v1";
