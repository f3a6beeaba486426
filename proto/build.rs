//! Compiles the .proto files without a protoc binary, and keeps their descriptors for gRPC reflection.

use std::{env, fs, path::PathBuf};

use prost::Message;

const FILES: [&str; 10] = [
    "ringfence/v1/cluster.proto",
    "ringfence/v1/common.proto",
    "ringfence/v1/election.proto",
    "ringfence/v1/kv.proto",
    "ringfence/v1/lock.proto",
    "ringfence/v1/pipeline.proto",
    "ringfence/v1/session.proto",
    "ringfence/v1/watch.proto",
    "ringfence/storage/v1/storage.proto",
    "ringfence/peer/v1/peer.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=ringfence");
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let path = out.join("descriptors.bin");
    fs::write(&path, descriptors.encode_to_vec())?;
    tonic_build::configure()
        .bytes(["."])
        .file_descriptor_set_path(&path)
        // The descriptors are given, not compiled: there is no file to be watched but those above.
        .emit_rerun_if_changed(false)
        .skip_protoc_run()
        .compile_protos(&["unused.proto"], &["."])?;
    Ok(())
}
