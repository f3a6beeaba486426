//! Groups of files, good and bad, and handshakes between them over real sockets.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower_service::Service;

use crate::{
    acceptor::Acceptor,
    connector::{ConnectFailure, Connector, Dialled},
    error::TlsError,
    group::{Group, Source},
    renewed::Renewed,
};

const LIMIT: Duration = Duration::from_secs(20);

struct Files {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// A CA in a directory of its own.
fn files(name: &str) -> Files {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pair = KeyPair::generate().unwrap();
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("ca.pem"), params.self_signed(&pair).unwrap().pem()).unwrap();
    Files { directory, issuer: Issuer::new(params, pair) }
}

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Signs a certificate for these hosts, from the one year to the other.
    fn sign(&self, name: &str, hosts: &[&str], years: (i32, i32), usages: &[ExtendedKeyUsagePurpose]) -> Group {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        params.extended_key_usages = usages.to_vec();
        let pair = KeyPair::generate().unwrap();
        let signed = params.signed_by(&pair, &self.issuer).unwrap();
        let (cert, key) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        fs::write(&cert, signed.pem()).unwrap();
        fs::write(&key, pair.serialize_pem()).unwrap();
        Group {
            identity: Some((Source::File(cert), Source::File(key))),
            ca: Some(Source::File(self.path("ca.pem"))),
            member: None,
        }
    }

    fn good(&self, name: &str) -> Group {
        self.sign(name, &["localhost", "127.0.0.1"], (2020, 4000), &[])
    }
}

fn told(group: &Group) -> String {
    group.check().unwrap_err().to_string()
}

