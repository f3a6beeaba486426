//! TLS towards the members.

use std::path::PathBuf;

use clap::Args;
use ringfence_client::TlsOptions;

use crate::failure::Failure;

/// The files of TLS. With a CA, nothing is said without TLS.
#[derive(Debug, Clone, Default, Args)]
pub struct TlsArgs {
    /// CAs of the members' certificates, a PEM file; switches TLS on.
    #[arg(long, global = true, env = "RINGFENCE_CACERT", value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// This client's certificate, a PEM file, for members that require one; with --cert-key.
    #[arg(long, global = true, env = "RINGFENCE_CERT", value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// The certificate's key, a PEM file.
    #[arg(long, global = true, env = "RINGFENCE_CERT_KEY", value_name = "FILE")]
    pub cert_key: Option<PathBuf>,
}

impl TlsArgs {
    /// Settings for the client, if there is TLS.
    pub fn options(&self) -> Result<Option<TlsOptions>, Failure> {
        let Some(ca) = &self.cacert else {
            return match (&self.cert, &self.cert_key) {
                (None, None) => Ok(None),
                _ => Err(Failure::usage("--cert and --cert-key need --cacert, the CAs of the members' certificates")),
            };
        };
        let options = TlsOptions::new().ca_file(ca);
        match (&self.cert, &self.cert_key) {
            (None, None) => Ok(Some(options)),
            (Some(cert), Some(key)) => Ok(Some(options.identity_files(cert, key))),
            _ => Err(Failure::usage("--cert and --cert-key belong together: give both, or neither")),
        }
    }

    /// The same files for a command that is started, which may run in another directory.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("RINGFENCE_CACERT", &self.cacert),
            ("RINGFENCE_CERT", &self.cert),
            ("RINGFENCE_CERT_KEY", &self.cert_key),
        ];
        let files = given.into_iter().filter_map(|(name, path)| {
            let path = path.as_ref()?;
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            Some((name, path.to_str()?.to_owned()))
        });
        files.collect()
    }
}
