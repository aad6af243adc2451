//! A repeat with the same request id: the original answer, no second effect, on any leader.

use chinwag::wire::chat::{
    AcknowledgeMessagesRequest, CreateAccountRequest, CreateAccountResponse, DeleteMessagesRequest,
    GetAccountRequest, LoginRequest, LoginResponse, LogoutRequest, MarkReadRequest,
    MarkReadResponse, SendMessageRequest,
};
use tonic::{Code, Status};

use crate::harness::{Cluster, PASSWORD, User, all, bodies, count, database, reason, request_id};

async fn create(
    user: &User,
    request_id: &str,
    username: &str,
    password: &str,
) -> Result<CreateAccountResponse, Status> {
    let request = CreateAccountRequest {
        request_id: request_id.into(),
        username: username.into(),
        password: password.into(),
    };
    let answer = user.call(|door| {
        let request = request.clone();
        async move { door.accounts().create_account(request).await }
    });
    Ok(answer.await?.into_inner())
}

async fn log_in(
    user: &User,
    request_id: &str,
    username: &str,
    password: &str,
) -> Result<LoginResponse, Status> {
    let request = LoginRequest {
        request_id: request_id.into(),
        username: username.into(),
        password: password.into(),
        device_name: "phone".into(),
    };
    let answer = user.call(|door| {
        let request = request.clone();
        async move { door.sessions().login(request).await }
    });
    Ok(answer.await?.into_inner())
}

async fn log_out(user: &User, request_id: &str) -> Result<(), Status> {
    let answer = user.call(|door| {
        let request = LogoutRequest { request_id: request_id.into() };
        async move { door.sessions().logout(request).await }
    });
    answer.await.map(drop)
}

async fn delete(user: &User, request_id: &str, ids: &[&str]) -> Result<(), Status> {
    let message_ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    let request = DeleteMessagesRequest { request_id: request_id.into(), message_ids };
    let answer = user.call(|door| {
        let request = request.clone();
        async move { door.messages().delete_messages(request).await }
    });
    answer.await.map(drop)
}

async fn acknowledge(user: &User, request_id: &str, ids: &[&str]) -> Result<(), Status> {
    let message_ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    let request = AcknowledgeMessagesRequest { request_id: request_id.into(), message_ids };
    let answer = user.call(|door| {
        let request = request.clone();
        async move { door.messages().acknowledge_messages(request).await }
    });
    answer.await.map(drop)
}

async fn mark_read(user: &User, request_id: &str, to: &str, seq: i64) -> Result<i64, Status> {
    let request = MarkReadRequest { request_id: request_id.into(), conversation: to.into(), seq };
    let answer = user.call(|door| {
        let request = request.clone();
        async move { door.conversations().mark_read(request).await }
    });
    answer.await.map(|answer: tonic::Response<MarkReadResponse>| answer.into_inner().read_seq)
}

async fn account(user: &User) -> Result<String, Status> {
    let answer =
        user.call(|door| async move { door.accounts().get_account(GetAccountRequest {}).await });
    Ok(answer.await?.into_inner().account.expect("OK carries the account").username)
}

/// The same user with another token.
fn holder(cluster: &Cluster, name: &str, token: &str) -> User {
    let mut user = User::nobody(cluster);
    user.become_holder(name, token);
    user
}

fn assert_reason(status: &Status, code: Code, wanted: &str) {
    assert_eq!((status.code(), reason(status).as_str()), (code, wanted), "{status:?}");
}

