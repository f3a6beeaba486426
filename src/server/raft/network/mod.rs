//! What members say to each other (`ringfence.peer.v1`): over gRPC, and all the time over links.
//!
//! [`client`] is what openraft calls to reach a member, [`append`] the pipelined stream of the log within it, [`forward`] what
//! the rest of the server asks of a member; [`service`] is the other end of all of them. [`pool`] holds the connections, and [`gate`]
//! how often they are tried, [`listen`] the port. `link` carries what is said often in frames of our own. [`vigil`] notices a leader that died, and
//! [`heard`] knows when one last spoke.

/// Calls a member. In simulation the world decides what becomes of the message.
macro_rules! ask {
    ($kind:literal, $to:expr, $client:ident.$method:ident($request:ident)) => {{
        #[cfg(not(madsim))]
        let asked = $client.$method(tonic::Request::new($request));
        #[cfg(madsim)]
        let asked = {
            let _ = &mut $client;
            let lost = tonic::Status::unavailable("the message is lost");
            ringfence_probes::messages::pass($kind, $to, true, Err(lost), move || {
                let (mut client, request) = ($client.clone(), $request.clone());
                async move { client.$method(tonic::Request::new(request)).await }
            })
        };
        asked
    }};
}

pub mod append;
pub mod client;
pub mod convert;
pub mod forward;
pub mod gate;
pub mod heard;
#[cfg(not(madsim))]
pub mod link;
pub mod listen;
pub mod pool;
pub mod service;
pub mod vigil;

/// Bytes of a message between members. The largest is a batch of entries: [`super::log_store::REPLICATE_BYTES_MAX`], passed by at
/// most one entry of requests of 2.1 MiB each that the proposer batches, and protobuf around them.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Bytes of a snapshot in one message; fewer in simulation, where snapshots are small.
pub const SNAPSHOT_CHUNK_BYTES: usize = if cfg!(madsim) { 1 << 11 } else { 1 << 20 };
