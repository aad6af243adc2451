//! Streams that break and go on.

use std::time::Duration;

use tokio::time::timeout;

use super::{client, fake::Fake};
use crate::{
    client::{Delivery, Error, Subscription},
    wire::chat::event::Kind,
};

async fn next(subscription: &mut Subscription) -> Result<Delivery, Error> {
    let wait = Duration::from_secs(10);
    timeout(wait, subscription.next()).await.expect("something comes in time")
}

/// The bodies of the next messages.
async fn bodies(subscription: &mut Subscription, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    while bodies.len() < count {
        if let Delivery::Event(event) = next(subscription).await.unwrap()
            && let Some(Kind::MessageCreated(message)) = event.kind
        {
            bodies.push(message.body);
        }
    }
    bodies
}

#[tokio::test]
async fn a_broken_stream_goes_on_at_its_cursor_on_the_next_leader_without_gap_or_repetition() {
    let fake = Fake::start(3).await;
    let client = client(&fake.addresses, Some(fake.session("alice")));
    let mut subscription = client.subscribe("");
    let Delivery::Event(first) = next(&mut subscription).await.unwrap() else { panic!() };
    assert!(matches!(first.kind, Some(Kind::CaughtUp(_))));
    fake.say("bob", "@bob", "one");
    assert_eq!(bodies(&mut subscription, 1).await, ["one"]);
    let cursor = subscription.cursor().to_owned();
    fake.lead(1);
    fake.break_streams();
    let interrupted = next(&mut subscription).await.unwrap();
    assert!(matches!(interrupted, Delivery::Interrupted { .. }), "{interrupted:?}");
    fake.say("bob", "@bob", "two");
    let resumed = next(&mut subscription).await.unwrap();
    assert_eq!(resumed, Delivery::Resumed { address: fake.addresses[1].clone() });
    // The fake repeats the event before the cursor.
    fake.say("bob", "@bob", "three");
    assert_eq!(bodies(&mut subscription, 2).await, ["two", "three"]);
    assert_eq!(fake.world().cursors, ["", cursor.as_str()]);
}

#[tokio::test]
async fn a_subscription_ends_with_its_session() {
    let fake = Fake::start(1).await;
    let client = client(&fake.addresses, Some(fake.session("alice")));
    let mut subscription = client.subscribe("");
    next(&mut subscription).await.unwrap();
    fake.world().tokens.clear();
    fake.break_streams();
    assert!(matches!(next(&mut subscription).await.unwrap(), Delivery::Interrupted { .. }));
    let end = next(&mut subscription).await.unwrap_err();
    assert!(matches!(end, Error::NotLoggedIn { .. }), "{end:?}");
}

#[tokio::test]
async fn waiting_for_an_event_may_be_given_up_without_losing_it() {
    let fake = Fake::start(1).await;
    let client = client(&fake.addresses, Some(fake.session("alice")));
    let mut subscription = client.subscribe("");
    next(&mut subscription).await.unwrap();
    assert!(timeout(Duration::ZERO, subscription.next()).await.is_err());
    fake.say("bob", "@bob", "one");
    assert_eq!(bodies(&mut subscription, 1).await, ["one"]);
}
