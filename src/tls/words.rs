//! What a failed handshake means, and what to do about it.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

use crate::material::date;

/// Of one that connects without TLS where there is nothing else.
pub(crate) const PLAIN: &str = "it does not speak TLS, which this port requires";

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The two sides don't trust each other, or one of them speaks no TLS: it stays so until somebody does something.
    Untrusted(String),
    /// The connection broke, or the other side was odd.
    Broken(String),
    /// It was closed before anything was said.
    Closed,
}

/// Which of the two sides asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side<'a> {
    /// The one that dialled, by this name, with these CAs.
    Dialling { host: &'a str, ca: &'a str, presents: bool },
    /// The one that listened, with these CAs.
    Serving { ca: &'a str },
}

/// Judges what a stream says.
pub(crate) fn judge(error: &io::Error, side: Side<'_>) -> Why {
    match tls_error(error) {
        Some(error) => judge_tls(error, side),
        None if error.kind() == io::ErrorKind::UnexpectedEof => Why::Closed,
        None => Why::Broken(error.to_string()),
    }
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())
}

fn judge_tls(error: &Error, side: Side<'_>) -> Why {
    let dialling = matches!(side, Side::Dialling { .. });
    match error {
        Error::InvalidCertificate(error) => Why::Untrusted(match side {
            Side::Dialling { host, ca, .. } => format!("the server's certificate {}", by_a_client(error, host, ca)),
            Side::Serving { ca } => format!("its certificate {}", certificate(error, ca)),
        }),
        Error::NoCertificatesPresented => Why::Untrusted("it presented no certificate, and one is required".to_owned()),
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } if dialling => Why::Untrusted(
            "the server does not speak TLS at this port: connect without TLS, or switch it on there".to_owned(),
        ),
        Error::InvalidMessage(_) => Why::Untrusted(PLAIN.to_owned()),
        Error::AlertReceived(alert) => by_alert(*alert, side),
        Error::PeerIncompatible(why) => Why::Untrusted(format!("no version or cipher of TLS in common: {why:?}")),
        other => Why::Broken(other.to_string()),
    }
}

/// What the other side said when it broke off.
fn by_alert(alert: AlertDescription, side: Side<'_>) -> Why {
    let Side::Dialling { presents, .. } = side else {
        return match alert {
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate => {
                Why::Untrusted(format!("it refuses this server's certificate ({alert:?})"))
            }
            other => Why::Broken(format!("it broke off ({other:?})")),
        };
    };
    Why::Untrusted(match alert {
        AlertDescription::CertificateRequired => {
            "the server requires a client certificate: give one, with its key".to_owned()
        }
        AlertDescription::UnknownCA => {
            "the server does not know the CA that signed this side's certificate: take a certificate that is signed by a CA of the server"
                .to_owned()
        }
        AlertDescription::CertificateExpired => {
            "the server says that this side's certificate is expired, or not valid yet: renew it, and compare the clocks".to_owned()
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRevoked
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError => format!("the server refuses this side's certificate ({alert:?})"),
        AlertDescription::HandshakeFailure if !presents => {
            "the server broke off the handshake; it may require a client certificate, and none was given".to_owned()
        }
        AlertDescription::HandshakeFailure
        | AlertDescription::ProtocolVersion
        | AlertDescription::NoApplicationProtocol => {
            format!("the server speaks another version of TLS, or another protocol ({alert:?})")
        }
        other => return Why::Broken(format!("the server broke off ({other:?})")),
    })
}

/// What a dialler finds wrong, as the rest of a sentence.
fn by_a_client(error: &CertificateError, host: &str, ca: &str) -> String {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!(
                "is not signed by a CA in {ca}: name the CA that signed it, or ask whether this is the right server"
            )
        }
        CertificateError::NotValidForName => format!("is not for {host}: use a name that it is for"),
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("is not for {host}, but for {}: use one of its names, or add this one to it", names(presented))
        }
        other => certificate(other, ca),
    }
}

/// What is wrong with a certificate, as the rest of a sentence.
pub(crate) fn certificate(error: &CertificateError, ca: &str) -> String {
    match error {
        // The second, where two CAs have the same name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => format!("is not signed by a CA in {ca}"),
        CertificateError::Expired => "is expired: renew it".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => format!("expired at {}: renew it", date(*not_after)),
        CertificateError::NotValidYet => "is not valid yet: compare the clocks".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("is not valid before {}: compare the clocks", date(*not_before))
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            format!("is for {}, and not for {}", names(presented), expected.to_str())
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not for this purpose, by its extended key usage".to_owned()
        }
        other => format!("is not acceptable ({other:?})"),
    }
}

/// The names of a certificate as the verifier lists them: `DnsName("a")`, `IpAddress(127.0.0.1)`. Whoever made it could put anything there.
fn names(presented: &[String]) -> String {
    const SHOWN_MAX: usize = 8;
    let bare = |name: &String| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
        inner.trim_matches('"').escape_debug().to_string()
    };
    match presented {
        [] => "no name at all".to_owned(),
        some => some.iter().take(SHOWN_MAX).map(bare).collect::<Vec<_>>().join(", "),
    }
}
