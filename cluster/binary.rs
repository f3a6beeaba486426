//! Finds the server to start.

use std::path::{Path, PathBuf};

use crate::error::ClusterError;

/// The environment variable that names the server's binary.
pub const VARIABLE: &str = "RINGFENCED";

/// The binary of this name, `ringfenced` or `ringfence`: named by `variable`, or beside the running program, or one
/// directory above it (where a test's own binary lies below the others').
///
/// # Errors
/// If there is none; names the places.
pub fn find(name: &str, variable: &str) -> Result<PathBuf, ClusterError> {
    if let Some(path) = std::env::var_os(variable) {
        let path = PathBuf::from(path);
        return if path.is_file() { Ok(path) } else { Err(ClusterError::NoBinary { looked: vec![path] }) };
    }
    let own = std::env::current_exe().unwrap_or_default();
    let looked: Vec<PathBuf> = own.ancestors().skip(1).take(2).map(|directory: &Path| directory.join(name)).collect();
    match looked.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(ClusterError::NoBinary { looked }),
    }
}
