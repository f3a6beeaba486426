//! What the examples have in common: which cluster to speak to.

/// The members to speak to: `RINGFENCE_ENDPOINTS`, separated by commas, or else the local cluster.
pub fn endpoints() -> Vec<String> {
    match std::env::var("RINGFENCE_ENDPOINTS") {
        Ok(list) => list.split(',').map(str::to_owned).collect(),
        Err(_) => ringfence_client::LOCAL_ENDPOINTS.map(str::to_owned).to_vec(),
    }
}
