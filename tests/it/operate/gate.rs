//! Who may: whoever can open the socket in the data folder, and nobody over the network.

use std::{fs, os::unix::fs::PermissionsExt as _};

use chinwag::wire::admin::{BackupRequest, admin_service_client::AdminServiceClient};
use tonic::{Code, transport::Endpoint};

use super::{client, server};
use crate::harness::{Cluster, Options, User};

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_on_no_port() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let socket = cluster.data(1).join("admin.sock");
    let mode = fs::metadata(&socket).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let endpoint = Endpoint::from_shared(format!("http://{}", cluster.address(1)));
    let channel = endpoint.expect("an address").connect().await.expect("it listens");
    let mut request = tonic::Request::new(BackupRequest {});
    let bearer = format!("Bearer {}", alice.token).parse().expect("printable");
    request.metadata_mut().insert("authorization", bearer);
    let refused = AdminServiceClient::new(channel).backup(request).await;
    assert_eq!(refused.expect_err("it is not served there").code(), Code::Unimplemented);

    cluster.stop(1).await;
    assert!(!socket.exists(), "it goes with its server");
}

#[tokio::test]
async fn who_finds_no_server_is_told_where_it_was_looked_for() {
    let cluster = Cluster::prepare(Options::default()).await;
    let said = client(&cluster, &["backup", "never"]).await;
    said.exits_with(69);
    let last = cluster.data(3).join("admin.sock").display().to_string();
    assert!(said.stderr.contains(&last), "{}", said.stderr);
    let said = client(&cluster, &["backup", "never", "--id", "9"]).await;
    said.exits_with(2);
    assert!(said.stderr.contains("servers.9"), "{}", said.stderr);
    let said = server(&cluster, &["restore", "never", "--id", "9"], "").await;
    said.exits_with(2);
    let said = server(&cluster, &["restore", "never", "--id", "1"], "").await;
    said.exits_with(1);
    assert!(said.stderr.contains("cannot open never"), "{}", said.stderr);
}
