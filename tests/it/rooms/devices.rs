//! What a device builds from events alone is what the List calls say, whatever dies meanwhile.
//!
//! `cargo test` has a short talk with one killed leader. The long one, with 5,000 messages, 50 members and three
//! kills, is `CHINWAG_TALK=5000 cargo test --release --test it every_devices_view -- --nocapture`.

use std::{
    collections::BTreeMap,
    env,
    sync::{Arc, Mutex},
};

use tokio::task::JoinHandle;

use super::*;
use crate::harness::{Cluster, all, contents_are_equal, until};

/// A room as a device sees it.
#[derive(Clone, Default, PartialEq, Debug)]
struct View {
    messages: BTreeMap<i64, (String, String, bool, Vec<String>)>,
    read_seq: i64,
    members: BTreeMap<String, ()>,
    topic: String,
}

/// A device that follows its account's events, and goes on at its cursor.
struct Device {
    view: Arc<Mutex<View>>,
    task: JoinHandle<()>,
}

impl Drop for Device {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Device {
    async fn follow(user: Arc<User>) -> Device {
        let (mut events, cursor) = live(&user).await;
        let view = Arc::new(Mutex::new(View::default()));
        let seen = view.clone();
        let task = tokio::spawn(async move {
            let mut cursor = cursor;
            loop {
                while let Ok(Some(event)) = events.message().await {
                    cursor = event.cursor;
                    note(&mut seen.lock().expect("no holder panics"), event.kind);
                }
                events = user.subscribe(&cursor).await;
            }
        });
        Device { view, task }
    }

