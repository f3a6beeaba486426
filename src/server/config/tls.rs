//! The files that the keys of TLS name: what is wrong with them is wrong with the configuration, and is told with the rest.

use ringfence_tls::{Group, TlsError};

use super::{read::Reader, settings::Settings};

/// Reads the files, and notes what is wrong with them.
pub fn check(settings: &Settings, reader: &mut Reader<'_>) {
    if let Some(files) = &settings.client_tls {
        note("client", files.of_client_port(), reader);
    }
    if let Some(files) = &settings.peer_tls {
        note("peer", files.of_peer_port(&settings.peer_address), reader);
    }
}

fn note(port: &str, group: Group, reader: &mut Reader<'_>) {
    let Err(error) = group.check() else { return };
    let file = match &error {
        TlsError::Unreadable { file, .. }
        | TlsError::Form { file, .. }
        | TlsError::Expired { file, .. }
        | TlsError::TooEarly { file, .. }
        | TlsError::Refused { file, .. } => file,
        TlsError::Mismatch { key, .. } => key,
    };
    let (cert, key) = group.identity.map_or_else(Default::default, |(cert, key)| (cert.to_string(), key.to_string()));
    let part = match file {
        file if *file == cert => "cert",
        file if *file == key => "key",
        _ => "ca",
    };
    reader.bad(&format!("{port}_tls_{part}"), format!("can't be used: {error}"));
}