#[test]
fn a_good_group_is_good_and_each_bad_file_is_named() {
    let files = files("one");
    let good = files.good("node");
    assert_eq!(good.check(), Ok(()));
    let expired = files.sign("old", &["localhost"], (2001, 2002), &[]);
    assert!(told(&expired).ends_with("old.pem expired at 2002-01-01T00:00:00Z; renew it"), "{}", told(&expired));
    let early = files.sign("early", &["localhost"], (3000, 4000), &[]);
    assert!(told(&early).contains("is not valid before 3000-01-01T00:00:00Z"), "{}", told(&early));

    let other = files.good("other");
    let with = |cert: &str, key: &str, ca: &str| Group {
        identity: Some((Source::File(files.path(cert)), Source::File(files.path(key)))),
        ca: Some(Source::File(files.path(ca))),
        member: None,
    };
    assert_eq!(other.check(), Ok(()));
    assert!(matches!(with("node.pem", "other.key", "ca.pem").check(), Err(TlsError::Mismatch { .. })));
    assert!(told(&with("nowhere.pem", "node.key", "ca.pem")).contains("nowhere.pem can't be read: No such file"));
    assert!(told(&with("node.key", "node.key", "ca.pem")).contains("node.key holds no certificate; it must be PEM"));
    assert!(told(&with("node.pem", "node.pem", "ca.pem")).contains("node.pem holds no key that can be read"));
    assert!(told(&with("node.pem", "node.key", "node.key")).contains("node.key holds no certificate"));
    fs::write(files.path("junk"), b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n").unwrap();
    assert!(told(&with("junk", "node.key", "ca.pem")).contains("junk can't be read as certificates"));
    fs::write(files.path("cut"), b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(told(&with("node.pem", "node.key", "cut")).contains("cut holds what is no certificate of a CA"));
    assert!(told(&with("cut", "node.key", "ca.pem")).contains("cut"));
    fs::write(files.path("huge"), vec![b'\n'; (1 << 20) + 1]).unwrap();
    assert!(told(&with("huge", "node.key", "ca.pem")).contains("more than 1048576 bytes"));
    assert!(told(&with(".", "node.key", "ca.pem")).contains("it is no file"));
}

#[test]
fn a_members_certificate_is_held_against_its_own_cas() {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let (one, two) = (files("one"), files("two"));
    let member = |group: Group, host: &str| Group { member: Some(host.to_owned()), ..group };
    assert_eq!(member(one.good("node"), "127.0.0.1").check(), Ok(()));
    let both = one.sign("both", &["node1.example.org", "::1"], (2020, 4000), &[ServerAuth, ClientAuth]);
    assert_eq!(member(both.clone(), "node1.example.org").check(), Ok(()));
    assert_eq!(member(both, "[::1]").check(), Ok(()));
    let why = told(&member(one.good("node"), "node2.example.org"));
    assert!(why.ends_with("is for localhost, 127.0.0.1, and not for node2.example.org"), "{why}");
    let half = one.sign("half", &["localhost"], (2020, 4000), &[ServerAuth]);
    assert!(told(&member(half, "localhost")).contains("not for both directions"));
    let foreign = Group { ca: Some(Source::File(two.path("ca.pem"))), ..one.good("node") };
    assert!(told(&member(foreign, "localhost")).contains("not signed by a CA of this group"));
}

/// A server that says a word to each of its connections, and echoes what it hears.
async fn serve(acceptor: Acceptor) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Some(mut stream) = acceptor.accept(stream, peer, LIMIT).await else { return };
                let _ = stream.write_all(b"hello").await;
                let _ = stream.flush().await;
                let (mut from, mut to) = tokio::io::split(stream);
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    port
}

async fn dial(connector: &Connector, host: &str, port: u16) -> Result<Dialled, ConnectFailure> {
    let uri = format!("https://{host}:{port}").parse().unwrap();
    tokio::time::timeout(LIMIT, connector.clone().call(uri)).await.unwrap()
}

/// What a refused dialler is told.
async fn refused(connector: &Connector, host: &str, port: u16) -> String {
    match dial(connector, host, port).await {
        Err(ConnectFailure::Untrusted(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn both_sides_look_at_each_others_certificates() {
    let (one, two) = (files("one"), files("two"));
    let port = serve(Acceptor::new(one.good("server")).unwrap()).await;
    let client = |group| Connector::new(group, None).unwrap();

    let good = client(one.good("client"));
    let mut stream = dial(&good, "127.0.0.1", port).await.unwrap().into_inner();
    stream.write_all(b" and more").await.unwrap();
    let mut heard = [0; 14];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello and more");
    dial(&good, "localhost", port).await.unwrap();

    // What the dialler refuses.
    let group = Group { ca: Some(Source::File(two.path("ca.pem"))), ..one.good("client") };
    let why = refused(&client(group), "localhost", port).await;
    assert!(why.starts_with("the server's certificate is not signed by a CA in "), "{why}");
    let other_name = Connector::new(one.good("client"), Some("other.example.org")).unwrap();
    let why = refused(&other_name, "localhost", port).await;
    assert!(why.contains("is not for other.example.org, but for localhost, 127.0.0.1"), "{why}");

    // What the server refuses.
    let none = Group { identity: None, ..one.good("client") };
    let why = refused(&client(none), "localhost", port).await;
    assert!(why.contains("requires a client certificate"), "{why}");
    let foreign = Group { ca: Some(Source::File(one.path("ca.pem"))), ..two.good("client") };
    let why = refused(&client(foreign), "localhost", port).await;
    assert!(why.contains("does not know the CA"), "{why}");
    let server_only = one.sign("wrong", &[], (2020, 4000), &[ExtendedKeyUsagePurpose::ServerAuth]);
    let why = refused(&client(server_only), "localhost", port).await;
    assert!(why.contains("refuses this side's certificate"), "{why}");

    // No TLS on one side.
    let mut plain = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut heard = Vec::new();
    let _ = tokio::time::timeout(LIMIT, plain.read_to_end(&mut heard)).await.unwrap();
    assert!(!heard.windows(5).any(|window| window == b"hello"), "{heard:?}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain_port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // An empty SETTINGS frame, as HTTP/2 begins.
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let why = refused(&good, "127.0.0.1", plain_port).await;
    assert!(why.contains("does not speak TLS"), "{why}");
}

#[test]
fn a_server_needs_a_certificate_and_a_client_a_ca() {
    let files = files("one");
    assert!(Acceptor::new(Group { identity: None, ..files.good("node") }).is_err());
    assert!(Connector::new(Group { ca: None, ..files.good("node") }, None).is_err());
    assert!(Connector::new(files.good("node"), Some("no name")).is_err());
}

#[test]
fn the_bytes_of_a_key_are_not_shown() {
    let source = Source::Given { name: "the given key", pem: b"secret".to_vec() };
    assert_eq!(format!("{source:?}"), "Source(the given key)");
}

#[test]
fn what_is_new_and_good_is_taken_over_and_what_is_bad_is_not() {
    let (one, two) = (files("one"), files("two"));
    let group = one.good("node");
    let own = |material: &crate::material::Material| {
        Ok(material.identity.as_ref().map(|pair| pair.cert.clone()).unwrap_or_default())
    };
    let renewed = std::sync::Arc::new(Renewed::new(group.clone(), own).unwrap());
    let now = || renewed.now();
    let first = now();
    renewed.look();
    assert_eq!(now(), first, "nothing is new");

    one.good("node");
    renewed.look();
    let second = now();
    assert_ne!(second, first);

    // A new key without its certificate, a certificate that is over, a file that went.
    let cert = |name: &str| one.path(name);
    let keep = fs::read(cert("node.key")).unwrap();
    let replace = |bytes: &[u8], path: &Path| fs::write(path, bytes).unwrap();
    one.good("other");
    replace(&fs::read(cert("other.key")).unwrap(), &cert("node.key"));
    renewed.look();
    renewed.look();
    assert_eq!(now(), second);
    one.sign("node", &["localhost"], (2001, 2002), &[]);
    renewed.look();
    assert_eq!(now(), second);
    fs::remove_file(cert("node.pem")).unwrap();
    renewed.look();
    assert_eq!(now(), second);

    replace(&fs::read(cert("other.pem")).unwrap(), &cert("node.pem"));
    replace(&fs::read(cert("other.key")).unwrap(), &cert("node.key"));
    renewed.look();
    let third = now();
    assert_ne!(third, second);
    // The CAs are of the group, too: a file that is none changes nothing.
    replace(&keep, &cert("ca.pem"));
    renewed.look();
    assert_eq!(now(), third);
    replace(&fs::read(two.path("ca.pem")).unwrap(), &cert("ca.pem"));
    renewed.look();
    assert_eq!(now(), third, "the same certificate, with other CAs");
}

#[tokio::test]
async fn another_protocol_is_spoken_where_it_is_known_and_nowhere_else() {
    let files = files("one");
    let (with, without) = (Acceptor::new(files.good("server")).unwrap(), Acceptor::new(files.good("server")).unwrap());
    let (with, without) = (serve(with.also(b"another")).await, serve(without).await);
    let connector = Connector::new(files.good("client"), None).unwrap();
    let dial_for = async |port: u16| connector.dial(&format!("127.0.0.1:{port}"), b"another").await;

    let mut stream = dial_for(with).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"another"[..]));
    let mut heard = [0; 5];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
    dial_for(without).await.expect_err("nobody there speaks it");
    // HTTP goes on as before beside it.
    dial(&connector, "127.0.0.1", with).await.unwrap();

    let stranger = Connector::new(Group { identity: None, ..files.good("stranger") }, None).unwrap();
    match stranger.dial(&format!("127.0.0.1:{with}"), b"another").await {
        // In TLS 1.3 the server's answer says so.
        Ok(mut stream) => drop(stream.read_exact(&mut heard).await.expect_err("it has no certificate")),
        Err(error) => drop(error),
    }
}
