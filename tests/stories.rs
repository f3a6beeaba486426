//! Everything that needs real nodes. Run one story alone with `cargo test -p ringfence-tests --test stories faults::`.

// What the service does when all is well.
mod benchmarks;
mod cli;
mod client;
mod elections;
mod keys;
mod lasting;
mod locks;
mod members;
mod monitoring;
mod pipeline;
mod resizing;
mod rolling;
mod sessions;
mod watches;

// What it does when not.
mod abuse;
mod backups;
mod checks;
mod failing;
mod faults;
mod overloaded;
mod preconditions;
mod refusals;
mod startup;
mod stop;
mod tls;
mod tls_renewed;
