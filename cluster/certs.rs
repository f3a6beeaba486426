//! Certificates for trying things and for tests: a CA, certificates for nodes, and for clients.
//!
//! They stand in one directory, as PEM: `ca.pem` and `ca.key`, `node1.pem` and `node1.key`, …, `client.pem` and `client.key`. A CA that is
//! there already signs the new ones, so that making them again renews them. The keys are nobody's but this machine's: anyone who can read the
//! directory can sign.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use ringfence_client::TlsOptions;
use time::OffsetDateTime;

use crate::{error::ClusterError, settings::NodeSettings};

/// The names that a node of the local cluster is found under.
pub const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Clocks may differ a little.
const BEFORE: Duration = Duration::from_secs(3600);
/// A CA outlives what it signs.
const CA_DAYS: u32 = 3650;

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A node: it serves, and dials other nodes.
    Node,
    /// A client alone.
    Client,
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// From an hour ago, for so many days.
    Days(u32),
    /// Until yesterday.
    Expired,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, PEM.
    pub cert: PathBuf,
    /// The key, PEM, readable for its owner alone.
    pub key: PathBuf,
}

/// Settings of the client whose certificate is in this directory.
pub fn client_options(directory: &Path) -> TlsOptions {
    let own = of_name(directory, "client");
    TlsOptions::new().ca_file(directory.join("ca.pem")).identity_files(own.cert, own.key)
}

/// A CA in a directory.
pub struct Authority {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// The CA of this directory; made if there is none. The directory is made, too.
    ///
    /// # Errors
    /// If a file can't be read or written, or holds no key.
    pub fn open(directory: &Path) -> Result<Self, ClusterError> {
        fs::create_dir_all(directory).map_err(|error| ClusterError::io("create", directory, error))?;
        let (cert, key) = (directory.join("ca.pem"), directory.join("ca.key"));
        let pair = if key.exists() && cert.exists() {
            let text = fs::read_to_string(&key).map_err(|error| ClusterError::io("read", &key, error))?;
            KeyPair::from_pem(&text).map_err(failed)?
        } else {
            let pair = KeyPair::generate().map_err(failed)?;
            let certificate = authority(&pair)?.self_signed(&pair).map_err(failed)?;
            save(&cert, &certificate.pem(), 0o644)?;
            save(&key, &pair.serialize_pem(), 0o600)?;
            pair
        };
        Ok(Self { directory: directory.to_owned(), issuer: Issuer::new(authority(&pair)?, pair) })
    }

    /// The CA's certificate.
    pub fn ca(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// Makes a certificate of this name in the CA's directory, for these hosts and addresses; one that is there is replaced.
    ///
    /// # Errors
    /// If a file can't be written, or a host is none.
    pub fn sign(
        &self,
        name: &str,
        hosts: &[&str],
        usage: Use,
        validity: Validity,
    ) -> Result<Certificate, ClusterError> {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, format!("Ringfence {name}"));
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match usage {
            Use::Node => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            Use::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        };
        let now = SystemTime::now();
        (params.not_before, params.not_after) = match validity {
            Validity::Days(days) => span(now - BEFORE, now + DAY * days),
            Validity::Expired => span(now - DAY * 10, now - DAY),
        };
        let pair = KeyPair::generate().map_err(failed)?;
        let signed = params.signed_by(&pair, &self.issuer).map_err(failed)?;
        let made = self.certificate(name);
        save(&made.key, &pair.serialize_pem(), 0o600)?;
        save(&made.cert, &signed.pem(), 0o644)?;
        Ok(made)
    }

    /// Where the certificate of this name is, or would be.
    pub fn certificate(&self, name: &str) -> Certificate {
        of_name(&self.directory, name)
    }

    /// Makes certificates for this many nodes, found under these names, and one for a client.
    ///
    /// # Errors
    /// As [`Authority::sign`].
    pub fn sign_all(&self, nodes: usize, hosts: &[&str], validity: Validity) -> Result<(), ClusterError> {
        for id in 1..=nodes {
            self.sign(&format!("node{id}"), hosts, Use::Node, validity)?;
        }
        self.sign("client", &[], Use::Client, validity)?;
        Ok(())
    }

    /// Has a node use its certificate of this directory on both ports.
    pub fn configure(&self, settings: &mut NodeSettings) {
        let own = self.certificate(&format!("node{}", settings.node_id));
        for port in ["client", "peer"] {
            for (part, path) in [("cert", &own.cert), ("key", &own.key), ("ca", &self.ca())] {
                settings.other.insert(format!("{port}_tls_{part}"), path.display().to_string().into());
            }
        }
    }
}

/// Where the certificate of this name is in a directory of them, or would be.
pub fn of_name(directory: &Path, name: &str) -> Certificate {
    Certificate { cert: directory.join(format!("{name}.pem")), key: directory.join(format!("{name}.key")) }
}

/// The same for the same key, so that a CA that was made before is known again by its key alone. Each has a name of its own, by which
/// those who verify tell them apart.
fn authority(pair: &KeyPair) -> Result<CertificateParams, ClusterError> {
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    let mark: String = pair.public_key_raw().iter().rev().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name.push(DnType::CommonName, format!("Ringfence test CA {mark}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = SystemTime::now();
    (params.not_before, params.not_after) = span(now - DAY * 20, now + DAY * CA_DAYS);
    Ok(params)
}

fn span(from: SystemTime, until: SystemTime) -> (OffsetDateTime, OffsetDateTime) {
    (from.into(), until.into())
}

/// Under another name first, so that nobody reads half of it.
fn save(path: &Path, text: &str, mode: u32) -> Result<(), ClusterError> {
    let unfinished = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::options().create(true).write(true).truncate(true).mode(mode).open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&unfinished, path)
    };
    write().map_err(|error| ClusterError::io("write", path, error))
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn failed(error: rcgen::Error) -> ClusterError {
    ClusterError::Certificates { message: error.to_string() }
}
