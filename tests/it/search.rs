//! Searching from outside: who finds what, how soon, and what remains of it when servers die.

use std::{fs, time::Duration};

use chinwag::wire::chat::{
    CreateRoomRequest, DeleteMessagesRequest, EditMessageRequest, JoinRoomRequest, Message,
    SearchMessagesRequest, SearchMessagesResponse,
};
use tonic::{Code, Response, Status};

use crate::{
    bad_input::assert_bad_field,
    harness::{Cluster, User, all, bodies, reason, request_id, until},
};

/// A search covers what was acknowledged more than a second ago; a busy machine gets more time.
const SOON: Duration = Duration::from_secs(15);

fn ask(query: &str) -> SearchMessagesRequest {
    SearchMessagesRequest { query: query.into(), ..Default::default() }
}

async fn search(
    user: &User,
    request: SearchMessagesRequest,
) -> Result<SearchMessagesResponse, Status> {
    let answer = user.call(|door| {
        let request = request.clone();
        async move { door.messages().search_messages(request).await }
    });
    answer.await.map(Response::into_inner)
}

async fn found(user: &User, query: &str) -> Vec<Message> {
    search(user, ask(query)).await.expect("a good query").messages
}

/// Waits until a search finds so many messages, and returns their bodies.
async fn finds(user: &User, query: &str, count: usize) -> Vec<String> {
    let what = format!("{} finds {count} messages by {query}", user.name);
    until(&what, SOON, || async {
        let found = found(user, query).await;
        (found.len() == count).then(|| bodies(&found).into_iter().map(Into::into).collect())
    })
    .await
}

async fn edit(user: &User, message: &Message, body: &str) {
    let (request_id, message_id) = (request_id(), message.message_id.clone());
    let request = EditMessageRequest { request_id, message_id, body: body.into() };
    user.door().messages().edit_message(request).await.expect("her own");
}

async fn delete(user: &User, message: &Message) {
    let message_ids = vec![message.message_id.clone()];
    let request = DeleteMessagesRequest { request_id: request_id(), message_ids };
    user.door().messages().delete_messages(request).await.expect("one's own, or sent to one");
}

#[tokio::test]
async fn members_find_messages_by_words_and_nobody_else_does() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let carol = User::create(&cluster, "carol").await;
    let create = CreateRoomRequest {
        request_id: request_id(),
        room: "plans".into(),
        topic: String::new(),
        private: false,
    };
    alice.door().conversations().create_room(create).await.expect("free");
    let join = JoinRoomRequest { request_id: request_id(), room: "plans".into() };
    bob.door().conversations().join_room(join).await.expect("public");
    let direct = alice.send("@bob", "The Café opens on Monday").await;
    let in_room = bob.send("#plans", "monday: coffee, coffee, coffee").await;
    alice.send("@alice", "note to myself: coffee on Tuesday").await;

    assert_eq!(finds(&alice, "coffee", 2).await[0], in_room.body, "the best first");
    assert_eq!(finds(&bob, "monday", 2).await.len(), 2);
    assert_eq!(finds(&bob, "cafe \"on monday\"", 1).await, [direct.body.as_str()]);
    assert_eq!(finds(&bob, "caf* from:alice", 1).await, [direct.body.as_str()]);
    assert!(found(&carol, "monday").await.is_empty());
    assert!(found(&bob, "myself").await.is_empty());

    let only = |place: &str| SearchMessagesRequest { conversation: place.into(), ..ask("monday") };
    let answer = search(&bob, only("@alice")).await.expect("his own");
    assert_eq!(bodies(&answer.messages), [direct.body.as_str()]);
    assert_eq!(answer.messages[0].conversation, "@alice", "from the viewer's side");
    let parts = answer.snippets[0].parts.iter().map(|part| (part.text.as_str(), part.found));
    let expected = [("The Café opens on ", false), ("Monday", true)];
    assert_eq!(parts.collect::<Vec<_>>(), expected);
    let refused = search(&carol, only("#plans")).await.expect_err("she is no member");
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::PermissionDenied, "NOT_ALLOWED")
    );
    let refused = search(&carol, only("#nowhere")).await.expect_err("there is none");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "NO_SUCH_ROOM"));
}

#[tokio::test]
async fn a_bad_query_is_refused_with_what_is_allowed() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "hello").await;
    let good = ask("hello");
    let long = "long ".repeat(200);
    for query in ["", "  ", "\"open", "a*", "?!", "from:", "from:a/b", long.as_str()] {
        let status = search(&alice, ask(query)).await.expect_err(query);
        assert_bad_field(&status, "query");
    }
    for (field, request) in [
        ("conversation", SearchMessagesRequest { conversation: "bob".into(), ..good.clone() }),
        ("page_size", SearchMessagesRequest { page_size: -1, ..good.clone() }),
        ("page_token", SearchMessagesRequest { page_token: "nonsense".into(), ..good.clone() }),
    ] {
        assert_bad_field(&search(&alice, request).await.expect_err(field), field);
    }
    let refused = search(&alice, ask("from:nobody")).await.expect_err("there is none");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "NO_SUCH_ACCOUNT"));
    for harmless in ["NEAR(a b)", "a AND NOT b OR", "body:x", "{a}^b", "'; DROP TABLE words"] {
        search(&alice, ask(harmless)).await.expect(harmless);
    }
    let stranger = User::nobody(&cluster);
    let refused = search(&stranger, good).await.expect_err("no session");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "NO_SESSION"));
}

#[tokio::test]
async fn what_is_edited_deleted_or_removed_is_found_as_it_is_now() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let edited = alice.send("@bob", "apples and pears").await;
    let deleted = alice.send("@bob", "apples and plums").await;
    let removed = alice.send("@bob", "apples and nuts").await;
    finds(&bob, "apples", 3).await;
    edit(&alice, &edited, "pears alone").await;
    delete(&alice, &deleted).await;
    delete(&bob, &removed).await;
    assert!(found(&bob, "apples").await.is_empty(), "at once");
    assert_eq!(bodies(&found(&alice, "apples").await), ["apples and nuts"]);
    assert_eq!(finds(&bob, "alone", 1).await, ["pears alone"]);
}

#[tokio::test]
async fn pages_follow_each_other_to_the_end() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    for number in 0..25 {
        alice.send("@alice", &format!("page {number}")).await;
    }
    finds(&alice, "page", 25).await;
    let (mut token, mut seen) = (String::new(), Vec::new());
    loop {
        let request = SearchMessagesRequest { page_size: 10, page_token: token, ..ask("page") };
        let page = search(&alice, request).await.expect("a page");
        assert!(page.messages.len() <= 10 && page.messages.len() == page.snippets.len());
        seen.extend(page.messages.iter().map(|message| message.seq));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, (1..=25).rev().collect::<Vec<_>>(), "of equals, the newest first");
}

#[tokio::test]
async fn a_new_leader_and_one_without_its_index_find_everything() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    for number in 0..40 {
        alice.send("@bob", &format!("before the kill {number}")).await;
    }
    finds(&bob, "kill", 40).await;
    let first = cluster.leader().await;
    cluster.kill(first);
    alice.send("@bob", "after the kill").await;
    finds(&bob, "kill", 41).await;

    for id in all() {
        if id != first {
            cluster.kill(id);
        }
        let index = cluster.data(id).join("search.db");
        fs::remove_file(&index).expect("every server has an index");
    }
    for id in all() {
        cluster.start_server(id).await;
    }
    cluster.in_sync(all()).await;
    finds(&bob, "kill", 41).await;
    alice.send("@bob", "after the kill, later").await;
    finds(&bob, "later", 1).await;
}
