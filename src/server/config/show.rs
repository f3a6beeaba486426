//! Settings as text: a configuration file that says the same, with the place of each value.

use std::fmt::Write;

use super::{LogFormat, Settings, source::Values};

impl Settings {
    /// A TOML file with all effective values, each followed by a comment that tells where it comes from.
    pub fn show(&self, values: &Values) -> String {
        let mut lines = vec![
            ("cluster", quoted(&self.cluster)),
            ("node_id", self.node_id.to_string()),
            ("data_dir", self.data_dir().map_or_else(String::new, |path| quoted(&path.display().to_string()))),
            ("client_listen", quoted(&self.client_listen.to_string())),
            ("client_address", quoted(&self.client_address)),
            ("peer_listen", quoted(&self.peer_listen.to_string())),
            ("peer_address", quoted(&self.peer_address)),
        ];
        for (keys, files) in [
            (["client_tls_cert", "client_tls_key", "client_tls_ca"], &self.client_tls),
            (["peer_tls_cert", "peer_tls_key", "peer_tls_ca"], &self.peer_tls),
        ] {
            let Some(files) = files else { continue };
            let paths = [Some(&files.cert), Some(&files.key), files.ca.as_ref()];
            let given = keys.into_iter().zip(paths).filter_map(|(key, path)| Some((key, path?)));
            lines.extend(given.map(|(key, path)| (key, quoted(&path.display().to_string()))));
        }
        if let Some(listen) = self.http_listen {
            lines.push(("http_listen", quoted(&listen.to_string())));
        }
        let format = match self.log_format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        lines.extend([
            ("join", self.join.to_string()),
            ("heartbeat_ms", self.heartbeat_ms.to_string()),
            ("election_timeout_ms_min", self.election_timeout_ms_min.to_string()),
            ("election_timeout_ms_max", self.election_timeout_ms_max.to_string()),
            ("snapshot_entries", self.snapshot_entries.to_string()),
            ("snapshot_bytes", self.snapshot_bytes.to_string()),
            ("keep_entries", self.keep_entries.to_string()),
            ("disk_reserve_bytes", self.disk_reserve_bytes.to_string()),
            ("log_format", quoted(format)),
            ("log_level", quoted(&self.log_level)),
        ]);
        let mut text = String::new();
        // Writing to a string can't fail.
        for (key, value) in lines {
            let _ = writeln!(text, "{key} = {value}  # {}", values.origin(key));
        }
        for member in &self.members {
            let _ = writeln!(
                text,
                "\n[[members]]  # {}\nid = {}\nclient_address = {}\npeer_address = {}",
                values.origin("members"),
                member.id,
                quoted(&member.client_address),
                quoted(&member.peer_address)
            );
        }
        text
    }
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
