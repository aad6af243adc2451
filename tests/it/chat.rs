//! What people see of each other: conversations, pages, deletions, receipts.

use chinwag::wire::chat::{
    AcknowledgeMessagesRequest, Conversation, DeleteMessagesRequest, ListAccountsRequest,
    ListConversationsRequest, ListMessagesRequest, ListMessagesResponse, Message,
    list_messages_request::Position,
};
use tonic::Status;

use crate::harness::{Cluster, User, bodies, request_id};

async fn delete(user: &User, messages: &[&Message]) -> Result<(), Status> {
    let message_ids = messages.iter().map(|message| message.message_id.clone()).collect();
    let request = DeleteMessagesRequest { request_id: request_id(), message_ids };
    user.door().messages().delete_messages(request).await.map(drop)
}

async fn page(user: &User, position: Position, page_size: i32) -> ListMessagesResponse {
    let request =
        ListMessagesRequest { conversation: "@bob".into(), page_size, position: Some(position) };
    user.door().messages().list_messages(request).await.expect("the own one").into_inner()
}

async fn conversations(user: &User) -> Vec<Conversation> {
    let request = ListConversationsRequest::default();
    let answer = user.door().conversations().list_conversations(request).await;
    answer.expect("a session").into_inner().conversations
}

#[tokio::test]
async fn pages_lie_before_after_and_around_a_seq() {
    let cluster = Cluster::start().await;
    User::create(&cluster, "bob").await;
    let alice = User::create(&cluster, "alice").await;
    for number in 1..=20 {
        alice.send("@bob", &number.to_string()).await;
    }
    let seqs =
        |page: &ListMessagesResponse| page.messages.iter().map(|m| m.seq).collect::<Vec<_>>();
    let before = page(&alice, Position::BeforeSeq(10), 4).await;
    assert_eq!((seqs(&before), before.has_more), (vec![6, 7, 8, 9], true));
    let before = page(&alice, Position::BeforeSeq(3), 4).await;
    assert_eq!((seqs(&before), before.has_more), (vec![1, 2], false));
    let after = page(&alice, Position::AfterSeq(10), 4).await;
    assert_eq!((seqs(&after), after.has_more), (vec![11, 12, 13, 14], true));
    let after = page(&alice, Position::AfterSeq(18), 4).await;
    assert_eq!((seqs(&after), after.has_more), (vec![19, 20], false));
    let after = page(&alice, Position::AfterSeq(20), 4).await;
    assert_eq!((seqs(&after), after.has_more), (vec![], false));
    let around = page(&alice, Position::AroundSeq(10), 5).await;
    assert!(seqs(&around).contains(&10) && around.messages.len() <= 5, "{:?}", seqs(&around));
    assert!(seqs(&around).windows(2).all(|pair| pair[1] == pair[0] + 1), "dense");
    assert!(seqs(&around)[0] < 10 && seqs(&around)[seqs(&around).len() - 1] > 10, "both sides");
}

#[tokio::test]
async fn an_author_deletes_for_everyone_and_a_recipient_from_the_own_view() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let by_author = alice.send("@bob", "the author regrets").await;
    let by_reader = alice.send("@bob", "the reader hides").await;
    alice.send("@bob", "stays").await;
    assert_eq!(bob.unread("@alice").await, 3);
    delete(&alice, &[&by_author]).await.expect("her own");
    delete(&bob, &[&by_reader]).await.expect("sent to him");

    assert_eq!(bodies(&alice.history("@bob").await), ["", "the reader hides", "stays"]);
    let history = bob.history("@alice").await;
    assert_eq!(bodies(&history), ["", "", "stays"]);
    let deleted: Vec<bool> = history.iter().map(|message| message.deleted).collect();
    assert_eq!(deleted, [true, true, false], "every seq is there, so that a gap means loss");
    assert_eq!(bob.unread("@alice").await, 1, "what is gone is not unread");
    delete(&alice, &[&by_author]).await.expect("it stays deleted");
}

#[tokio::test]
async fn the_author_sees_that_a_message_was_received_and_nobody_else_may_say_so() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let carol = User::create(&cluster, "carol").await;
    let sent = alice.send("@bob", "hello").await;
    assert!(sent.received_time.is_none());
    let request = || AcknowledgeMessagesRequest {
        request_id: request_id(),
        message_ids: vec![sent.message_id.clone()],
    };
    let stranger = carol.call(|door| {
        let request = request();
        async move { door.messages().acknowledge_messages(request).await }
    });
    stranger.await.expect_err("it was not sent to her");
    let author = alice.door().messages().acknowledge_messages(request()).await;
    author.expect("what is her own has reached her, which means nothing");
    assert!(alice.history("@bob").await[0].received_time.is_none());
    bob.door().messages().acknowledge_messages(request()).await.expect("sent to him");
    let first = alice.history("@bob").await[0].received_time;
    assert!(first.is_some());
    bob.door().messages().acknowledge_messages(request()).await.expect("said again");
    assert_eq!(alice.history("@bob").await[0].received_time, first, "the first time counts");
}