    fn view(&self) -> View {
        self.view.lock().expect("no holder panics").clone()
    }
}

fn note(view: &mut View, kind: Option<Kind>) {
    match kind {
        Some(Kind::MessageCreated(m) | Kind::MessageChanged(m) | Kind::MessageDeleted(m)) => {
            assert_eq!(m.conversation, "#room");
            // Delivery is at least once, and a message that came and changed is told as it is now.
            view.messages.insert(m.seq, row(m));
        }
        Some(Kind::ReadMoved(moved)) => view.read_seq = view.read_seq.max(moved.read_seq),
        Some(Kind::MembershipChanged(change)) if change.member => {
            view.members.insert(change.username, ());
        }
        Some(Kind::MembershipChanged(change)) => {
            view.members.remove(&change.username);
        }
        Some(Kind::RoomChanged(room)) => view.topic = room.topic,
        Some(Kind::Reset(reset)) => panic!("nothing is lost: {reset:?}"),
        _ => {}
    }
}

fn row(message: Message) -> (String, String, bool, Vec<String>) {
    (message.message_id, message.body, message.deleted, message.mentions)
}

async fn listed(user: &User) -> View {
    let room = inbox(user).await.remove(0);
    assert_eq!(room.conversation, "#room");
    let history = user.history("#room").await;
    let own = |message: &&Message| message.sender == user.name;
    let after = history.iter().filter(|m| m.seq > room.read_seq && !m.deleted);
    let unread = after.clone().filter(|m| !own(m)).count() as i64;
    let mentions = after.filter(|m| m.mentions.contains(&user.name)).count() as i64;
    assert_eq!((room.unread_count, room.mention_count), (unread, mentions), "{}", user.name);
    View {
        messages: history.into_iter().map(|message| (message.seq, row(message))).collect(),
        read_seq: room.read_seq,
        members: members(user, "room")
            .await
            .expect("a member")
            .into_iter()
            .map(|m| (m, ()))
            .collect(),
        topic: room.topic,
    }
}

/// How long the talk is.
struct Talk {
    /// Sent by all writers together.
    messages: usize,
    /// Members who only listen, without a device.
    listeners: usize,
    kills: usize,
}

impl Talk {
    fn wanted() -> Talk {
        let messages = env::var("CHINWAG_TALK").ok();
        match messages.map(|text| text.parse().expect("a number of messages")) {
            Some(messages) => Talk { messages, listeners: 47, kills: 3 },
            None => Talk { messages: 90, listeners: 2, kills: 1 },
        }
    }
}

const WRITERS: [&str; 3] = ["alice", "bob", "carol"];
/// Every other round of a writer sends a message.
const ROUNDS_A_MESSAGE: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_devices_view_of_a_room_is_what_is_listed_across_killed_leaders() {
    let talk = Talk::wanted();
    let mut cluster = Cluster::start().await;
    let mut users = Vec::new();
    for name in WRITERS {
        users.push(Arc::new(User::create(&cluster, name).await.patient()));
    }
    let mut devices = Vec::new();
    for user in &users {
        devices.push(Device::follow(user.clone()).await);
        devices.push(Device::follow(user.clone()).await);
    }
    furnish(&cluster, &users, &talk).await;
    let names = members(&users[0], "room").await.expect("a member");
    assert_eq!(names.len(), WRITERS.len() + talk.listeners);
    // Those who came later were not told of what was before; their devices read it when they come.
    for (device, user) in devices.iter().zip(users.iter().flat_map(|user| [user, user])) {
        until("the coming", LIVE, || async {
            device.view().members.contains_key(&user.name).then_some(())
        })
        .await;
        let mut view = device.view.lock().expect("no holder panics");
        view.topic = "news".into();
        view.members.extend(names.iter().map(|name| (name.clone(), ())));
    }

    let mut writers = tokio::task::JoinSet::new();
    let rounds = talk.messages * ROUNDS_A_MESSAGE / WRITERS.len();
    for (number, user) in users.iter().cloned().enumerate() {
        writers.spawn(write(user, number, rounds));
    }
    let mut dead = None;
    for kill in 1..=talk.kills {
        if let Some(id) = dead.take() {
            cluster.start_server(id).await;
            cluster.in_sync(all()).await;
        }
        let heard = talk.messages * kill / (talk.kills + 2);
        until("some messages", LIVE * 60, || async {
            (devices[0].view().messages.len() > heard).then_some(())
        })
        .await;
        let leader = cluster.leader().await;
        cluster.kill(leader);
        dead = Some(leader);
    }
    while let Some(writer) = writers.join_next().await {
        writer.expect("every call had a definite answer");
    }
    let topic = update(&users[0], "room", Some("the end"), None).await.expect("her own").topic;
    assert_eq!(topic, "the end");

    for (number, device) in devices.iter().enumerate() {
        let user = &users[number / 2];
        let expected = listed(user).await;
        assert!(expected.messages.len() >= talk.messages * 2 / 3 && expected.read_seq > 0);
        until("the device's view", LIVE * 2, || async {
            (device.view().topic == "the end").then_some(())
        })
        .await;
        assert_eq!(device.view(), expected, "{} at device {number}", user.name);
    }
    println!("{} messages, {} leaders killed", devices[0].view().messages.len(), talk.kills);
    cluster.start_server(dead.expect("a leader was killed")).await;
    cluster.in_sync(all()).await;
    contents_are_equal(&mut cluster).await;
}

/// The room and its members.
async fn furnish(cluster: &Cluster, users: &[Arc<User>], talk: &Talk) {
    create(&users[0], "room", true).await.expect("free");
    update(&users[0], "room", Some("news"), None).await.expect("her own");
    for number in 0..talk.listeners {
        let name = format!("listener-{number}");
        User::create(cluster, &name).await;
        add(&users[0], "room", &name).await.expect("her own");
    }
    add(&users[0], "room", "bob").await.expect("her own");
    add(&users[0], "room", "carol").await.expect("her own");
}

/// Sends, edits, deletes and reads.
async fn write(user: Arc<User>, number: usize, rounds: usize) {
    let mut sent: Vec<Message> = Vec::new();
    for round in 0..rounds {
        let last = sent.len().saturating_sub(1);
        match (round + number) % 6 {
            1 if !sent.is_empty() => {
                let body = format!("edited {round} @carol");
                edit(&user, &sent[last], &body).await.expect("an own one");
            }
            3 if !sent.is_empty() => {
                delete(&user, &sent.remove(last)).await.expect("an own one");
            }
            5 => {
                let seq = sent.last().map_or(1, |message| message.seq);
                user.mark_read("#room", seq).await.expect("a member");
            }
            _ => sent.push(user.send("#room", &format!("{round} for @bob")).await),
        }
    }
}
