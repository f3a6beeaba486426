//! TLS on both ports: what works with it, and who is refused.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    time::Duration,
};

use ringfence_client::{Client, Error, TlsOptions, WatchItem, WatchOptions};
use ringfence_cluster::{
    Cluster,
    certs::{self, Authority, LOCAL_NAMES, Use, Validity},
};
use ringfence_proto::peer::{Sender, StatusRequest, peer_client::PeerClient};
use ringfence_tests::{
    World, binaries,
    cli::Cli,
    tls,
    wait::{until, within},
};
use ringfence_tls::{Group, Source};
use tonic::{Code, Status, transport::Endpoint};

async fn secured(nodes: usize) -> World {
    World::of(Cluster::builder().nodes(nodes).tls()).await
}

#[tokio::test]
async fn everything_works_with_tls_on_both_ports() {
    let world = secured(3).await;
    let client = world.client().await;
    let mut watcher = client.watch(WatchOptions::prefix("t/")).await.unwrap();
    let guard = client.lock("l").acquire().await.unwrap();
    client.kv().put("t/a", "1").await.unwrap();
    match within("an event", watcher.next()).await.unwrap().unwrap() {
        WatchItem::Events(events) => assert_eq!(events.len(), 1),
        other => panic!("{other:?}"),
    }

    let cli = Cli::of(&world);
    assert_eq!(cli.text(&["kv", "get", "t/a", "--raw"]).await, "1");
    let held = cli.fails(74, &["lock", "run", "l", "--wait", "0s", "--", "true"]).await;
    assert_eq!(held["exit_code"], 74);
    guard.release().await.unwrap();
    // What runs under the lock reaches the cluster, too, wherever it runs.
    let nested = format!("cd / && {} kv put t/b \"$RINGFENCE_TOKEN\"", binaries::cli().display());
    cli.text(&["lock", "run", "l", "--", "sh", "-c", &nested]).await;
    assert!(client.kv().get("t/b").await.unwrap().is_some());

    // The others find each other without the leader, and it finds them again.
    let leader = world.leader().await;
    world.node(leader).kill().await.unwrap();
    // One that was on its way to the leader may be lost with it.
    until("a write without the leader", async || client.kv().put("t/c", "3").await).await;
    world.revive(leader).await;
    assert_eq!(world.raw(leader).get("t/c").await.unwrap().as_deref(), Some("3"));
    drop((watcher, client));
    world.settle().await;
}

/// A client that gives up soon where nobody answers.
fn impatient(endpoints: Vec<String>, options: TlsOptions) -> Client {
    Client::builder(endpoints).deadline(Duration::from_secs(20)).tls(options).build().unwrap()
}