/// Every mutation once, then all of them again on the same leader, then all of them on the next one.
#[tokio::test]
async fn a_repeat_answers_with_the_original_outcome_also_on_the_next_leader() {
    let mut cluster = Cluster::start().await;
    let nobody = User::nobody(&cluster);
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let doomed = User::log_in(&cluster, "bob").await;
    let early = alice.send("@bob", "early").await;
    let wrong = alice.send("@bob", "wrong").await;

    let ids: Vec<String> = (0..7).map(|_| request_id()).collect();
    let carol = create(&nobody, &ids[0], "carol", PASSWORD).await.expect("a free name");
    let phone = log_in(&nobody, &ids[1], "bob", PASSWORD).await.expect("an account");
    log_out(&doomed, &ids[2]).await.expect("its own session");
    let sent = alice.try_send(&ids[3], "@bob", "hello").await.expect("an account");
    delete(&alice, &ids[4], &[&wrong.message_id]).await.expect("an own message");
    acknowledge(&bob, &ids[5], &[&early.message_id]).await.expect("a received message");
    assert_eq!(mark_read(&bob, &ids[6], "@alice", 1).await.expect("own marker"), 1);
    // Later calls of others must not change what a repeat answers.
    assert_eq!(mark_read(&bob, &request_id(), "@alice", 3).await.expect("own marker"), 3);
    let history = bob.history("@alice").await;

    let (mut carols, mut phones) = (carol.session_token.clone(), phone.session_token.clone());
    for round in ["on the same leader", "on the next leader"] {
        let again = create(&nobody, &ids[0], "carol", PASSWORD).await.expect(round);
        assert_eq!(again.account, carol.account, "{round}");
        assert_ne!(again.session_token, carols, "{round}: only a hash of the first token is kept");
        let earlier = account(&holder(&cluster, "carol", &carols)).await.expect_err(round);
        assert_reason(&earlier, Code::Unauthenticated, "NO_SESSION");
        carols = again.session_token;
        assert_eq!(account(&holder(&cluster, "carol", &carols)).await.expect(round), "carol");

        let again = log_in(&nobody, &ids[1], "bob", PASSWORD).await.expect(round);
        assert_eq!(again.account, phone.account, "{round}");
        let earlier = account(&holder(&cluster, "bob", &phones)).await.expect_err(round);
        assert_reason(&earlier, Code::Unauthenticated, "NO_SESSION");
        phones = again.session_token;
        assert_eq!(account(&holder(&cluster, "bob", &phones)).await.expect(round), "bob");

        log_out(&doomed, &ids[2]).await.expect(round);
        assert_reason(
            &account(&doomed).await.expect_err(round),
            Code::Unauthenticated,
            "NO_SESSION",
        );
        let again = alice.try_send(&ids[3], "@bob", "hello").await.expect(round);
        assert_eq!(again, sent, "{round}");
        delete(&alice, &ids[4], &[&wrong.message_id]).await.expect(round);
        acknowledge(&bob, &ids[5], &[&early.message_id]).await.expect(round);
        assert_eq!(mark_read(&bob, &ids[6], "@alice", 1).await.expect(round), 1, "{round}");
        assert_eq!(bob.unread("@alice").await, 0, "{round}: the marker did not move back");
        assert_eq!(bob.history("@alice").await, history, "{round}: nothing more happened");

        let leader = cluster.leader().await;
        cluster.kill(leader);
        cluster.leader().await;
        cluster.start_server(leader).await;
        cluster.in_sync(all()).await;
    }
    cluster.stop_all().await;
    for id in all() {
        let live = count(&database(&cluster, id), "sessions WHERE end_time IS NULL");
        assert_eq!(live, 4, "server {id}: alice, bob, his phone, carol");
    }
}

#[tokio::test]
async fn the_same_id_with_another_payload_is_refused() {
    let cluster = Cluster::start().await;
    let nobody = User::nobody(&cluster);
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    User::create(&cluster, "carol").await;
    let first = alice.send("@bob", "first").await;
    let second = alice.send("@bob", "second").await;
    let refused =
        |status: Status| assert_reason(&status, Code::InvalidArgument, "REQUEST_ID_REUSED");

    let id = request_id();
    alice.try_send(&id, "@bob", "hello").await.expect("new");
    refused(alice.try_send(&id, "@bob", "something else").await.expect_err("another body"));
    refused(alice.try_send(&id, "@carol", "hello").await.expect_err("another recipient"));
    let answering = SendMessageRequest {
        request_id: id.clone(),
        conversation: "@bob".into(),
        body: "hello".into(),
        reply_to: first.message_id.clone(),
    };
    refused(alice.door().messages().send_message(answering).await.expect_err("a reply"));

    let id = request_id();
    delete(&alice, &id, &[&second.message_id]).await.expect("new");
    refused(delete(&alice, &id, &[&first.message_id]).await.expect_err("another message"));
    let id = request_id();
    acknowledge(&bob, &id, &[&first.message_id]).await.expect("new");
    let both = [first.message_id.as_str(), second.message_id.as_str()];
    refused(acknowledge(&bob, &id, &both).await.expect_err("more messages"));
    let id = request_id();
    mark_read(&bob, &id, "@alice", 1).await.expect("new");
    refused(mark_read(&bob, &id, "@alice", 2).await.expect_err("another seq"));

    let id = request_id();
    log_in(&nobody, &id, "bob", PASSWORD).await.expect("new");
    let other_device = LoginRequest {
        request_id: id,
        username: "bob".into(),
        password: PASSWORD.into(),
        device_name: "desk".into(),
    };
    refused(bob.door().sessions().login(other_device).await.expect_err("another device"));

    let history = bob.history("@alice").await;
    assert_eq!(bodies(&history), ["first", "", "hello"], "none of it had an effect");
    assert!(!history[0].deleted);
    assert_eq!(bob.unread("@alice").await, 1);
}

#[tokio::test]
async fn a_request_id_counts_per_account_and_call() {
    let cluster = Cluster::start().await;
    let nobody = User::nobody(&cluster);
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let id = request_id();
    let from_alice = alice.try_send(&id, "@bob", "from alice").await.expect("new");
    let from_bob = bob.try_send(&id, "@alice", "from bob").await.expect("another account");
    assert_ne!(from_alice.message_id, from_bob.message_id);
    mark_read(&bob, &id, "@alice", 1).await.expect("another call");
    acknowledge(&bob, &id, &[&from_alice.message_id]).await.expect("another call");
    create(&nobody, &id, "carol", PASSWORD).await.expect("another call");
    create(&nobody, &id, "dave", PASSWORD).await.expect("another name");
    assert_eq!(bodies(&bob.history("@alice").await), ["from alice", "from bob"]);
}

