//! What every test of real processes needs: a [`World`] of nodes, raw gRPC, and waiting for conditions.

pub mod binaries;
pub mod cli;
pub mod http;
pub mod load;
pub mod raw;
pub mod refused;
pub mod tls;
pub mod wait;
mod world;

pub use world::World;
