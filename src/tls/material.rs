//! From bytes to what rustls takes, with all checks that can be made without the other side.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use rustls::{
    CertificateError, Error, InconsistentKeys, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::WebPkiClientVerifier,
    sign::CertifiedKey,
};

use crate::{
    error::TlsError,
    group::{Contents, Group, Source},
    words,
};

/// What is made of a group's files.
pub(crate) struct Material {
    pub(crate) identity: Option<Arc<CertifiedKey>>,
    pub(crate) roots: Option<Arc<RootCertStore>>,
    /// The last second of this side's certificate.
    pub(crate) expires: Option<UnixTime>,
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Makes it, if all of it can be used now.
pub(crate) fn make(group: &Group, contents: &Contents) -> Result<Material, TlsError> {
    let now = UnixTime::now();
    let roots = group.ca.as_ref().map(|source| roots(source, &contents.ca)).transpose()?;
    let mut material = Material { identity: None, roots: roots.map(Arc::new), expires: None };
    if let Some((cert, key)) = &group.identity {
        let pair = pair((cert, &contents.cert), (key, &contents.key))?;
        material.expires = Some(valid_until(cert, &pair.cert, now)?);
        if let (Some(host), Some(roots)) = (&group.member, &material.roots) {
            as_members_see_it(cert, &pair.cert, host, roots, now)
                .map_err(|why| TlsError::Refused { file: cert.to_string(), why })?;
        }
        material.identity = Some(Arc::new(pair));
    }
    Ok(material)
}

fn form(source: &Source, why: impl Into<String>) -> TlsError {
    TlsError::Form { file: source.to_string(), why: why.into() }
}

fn certificates(source: &Source, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    const WANTED: &str = "it must be PEM, with -----BEGIN CERTIFICATE----- before each";
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| form(source, format!("can't be read as certificates ({error}); {WANTED}")))?;
    if read.is_empty() { Err(form(source, format!("holds no certificate; {WANTED}"))) } else { Ok(read) }
}

fn roots(source: &Source, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(source, pem)? {
        store
            .add(certificate)
            .map_err(|error| form(source, format!("holds what is no certificate of a CA: {error}")))?;
    }
    Ok(store)
}

fn pair((cert, cert_pem): (&Source, &[u8]), (key, key_pem): (&Source, &[u8])) -> Result<CertifiedKey, TlsError> {
    const WANTED: &str = "it must be PEM, with one PRIVATE KEY that isn't encrypted: ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits or more";
    let chain = certificates(cert, cert_pem)?;
    let read = PrivateKeyDer::from_pem_slice(key_pem);
    let read = read.map_err(|error| form(key, format!("holds no key that can be read ({error}); {WANTED}")))?;
    let pair = CertifiedKey::from_der(chain, read, &provider());
    pair.map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::Mismatch { cert: cert.to_string(), key: key.to_string() }
        }
        Error::InvalidCertificate(error) => form(cert, format!("holds what is no certificate: {error:?}")),
        _ => form(key, format!("holds a key of a kind that isn't known; {WANTED}")),
    })
}

/// The last second of the first certificate; an error if that has passed, or its first hasn't come.
fn valid_until(source: &Source, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<UnixTime, TlsError> {
    let (from, until) =
        validity(chain).ok_or_else(|| form(source, "holds a certificate without a time of validity"))?;
    let file = source.to_string();
    if now > until {
        return Err(TlsError::Expired { file, at: date(until) });
    }
    if now < from {
        return Err(TlsError::TooEarly { file, at: date(from) });
    }
    Ok(until)
}

/// From when until when. The verifier tells both, if it is asked about a time before and one after: it looks at the time first of all, and
/// needs no CA for that.
fn validity(chain: &[CertificateDer<'_>]) -> Option<(UnixTime, UnixTime)> {
    let certificate = webpki::EndEntityCert::try_from(chain.first()?).ok()?;
    let ask = |seconds: u64| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let usage = webpki::KeyUsage::server_auth();
        certificate.verify_for_usage(&[], &[], &[], time, usage, None, None).err()
    };
    let until = match ask(u64::MAX) {
        Some(webpki::Error::CertExpired { not_after, .. }) => not_after,
        _ => return None,
    };
    let from = match ask(0) {
        Some(webpki::Error::CertNotValidYet { not_before, .. }) => not_before,
        _ => UnixTime::since_unix_epoch(Duration::ZERO),
    };
    Some((from, until))
}

/// What the other members will say to this certificate, as dialler and as listener.
fn as_members_see_it(
    source: &Source,
    chain: &[CertificateDer<'_>],
    host: &str,
    roots: &Arc<RootCertStore>,
    now: UnixTime,
) -> Result<(), String> {
    let Some((own, between)) = chain.split_first() else { return Ok(()) };
    let name = server_name(host).ok_or_else(|| format!("can't be for {host:?}, which is no host"))?;
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider()).build();
    let verifier = verifier.map_err(|error| error.to_string())?;
    let told = |error: Error| match error {
        Error::InvalidCertificate(error) => own_fault(&error, source),
        other => format!("can't be checked: {other}"),
    };
    verifier.verify_server_cert(own, between, &name, &[], now).map_err(told)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider()).build();
    let verifier = verifier.map_err(|error| error.to_string())?;
    verifier.verify_client_cert(own, between, now).map_err(told)?;
    Ok(())
}

fn own_fault(error: &CertificateError, source: &Source) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "is not signed by a CA of this group, against which the other members hold it; name the CA that signed it, or take \
             another certificate"
                .to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not for both directions: members dial and listen with it, so that its extended key usage, if it has any, must name \
             server and client authentication"
                .to_owned()
        }
        other => words::certificate(other, &source.to_string()),
    }
}

/// The name that a certificate is held against.
pub(crate) fn server_name(host: &str) -> Option<ServerName<'static>> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(bare.to_owned()).ok()
}

/// A time for people, in UTC.
pub(crate) fn date(time: UnixTime) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    at.filter(|_| time.as_secs() < 253_402_300_800)
        .map_or_else(|| "the end of time".to_owned(), |at| humantime::format_rfc3339_seconds(at).to_string())
}