/// What a client is told that isn't trusted, or doesn't trust.
async fn untrusted(client: &Client) -> String {
    match within("a refusal", client.kv().put("never", "v")).await {
        Err(Error::Untrusted { message }) => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn clients_that_are_not_trusted_are_refused_and_told_why() {
    let world = secured(3).await;
    let authority = Authority::open(&world.certs()).unwrap();
    let foreign_place = tempfile::tempdir().unwrap();
    let foreign = Authority::open(foreign_place.path()).unwrap();
    foreign.sign_all(1, &LOCAL_NAMES, Validity::Days(1)).unwrap();
    let expired = authority.sign("expired", &[], Use::Client, Validity::Expired).unwrap();
    let stranger = foreign.certificate("client");
    let ca = || TlsOptions::new().ca_file(world.certs().join("ca.pem"));

    let told = untrusted(&impatient(world.endpoints(), ca())).await;
    assert!(told.contains("requires a client certificate"), "{told}");
    let client = impatient(world.endpoints(), ca().identity_files(&stranger.cert, &stranger.key));
    let told = untrusted(&client).await;
    assert!(told.contains("does not know the CA that signed this side's certificate"), "{told}");
    let own_ca = certs::client_options(&world.certs()).ca_file(foreign.ca());
    let told = untrusted(&impatient(world.endpoints(), own_ca)).await;
    assert!(told.contains("the server's certificate is not signed by a CA in"), "{told}");
    let other_name = certs::client_options(&world.certs()).server_name("node1.example.org");
    let told = untrusted(&impatient(world.endpoints(), other_name)).await;
    assert!(told.contains("is not for node1.example.org, but for localhost"), "{told}");
    let watched = impatient(world.endpoints(), ca()).watch(WatchOptions::prefix("")).await;
    assert!(matches!(watched, Err(Error::Untrusted { .. })), "{watched:?}");

    // Its own expired certificate is refused by the client itself; the server would do it, too.
    let error = Client::builder(world.endpoints()).tls(ca().identity_files(&expired.cert, &expired.key)).build();
    let error = error.unwrap_err().to_string();
    assert!(error.contains("expired.pem expired at") && error.contains("renew it"), "{error}");

    // By bytes instead of files, all is the same.
    let read = |path: &Path| std::fs::read(path).unwrap();
    let own = certs::of_name(&world.certs(), "client");
    let given = TlsOptions::new().ca_pem(read(&authority.ca())).identity_pem(read(&own.cert), read(&own.key));
    let client = impatient(world.endpoints(), given);
    assert!(client.kv().get("never").await.unwrap().is_none(), "nobody that was refused has done anything");
    assert_eq!(world.raw(1).status().await.unwrap().revision, 0);
    // Each refusal is in the log of a node.
    let logs: String = world.nodes().iter().map(|node| node.log_tail(1000)).collect();
    assert!(logs.contains("a TLS handshake was refused"), "{logs}");
}

#[tokio::test]
async fn the_command_line_says_what_to_mend() {
    let world = secured(1).await;
    let cli = Cli::of(&world);
    let other = tempfile::tempdir().unwrap();
    let foreign = Authority::open(other.path()).unwrap();
    let ca = foreign.ca().display().to_string();
    let failure = cli.fails(69, &["--cacert", &ca, "kv", "get", "k"]).await;
    assert_eq!(failure["error"], "UNTRUSTED");
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("not signed by a CA in") && message.contains(&ca), "{message}");
    assert!(failure["next"].as_str().unwrap().contains("--cacert"), "{failure}");

    let address = world.node(1).client_address().to_owned();
    let plain = Cli::plain(&format!("http://{address}"));
    let failure = plain.fails(69, &["kv", "put", "k", "v"]).await;
    assert_eq!(failure["error"], "UNTRUSTED");
    assert!(failure["message"].as_str().unwrap().contains("the server requires TLS"), "{failure}");
    let plain = Cli::plain(&format!("https://{address}"));
    let failure = plain.fails(2, &["kv", "get", "k"]).await;
    assert!(failure["message"].as_str().unwrap().contains("--cacert"), "{failure}");
    plain.fails(2, &["--cert", "a", "--cert-key", "b", "kv", "get", "k"]).await;
    plain.fails(2, &["--cacert", &ca, "--cert", "a", "kv", "get", "k"]).await;
    let failure = plain.fails(2, &["--cacert", "/nowhere/ca.pem", "kv", "get", "k"]).await;
    assert!(failure["message"].as_str().unwrap().contains("/nowhere/ca.pem can't be read"), "{failure}");
}

#[tokio::test]
async fn a_client_with_tls_says_so_of_a_server_without() {
    let world = World::start(1).await;
    let place = tempfile::tempdir().unwrap();
    let authority = Authority::open(place.path()).unwrap();
    let client = impatient(world.endpoints(), TlsOptions::new().ca_file(authority.ca()));
    let told = untrusted(&client).await;
    assert!(told.contains("the server does not speak TLS at this port"), "{told}");
    // The server goes on.
    world.raw(1).put("k", "v").await.unwrap();
}

#[tokio::test]
async fn a_server_may_have_tls_and_ask_for_no_certificate() {
    let place = tempfile::tempdir().unwrap();
    let authority = Authority::open(place.path()).unwrap();
    let own = authority.sign("server", &LOCAL_NAMES, Use::Node, Validity::Days(1)).unwrap();
    let builder = Cluster::builder()
        .nodes(1)
        .setting("client_tls_cert", own.cert.display().to_string())
        .setting("client_tls_key", own.key.display().to_string());
    let world = World::prepare(builder);
    world.node(1).spawn().unwrap();
    let client = impatient(world.endpoints(), TlsOptions::new().ca_file(authority.ca()));
    until("a write", async || client.kv().put("k", "v").await).await;
}

/// Asks a member's peer port who it is, as a member of this cluster or of another.
async fn ask_peer(address: &str, group: Option<Group>, cluster: u64) -> Result<(), Status> {
    let channel = match group {
        Some(group) => tls::channel(address, group),
        None => Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy(),
    };
    let request = StatusRequest { sender: Some(Sender { cluster, node: 2, to: 1 }) };
    within("an answer of the peer port", PeerClient::new(channel).status(request)).await.map(drop)
}

#[tokio::test]
async fn the_peer_port_answers_members_alone() {
    let world = secured(1).await;
    let address = world.node(1).peer_address().to_owned();
    let cluster = world.status(1).await.unwrap().header.unwrap().cluster_id;
    let node = |directory: &Path| {
        let own = certs::of_name(directory, "node1");
        Group { identity: Some((Source::File(own.cert), Source::File(own.key))), ..tls::group(directory) }
    };
    let good = node(&world.certs());
    ask_peer(&address, Some(good.clone()), cluster).await.unwrap();
    // A certificate of the cluster's is not enough: the cluster's id must be known, too.
    let refused = ask_peer(&address, Some(good.clone()), cluster + 1).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    assert!(refused.message().contains("cluster"), "{refused:?}");

    let other = tempfile::tempdir().unwrap();
    let foreign = Authority::open(other.path()).unwrap();
    foreign.sign_all(1, &LOCAL_NAMES, Validity::Days(1)).unwrap();
    let foreign = Group { ca: good.ca.clone(), ..node(other.path()) };
    let without = Group { identity: None, ..good.clone() };
    for stranger in [Some(foreign), Some(without), None] {
        let refused = ask_peer(&address, stranger.clone(), cluster).await.unwrap_err();
        assert_ne!(refused.code(), Code::FailedPrecondition, "{stranger:?} was heard: {refused:?}");
    }
    ask_peer(&address, Some(good), cluster).await.unwrap();
    let log = until("the refusals in the log", async || {
        let log = world.node(1).log_tail(1000);
        if log.contains("a TLS handshake was refused") { Ok(log) } else { Err(log) }
    })
    .await;
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test]
async fn certificates_that_can_t_be_used_stop_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let certs = directory.path().join("certs");
    let other = directory.path().join("other");
    let authority = Authority::open(&certs).unwrap();
    Authority::open(&other).unwrap().sign_all(1, &LOCAL_NAMES, Validity::Days(1)).unwrap();
    authority.sign_all(1, &LOCAL_NAMES, Validity::Days(1)).unwrap();
    authority.sign("expired", &LOCAL_NAMES, Use::Node, Validity::Expired).unwrap();
    authority.sign("elsewhere", &["node9.example.org"], Use::Node, Validity::Days(1)).unwrap();
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let (client, peer) = (free(), free());
    let config = path("node.toml");
    let base = format!(
        "cluster = \"c\"\nnode_id = 1\ndata_dir = {:?}\nclient_listen = \"{client}\"\npeer_listen = \"{peer}\"\n",
        path("data")
    );
    let founders = format!("[[members]]\nid = 1\nclient_address = \"{client}\"\npeer_address = \"{peer}\"\n");
    let file = |name: &str| format!("{:?}", certs.join(name).display().to_string());
    let group = |port: &str, cert: &str, key: &str, ca: &str| {
        format!("{port}_tls_cert = {}\n{port}_tls_key = {}\n{port}_tls_ca = {}\n", file(cert), file(key), file(ca))
    };
    let wrong: [(String, &[&str]); 9] = [
        (group("peer", "nowhere.pem", "node1.key", "ca.pem"), &["line 6: peer_tls_cert", "nowhere.pem can't be read"]),
        (group("peer", "node1.pem", "client.key", "ca.pem"), &["line 7: peer_tls_key", "does not belong to"]),
        (group("client", "node1.pem", "ca.pem", "ca.pem"), &["line 7: client_tls_key", "PRIVATE KEY"]),
        (group("client", "expired.pem", "expired.key", "ca.pem"), &["client_tls_cert", "expired at", "renew it"]),
        (group("peer", "elsewhere.pem", "elsewhere.key", "ca.pem"), &["node9.example.org, and not for 127.0.0.1"]),
        (group("peer", "client.pem", "client.key", "ca.pem"), &["peer_tls_cert", "client.pem"]),
        (group("peer", "node1.pem", "node1.key", "../other/ca.pem"), &["not signed by a CA of this group"]),
        (format!("client_tls_cert = {}\n", file("node1.pem")), &["client_tls_key is missing", "belong together"]),
        (
            format!("peer_tls_cert = {}\npeer_tls_key = {}\n", file("node1.pem"), file("node1.key")),
            &["peer_tls_ca is missing", "belong together"],
        ),
    ];
    for (keys, words) in wrong {
        std::fs::write(&config, format!("{base}{keys}{founders}")).unwrap();
        for check in [&["--check-config"][..], &[]] {
            let (code, said) = binaries::run_server(&[&["--config", &config], check].concat()).await;
            assert_eq!(code, Some(2), "{said}");
            words.iter().for_each(|word| assert!(said.contains(word), "{word:?} is not in: {said}"));
        }
    }
    assert!(!directory.path().join("data").exists(), "nothing was made of it");
    let right =
        group("peer", "node1.pem", "node1.key", "ca.pem") + &group("client", "node1.pem", "node1.key", "ca.pem");
    std::fs::write(&config, format!("{base}{right}{founders}")).unwrap();
    let (code, said) = binaries::run_server(&["--config", &config, "--check-config"]).await;
    assert_eq!(code, Some(0), "{said}");
}
