//! The list of members as people write it.

/// The local cluster of `scripts/cluster` and, with its first port, `ringfenced --dev`.
pub const DEFAULT: &str = "http://127.0.0.1:7601,7602,7603";

/// Members' URLs, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints(pub Vec<String>);

impl Endpoints {
    /// The same members, reached with TLS.
    pub fn with_tls(&self) -> Self {
        Self(self.0.iter().map(|url| url.replacen("http://", "https://", 1)).collect())
    }
}

/// Why a list of members can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointsError {
    /// No member is named.
    #[error(
        "no member is named; --endpoints or RINGFENCE_ENDPOINTS lists some, for example 10.0.0.1:7601,10.0.0.2:7601"
    )]
    Empty,
    /// The scheme is none that the client speaks.
    #[error(
        "`{0}` in --endpoints or RINGFENCE_ENDPOINTS has a scheme that isn't http or https; write for example http://db1:7601"
    )]
    Scheme(String),
    /// Host or port is missing or wrong.
    #[error(
        "`{0}` in --endpoints or RINGFENCE_ENDPOINTS is not host:port; write for example 10.0.0.1:7601, [::1]:7601 or \
         http://db1:7601"
    )]
    Address(String),
}

/// Reads `http://a:1,b:2,3`: URLs, host:port, or a port alone, which belongs to the host before it.
pub fn parse(text: &str) -> Result<Endpoints, EndpointsError> {
    let mut urls: Vec<String> = Vec::new();
    let mut before = ("http", "127.0.0.1".to_owned());
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (scheme, host, port) = one(item, (before.0, &before.1))?;
        let url = format!("{scheme}://{host}:{port}");
        if !urls.contains(&url) {
            urls.push(url);
        }
        before = (scheme, host);
    }
    if urls.is_empty() { Err(EndpointsError::Empty) } else { Ok(Endpoints(urls)) }
}

/// Scheme, host and port of one item; `before` is scheme and host of the item before it.
fn one(item: &str, before: (&'static str, &str)) -> Result<(&'static str, String, u16), EndpointsError> {
    let wrong = || EndpointsError::Address(item.to_owned());
    let port_of = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err(wrong()),
    };
    if item.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok((before.0, before.1.to_owned(), port_of(item)?));
    }
    let (scheme, rest) = match item.split_once("://") {
        None => (before.0, item),
        Some(("http", rest)) => ("http", rest),
        Some(("https", rest)) => ("https", rest),
        Some(_) => return Err(EndpointsError::Scheme(item.to_owned())),
    };
    let (host, port) = rest.strip_suffix('/').unwrap_or(rest).rsplit_once(':').ok_or_else(wrong)?;
    let bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
    let plain = !host.is_empty() && !host.contains([':', '/', '@', '[', ']', '?', '#', ' ']);
    if !(bracketed || plain) {
        return Err(wrong());
    }
    Ok((scheme, host.to_owned(), port_of(port)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(text: &str) -> Vec<String> {
        parse(text).expect("is a list").0
    }

    #[test]
    fn the_default_is_the_local_cluster() {
        assert_eq!(urls(DEFAULT), ["http://127.0.0.1:7601", "http://127.0.0.1:7602", "http://127.0.0.1:7603"]);
    }

    #[test]
    fn scheme_and_host_may_be_left_out() {
        assert_eq!(urls("db1:7601, db2:7601,"), ["http://db1:7601", "http://db2:7601"]);
        assert_eq!(urls("http://db1:1,2"), ["http://db1:1", "http://db1:2"]);
        assert_eq!(urls("7601"), ["http://127.0.0.1:7601"]);
        assert_eq!(urls("[::1]:7601/"), ["http://[::1]:7601"]);
        assert_eq!(urls("a:1,a:1"), ["http://a:1"], "one member once");
    }

    #[test]
    fn the_scheme_of_an_item_is_that_of_the_one_before() {
        assert_eq!(urls("https://a:1,b:2,3"), ["https://a:1", "https://b:2", "https://b:3"]);
        assert_eq!(urls("a:1,https://b:2"), ["http://a:1", "https://b:2"]);
        assert_eq!(parse("a:1,[::1]:2").expect("is a list").with_tls().0, ["https://a:1", "https://[::1]:2"]);
    }

    #[test]
    fn what_is_no_member_is_refused() {
        assert_eq!(parse(" , "), Err(EndpointsError::Empty));
        for scheme in ["ftp://a:1", "httpss://a:1"] {
            assert_eq!(parse(scheme), Err(EndpointsError::Scheme(scheme.to_owned())));
        }
        for wrong in
            ["db1", "db1:", "db1:0", "db1:70000", ":7601", "a:b:1", "::1:7601", "http://a:1/path", "a:+1", "u@a:1"]
        {
            assert_eq!(parse(wrong), Err(EndpointsError::Address(wrong.to_owned())), "{wrong}");
        }
    }
}