#[tokio::test]
async fn the_conversation_that_changed_last_is_listed_first() {
    let cluster = Cluster::start().await;
    let bob = User::create(&cluster, "bob").await;
    let alice = User::create(&cluster, "alice").await;
    let carol = User::create(&cluster, "carol").await;
    assert!(conversations(&bob).await.is_empty());
    alice.send("@bob", "from alice").await;
    carol.send("@bob", "from carol").await;
    let listed = |all: &[Conversation]| {
        let row =
            |c: &Conversation| (c.conversation.clone(), c.last_seq, c.read_seq, c.unread_count);
        all.iter().map(row).collect::<Vec<_>>()
    };
    let all = conversations(&bob).await;
    assert_eq!(listed(&all), [("@carol".into(), 1, 0, 1), ("@alice".into(), 1, 0, 1)]);
    assert_eq!(all[0].last_message.as_ref().expect("there is one").body, "from carol");
    bob.send("@alice", "an answer").await;
    let all = conversations(&bob).await;
    assert_eq!(all[0].conversation, "@alice");
    assert_eq!(all[0].last_message.as_ref().expect("there is one").sender, "bob");
    assert_eq!(conversations(&alice).await[0].unread_count, 1);
    assert_eq!(conversations(&carol).await[0].unread_count, 0, "the own messages are not unread");
}

#[tokio::test]
async fn a_read_marker_only_moves_forward_and_follows_the_account() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let phone = User::log_in(&cluster, "bob").await;
    for number in 0..5 {
        alice.send("@bob", &number.to_string()).await;
    }
    assert_eq!(bob.mark_read("@alice", 3).await.expect("his own"), 3);
    assert_eq!(phone.unread("@alice").await, 2);
    assert_eq!(phone.mark_read("@alice", 1).await.expect("his own"), 3, "never back");
    assert_eq!(bob.mark_read("@alice", 99).await.expect("his own"), 5, "not beyond the newest");
    assert_eq!(phone.unread("@alice").await, 0);
    alice.send("@bob", "one more").await;
    assert_eq!(phone.unread("@alice").await, 1);
}

#[tokio::test]
async fn accounts_are_listed_by_glob_page_after_page() {
    let cluster = Cluster::start().await;
    let mut someone = None;
    for name in ["anna", "anton", "bea", "ann", "zoe"] {
        someone = Some(User::create(&cluster, name).await);
    }
    let someone = someone.expect("some were created");
    let cases: [(&str, &[&str]); 5] = [
        ("", &["ann", "anna", "anton", "bea", "zoe"]),
        ("an*", &["ann", "anna", "anton"]),
        ("?e?", &["bea"]),
        ("ANN", &["ann"]),
        ("x*", &[]),
    ];
    for (pattern, expected) in cases {
        let (mut names, mut token) = (Vec::new(), String::new());
        loop {
            let request =
                ListAccountsRequest { pattern: pattern.into(), page_size: 2, page_token: token };
            let answer = someone.door().accounts().list_accounts(request).await;
            let page = answer.expect("a session").into_inner();
            assert!(page.accounts.len() <= 2);
            names.extend(page.accounts.into_iter().map(|account| account.username));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(names, expected, "{pattern}");
    }
}

#[tokio::test]
async fn an_answer_names_the_message_that_it_answers() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let carol = User::create(&cluster, "carol").await;
    let question = alice.send("@bob", "a question").await;
    let answer = chinwag::wire::chat::SendMessageRequest {
        request_id: request_id(),
        conversation: "@alice".into(),
        body: "an answer".into(),
        reply_to: question.message_id.clone(),
    };
    bob.door().messages().send_message(answer.clone()).await.expect("an account");
    assert_eq!(alice.history("@bob").await[1].reply_to, question.message_id);
    // Nobody may refer to what only others can see.
    let elsewhere = carol.call(|door| {
        let request =
            chinwag::wire::chat::SendMessageRequest { request_id: request_id(), ..answer.clone() };
        async move { door.messages().send_message(request).await }
    });
    let status = elsewhere.await.expect_err("she may not see it");
    assert_eq!(crate::harness::reason(&status), "NO_SUCH_MESSAGE", "{status:?}");
}
