//! Certificates that are renewed on disk while everything runs.

use std::{fs, path::Path};

use ringfence_client::{Client, Error};
use ringfence_cluster::{
    Cluster,
    certs::{self, Authority, LOCAL_NAMES, Use, Validity},
};
use ringfence_tests::{World, wait::until};
use tempfile::TempDir;

async fn secured() -> World {
    World::of(Cluster::builder().nodes(3).tls()).await
}

/// A CA elsewhere, with a certificate for each of three nodes and for a client.
fn another() -> (TempDir, Authority) {
    let place = tempfile::tempdir().unwrap();
    let authority = Authority::open(place.path()).unwrap();
    authority.sign_all(3, &LOCAL_NAMES, Validity::Days(1)).unwrap();
    (place, authority)
}

/// Replaces a certificate as people do: one file, then the other.
fn replace(from: &Path, to: &Path, name: &str) {
    let (from, to) = (certs::of_name(from, name), certs::of_name(to, name));
    fs::copy(from.key, to.key).unwrap();
    fs::copy(from.cert, to.cert).unwrap();
}

/// A client on connections of its own to one node, with the certificates of a directory.
fn client_of(world: &World, id: u64, directory: &Path) -> Client {
    Client::builder([world.node(id).endpoint()]).tls(certs::client_options(directory)).build().unwrap()
}

/// The node serves this client by now.
async fn is_served(world: &World, id: u64, directory: &Path) {
    until("the node to serve the client", async || client_of(world, id, directory).kv().put("k", "v").await).await;
}

#[tokio::test]
async fn a_whole_cluster_moves_to_another_ca_without_a_restart() {
    let world = secured().await;
    let own = world.certs();
    let (place, _) = another();
    let old = fs::read_to_string(own.join("ca.pem")).unwrap();
    let new = fs::read_to_string(place.path().join("ca.pem")).unwrap();
    // A client that lives through all of it. The old client's files are kept apart.
    let client = world.client().await;
    let kept = tempfile::tempdir().unwrap();
    for name in ["ca.pem", "client.pem", "client.key"] {
        fs::copy(own.join(name), kept.path().join(name)).unwrap();
    }
    client.kv().put("a", "1").await.unwrap();

    // First both CAs are trusted, then the certificates change, one member after the other.
    fs::write(own.join("ca.pem"), format!("{old}{new}")).unwrap();
    for id in 1..=3 {
        is_served(&world, id, kept.path()).await;
    }
    for (id, name) in [(1, "node1"), (2, "node2"), (3, "node3")] {
        replace(place.path(), &own, name);
        // Who trusts the new CA alone, and has a certificate of it, is served: the node serves with the new one.
        is_served(&world, id, place.path()).await;
    }
    replace(place.path(), &own, "client");
    // Then the old CA goes.
    fs::write(own.join("ca.pem"), &new).unwrap();
    for id in 1..=3 {
        until("the old certificate to be refused", async || {
            let trusting_both = kept.path().join("both.pem");
            fs::write(&trusting_both, format!("{old}{new}")).unwrap();
            let options = certs::client_options(kept.path()).ca_file(trusting_both);
            let stranger = Client::builder([world.node(id).endpoint()]).tls(options).build().unwrap();
            match stranger.kv().get("a").await {
                Err(Error::Untrusted { message }) => Ok(message),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    // A member that comes back knows the new CA alone, and the others reach it, and it them.
    let leader = world.leader().await;
    world.node(leader).kill().await.unwrap();
    // One that was on its way to the leader may be lost with it.
    until("a write without the leader", async || client.kv().put("b", "2").await).await;
    world.revive(leader).await;
    assert_eq!(world.raw(leader).get("b").await.unwrap().as_deref(), Some("2"));
    assert_eq!(client.kv().get("a").await.unwrap().unwrap().value, "1");
    for node in world.nodes().iter().filter(|node| node.id() != leader) {
        assert!(node.log_tail(1000).contains("certificates were renewed"), "{}", node.log_tail(1000));
    }
}

#[tokio::test]
async fn a_broken_renewal_keeps_the_old_certificate_until_it_is_mended() {
    let world = World::of(Cluster::builder().nodes(1).tls()).await;
    let own = world.certs();
    let (place, _) = another();
    let cert = certs::of_name(&own, "node1").cert;
    let both = [own.join("ca.pem"), place.path().join("ca.pem")].map(|path| fs::read_to_string(path).unwrap()).concat();
    fs::write(&cert, "-----BEGIN CERTIFICATE-----\nhalf of it").unwrap();
    let complaints = |count: usize| {
        let world = &world;
        async move || {
            let log = world.node(1).log_tail(1000);
            if log.matches("those from before are kept").count() >= count { Ok(()) } else { Err(log) }
        }
    };
    until("the complaint", complaints(2)).await;
    is_served(&world, 1, &own).await;
    // One that is over is no better.
    let authority = Authority::open(&own).unwrap();
    authority.sign("node1", &LOCAL_NAMES, Use::Node, Validity::Expired).unwrap();
    until("the other complaint", complaints(3)).await;
    is_served(&world, 1, &own).await;

    fs::write(own.join("ca.pem"), &both).unwrap();
    replace(place.path(), &own, "node1");
    is_served(&world, 1, place.path()).await;
}

#[tokio::test]
async fn a_client_takes_its_new_certificate_for_its_next_connection() {
    let world = World::of(Cluster::builder().nodes(1).tls()).await;
    let client = world.client().await;
    client.kv().put("a", "1").await.unwrap();
    let (place, _) = another();
    let own = world.certs();
    for name in ["client", "node1"] {
        replace(place.path(), &own, name);
    }
    fs::copy(place.path().join("ca.pem"), own.join("ca.pem")).unwrap();
    // The restarted server knows nothing of the old CA, nor would the client's first certificates do.
    world.restart(1).await.unwrap();
    until("the client to be served", async || client.kv().put("b", "2").await).await;
}
