//! Addresses under which a member is found: `host:port`.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Checks an address that is given to others: a host name, an IPv4 address or an IPv6 address in brackets, a colon, and a
/// port from 1 to 65535. An unspecified address (0.0.0.0) can be listened on, but nobody can be found there.
///
/// # Errors
/// What is wrong with it, as the rest of a sentence.
pub fn check(address: &str) -> Result<(), String> {
    const FORM: &str = "it must be host:port, such as node1.example.org:7601, 10.0.0.1:7601 or [fd00::1]:7601";
    let Some((host, port)) = address.rsplit_once(':') else {
        return Err(format!("has no port; {FORM}"));
    };
    match port.parse::<u16>() {
        Ok(1..) if port.bytes().all(|byte| byte.is_ascii_digit()) => {}
        _ => {
            return Err(format!("has {port:?} for a port, which must be 1 to 65535; {FORM}"));
        }
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return match inner.parse::<Ipv6Addr>() {
            Ok(ip) if ip.is_unspecified() => Err(unspecified()),
            Ok(_) => Ok(()),
            Err(_) => Err(format!("has no IPv6 address between the brackets; {FORM}")),
        };
    }
    if host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_unspecified()) {
        return Err(unspecified());
    }
    if !is_host(host) {
        return Err(format!("has {host:?} for a host; {FORM}"));
    }
    Ok(())
}

fn unspecified() -> String {
    "is an address to listen on, and others can't connect to it; name one under which they find this member".to_owned()
}

/// A host name as RFC 1123 has it, underscores allowed: at most 253 bytes, labels of 1 to 63 letters, digits, `-` and `_`.
fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let numeric = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    // What looks like an IPv4 address must be one: 10.0.0.256 is no host name.
    host.len() <= 253 && host.split('.').all(is_label) && (!numeric || host.parse::<Ipv4Addr>().is_ok())
}