#[tokio::test]
async fn another_spelling_is_the_same_request() {
    let cluster = Cluster::start().await;
    let nobody = User::nobody(&cluster);
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let id = uuid::Uuid::now_v7();
    let sent = alice.try_send(&id.to_string(), "@bob", "hello").await.expect("new");
    let spellings = [id.simple().to_string(), id.to_string().to_uppercase(), id.urn().to_string()];
    for spelling in &spellings {
        let again = alice.try_send(spelling, "@BOB", "hello").await.expect("the same");
        assert_eq!(again, sent, "{spelling}");
    }
    let id = request_id();
    let carol = create(&nobody, &id, "carol", PASSWORD).await.expect("new");
    let again = create(&nobody, &id, "CAROL", PASSWORD).await.expect("the same");
    assert_eq!(again.account, carol.account);
    assert_eq!(bob.history("@alice").await.len(), 1);
}

#[tokio::test]
async fn a_repeat_that_begins_a_session_proves_the_password_again() {
    let cluster = Cluster::start().await;
    let nobody = User::nobody(&cluster);
    let id = request_id();
    let bob = create(&nobody, &id, "bob", PASSWORD).await.expect("new");
    let stranger = create(&nobody, &id, "bob", "a wrong password").await.expect_err("no proof");
    assert_reason(&stranger, Code::Unauthenticated, "BAD_CREDENTIALS");
    let other = create(&nobody, &request_id(), "bob", PASSWORD).await.expect_err("a new call");
    assert_reason(&other, Code::AlreadyExists, "NAME_TAKEN");

    let at_login = request_id();
    let phone = log_in(&nobody, &at_login, "bob", PASSWORD).await.expect("an account");
    let stranger =
        log_in(&nobody, &at_login, "bob", "a wrong password").await.expect_err("no proof");
    assert_reason(&stranger, Code::Unauthenticated, "BAD_CREDENTIALS");
    let desk = holder(&cluster, "bob", &bob.session_token);
    let phone = holder(&cluster, "bob", &phone.session_token);
    account(&desk).await.expect("strangers ended nothing");
    account(&phone).await.expect("strangers ended nothing");

    log_out(&phone, &request_id()).await.expect("its own session");
    let ended = log_in(&nobody, &at_login, "bob", PASSWORD).await.expect_err("its session ended");
    assert_reason(&ended, Code::Unauthenticated, "BAD_CREDENTIALS");
    log_out(&desk, &request_id()).await.expect("its own session");
    let ended = create(&nobody, &id, "bob", PASSWORD).await.expect_err("its session ended");
    assert_reason(&ended, Code::Unauthenticated, "BAD_CREDENTIALS");
    log_in(&nobody, &request_id(), "bob", PASSWORD).await.expect("a new call works");
}

#[tokio::test]
async fn an_ended_token_repeats_its_logout_and_nothing_else() {
    let cluster = Cluster::start().await;
    let bob = User::create(&cluster, "bob").await;
    let phone = User::log_in(&cluster, "bob").await;
    let id = request_id();
    log_out(&phone, &id).await.expect("its own session");
    log_out(&phone, &id).await.expect("a repeat");
    let another = log_out(&phone, &request_id()).await.expect_err("another id");
    assert_reason(&another, Code::Unauthenticated, "NO_SESSION");
    let sent = phone.try_send(&request_id(), "@bob", "hello").await.expect_err("ended");
    assert_reason(&sent, Code::Unauthenticated, "NO_SESSION");
    assert_eq!(account(&bob).await.expect("the other session lives"), "bob");
}

#[tokio::test]
async fn a_refusal_is_repeated_too() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let id = request_id();
    for _ in 0..2 {
        let refused = alice.try_send(&id, "@nobody", "hello").await.expect_err("no such account");
        assert_reason(&refused, Code::NotFound, "NO_SUCH_ACCOUNT");
    }
}

#[tokio::test]
async fn repeats_at_the_same_time_share_one_outcome() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    for round in 0..10 {
        let id = request_id();
        let body = format!("round {round}");
        let mut sends = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (twin, id, body) =
                (holder(&cluster, "alice", &alice.token), id.clone(), body.clone());
            sends.spawn(async move { twin.try_send(&id, "@bob", &body).await });
        }
        let mut answers = Vec::new();
        while let Some(answer) = sends.join_next().await {
            answers.push(answer.expect("no panic").expect("every twin is answered"));
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    }
    assert_eq!(bob.history("@alice").await.len(), 10);
}

#[tokio::test]
async fn without_a_request_id_every_call_is_a_new_one() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    alice.try_send("", "@bob", "twice").await.expect("the server makes an id");
    alice.try_send("", "@bob", "twice").await.expect("the server makes another id");
    assert_eq!(bodies(&bob.history("@alice").await), ["twice", "twice"]);
}
