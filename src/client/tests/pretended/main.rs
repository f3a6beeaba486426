//! The client against a pretended cluster, whose members fail on demand.
#![cfg(not(madsim))]

mod fake;
mod holding;
mod links;
mod pipelines;
mod retries;
mod watches;
