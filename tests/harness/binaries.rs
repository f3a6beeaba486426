//! The programs under test, built if need be.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use ringfence_cluster::binary;

use super::{raw::text, wait::within};

/// The variable that names the command line's binary, as [`binary::VARIABLE`] names the server's.
const CLI_VARIABLE: &str = "RINGFENCE_CLI";

static BINARIES: LazyLock<(PathBuf, PathBuf)> = LazyLock::new(|| {
    if std::env::var_os(binary::VARIABLE).is_none() || std::env::var_os(CLI_VARIABLE).is_none() {
        build();
    }
    let find = |name, variable| binary::find(name, variable).unwrap_or_else(|error| panic!("{error}"));
    (find("ringfenced", binary::VARIABLE), find("ringfence", CLI_VARIABLE))
});

/// `ringfenced`.
#[must_use]
pub fn server() -> &'static Path {
    &BINARIES.0
}

/// `ringfence`.
#[must_use]
pub fn cli() -> &'static Path {
    &BINARIES.1
}

/// Runs `ringfenced` until it ends by itself, without the caller's own settings; gives its exit code and what it said on standard error.
///
/// # Panics
/// If it goes on.
pub async fn run_server(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::new(server());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RINGFENCE") {
            command.env_remove(name);
        }
    }
    let output = within("the server to give up", command.args(arguments).kill_on_drop(true).output()).await;
    let output = output.unwrap_or_else(|error| panic!("{error}"));
    (output.status.code(), text(&output.stderr))
}

/// What `scripts/cluster` calls.
///
/// # Panics
/// If it isn't there.
#[must_use]
pub fn tool() -> PathBuf {
    LazyLock::force(&BINARIES);
    binary::find("ringfence-cluster", "RINGFENCE_CLUSTER_TOOL").unwrap_or_else(|error| panic!("{error}"))
}

/// Cargo builds a package's programs for that package's own tests alone, so that these may be missing here, or old. With
/// nothing to do it takes a moment.
fn build() {
    let own = std::env::current_exe().expect("a test knows its own binary");
    // <target>/<profile>/deps/<test>
    let profile = own.ancestors().nth(2).expect("a profile's directory");
    let target = profile.parent().expect("a target directory");
    let name = match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["build", "--quiet", "--workspace", "--bins", "--profile", name, "--target-dir"])
        .arg(target)
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the programs under test could not be built");
}
