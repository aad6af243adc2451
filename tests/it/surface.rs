//! What every server offers to tools: health, reflection, and the trailers of its answers.

use chinwag::wire::chat::{GetAccountRequest, ListMessagesRequest};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::harness::{Cluster, User, all, until};

const MESSAGES: &str = "chinwag.chat.v1.MessageService";

async fn health(cluster: &Cluster, id: u32, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.into() };
    let mut client = HealthClient::new(cluster.door(id).channel());
    client.check(request).await.expect("every server says how it is").into_inner().status()
}

#[tokio::test]
async fn every_server_is_alive_and_only_the_leader_serves_messages() {
    let mut cluster = Cluster::start().await;
    let first = cluster.leader().await;
    for id in all() {
        assert_eq!(health(&cluster, id, "").await, ServingStatus::Serving);
        let expected = if id == first { ServingStatus::Serving } else { ServingStatus::NotServing };
        assert_eq!(health(&cluster, id, MESSAGES).await, expected, "server {id}");
    }
    cluster.kill(first);
    let second = cluster.leader().await;
    until("the new leader's health", std::time::Duration::from_secs(5), || async {
        (health(&cluster, second, MESSAGES).await == ServingStatus::Serving).then_some(())
    })
    .await;
}

#[tokio::test]
async fn reflection_names_every_service() {
    let cluster = Cluster::start().await;
    let mut client = ServerReflectionClient::new(cluster.door(1).channel());
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let asked = client.server_reflection_info(tokio_stream::once(request)).await;
    let mut answers = asked.expect("reflection is served").into_inner();
    let answer = answers.message().await.expect("an answer").expect("an answer");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("no list of services: {answer:?}");
    };
    let names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    for service in ["Account", "Session", "Conversation", "Message", "Event", "Cluster"] {
        let name = format!("chinwag.chat.v1.{service}Service");
        assert!(names.contains(&name), "{name} is missing: {names:?}");
    }
}

#[tokio::test]
async fn every_answer_says_which_epoch_and_how_many_copies() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let leader = cluster.leader().await;
    let door = cluster.door(leader).with(&alice.token);
    let trailers = |metadata: &tonic::metadata::MetadataMap| {
        let text = |name| {
            let value = metadata.get(name).unwrap_or_else(|| panic!("{name}: {metadata:?}"));
            value.to_str().expect("text").to_owned()
        };
        (text("chinwag-epoch"), text("chinwag-copies"))
    };
    let status = cluster.status(leader).await.expect("it leads");
    let answer = door.accounts().get_account(GetAccountRequest {}).await.expect("a session");
    assert_eq!(trailers(answer.metadata()), (status.epoch.clone(), "3".into()));
    let list = ListMessagesRequest { conversation: "@nobody".into(), ..Default::default() };
    let refused = door.messages().list_messages(list).await.expect_err("no such account");
    assert_eq!(trailers(refused.metadata()), (status.epoch, "3".into()), "a refusal, too");

    for id in all().filter(|id| *id != leader) {
        cluster.kill(id);
    }
    alice.send("@alice", "alone").await;
    let answer = door.accounts().get_account(GetAccountRequest {}).await.expect("a session");
    assert_eq!(trailers(answer.metadata()).1, "1", "one copy left is said");
}
