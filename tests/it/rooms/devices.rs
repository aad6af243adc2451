//! What a device builds from events alone is what the List calls say, whatever dies meanwhile.

use std::{
    collections::BTreeMap,
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

#[tokio::test]
async fn every_devices_view_of_a_room_is_what_is_listed_across_a_killed_leader() {
    let mut cluster = Cluster::start().await;
    let mut users = Vec::new();
    for name in ["alice", "bob", "carol"] {
        users.push(Arc::new(User::create(&cluster, name).await));
    }
    let mut devices = Vec::new();
    for user in &users {
        devices.push(Device::follow(user.clone()).await);
        devices.push(Device::follow(user.clone()).await);
    }
    create(&users[0], "room", true).await.expect("free");
    update(&users[0], "room", Some("news"), None).await.expect("her own");
    add(&users[0], "room", "bob").await.expect("her own");
    add(&users[0], "room", "carol").await.expect("her own");
    // Those who came later were not told of what was before; their devices read it when they come.
    for (device, user) in devices.iter().zip(users.iter().flat_map(|user| [user, user])) {
        until("the coming", LIVE, || async {
            device.view().members.contains_key(&user.name).then_some(())
        })
        .await;
        let mut view = device.view.lock().expect("no holder panics");
        view.topic = "news".into();
        view.members.extend(["alice", "bob", "carol"].map(|name| (name.to_owned(), ())));
    }

    let mut writers = tokio::task::JoinSet::new();
    for (number, user) in users.iter().cloned().enumerate() {
        writers.spawn(async move {
            let mut sent: Vec<Message> = Vec::new();
            for round in 0..60 {
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
        });
    }
    // In the middle of it.
    until("some messages", LIVE * 4, || async {
        (devices[0].view().messages.len() > 20).then_some(())
    })
    .await;
    let leader = cluster.leader().await;
    cluster.kill(leader);
    while let Some(writer) = writers.join_next().await {
        writer.expect("every call had a definite answer");
    }
    let topic = update(&users[0], "room", Some("the end"), None).await.expect("her own").topic;
    assert_eq!(topic, "the end");

    for (number, device) in devices.iter().enumerate() {
        let user = &users[number / 2];
        let expected = listed(user).await;
        assert!(expected.messages.len() > 60 && expected.read_seq > 0);
        until("the device's view", LIVE * 2, || async {
            (device.view().topic == "the end").then_some(())
        })
        .await;
        assert_eq!(device.view(), expected, "{} at device {number}", user.name);
    }
    cluster.start_server(leader).await;
    cluster.in_sync(all()).await;
    contents_are_equal(&mut cluster).await;
}
