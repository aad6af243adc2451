//! One line an effect, for traces.

use chinwag::cluster::{Body, Effect, Entry, Message, Payload, ServerId, Updates};

use crate::world::World;

impl World {
    pub(crate) fn note_effect(&mut self, id: ServerId, effect: &Effect) {
        let line = match effect {
            Effect::Send(message) => match message.body {
                Body::Heartbeat(_) | Body::HeartbeatReply(_) => return,
                _ => show_message(message),
            },
            Effect::Persist(local) => {
                let to: Vec<String> = local.promised_to.iter().map(ToString::to_string).collect();
                format!("persists promise {} (to {})", local.promised, to.join(" "))
            }
            Effect::Apply { entries, .. } => format!("applies {}", show_entries(entries)),
            Effect::Store { entries, .. } => format!("stores {}", show_entries(entries)),
            Effect::Commit { .. } => "commits".to_owned(),
            Effect::Rollback => "rolls back".to_owned(),
            Effect::Tell(sentence) => format!("says: {sentence}"),
            Effect::Taken(_) => return,
            other => format!("{other:?}"),
        };
        self.note(|| format!("{id} {line}"));
    }
}

fn show_updates(updates: &Updates) -> String {
    let known = updates.known_committed.map_or(0, |known| known.seq);
    format!(
        "{} after {} {} known {known}",
        updates.epoch,
        updates.prev_seq,
        show_entries(&updates.entries)
    )
}

fn show_entries(entries: &[Entry]) -> String {
    let shown = entries.iter().map(|entry| match &entry.payload {
        Payload::Update(_) => format!("{}@{}", entry.seq, entry.epoch),
        Payload::Noop => format!("{}@{} nothing", entry.seq, entry.epoch),
        Payload::View(view) => {
            let ids: Vec<String> = view.members.iter().map(ToString::to_string).collect();
            let forced = if view.forced { " forced" } else { "" };
            format!("{}@{} view {{{}}}{forced}", entry.seq, entry.epoch, ids.join(" "))
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn show_message(message: &Message) -> String {
    let body = match &message.body {
        Body::Register { last, .. } => {
            format!("Register after {}", last.map_or(0, |last| last.seq))
        }
        Body::Welcome { epoch } => format!("Welcome {epoch}"),
        Body::Accept(updates) => format!("Accept {}", show_updates(updates)),
        Body::Suffix(updates) => format!("Suffix {}", show_updates(updates)),
        Body::Fetched(updates) => format!("Fetched {}", show_updates(updates)),
        Body::Accepted { epoch, seq, .. } => format!("Accepted {epoch} until {seq}"),
        Body::Promise(promise) => match promise.last {
            Some(last) => {
                format!("Promise {}, ends at {}@{}", promise.epoch, last.seq, last.epoch)
            }
            None => format!("Promise {}, empty", promise.epoch),
        },
        Body::Fetch { epoch, until, .. } => format!("Fetch {epoch} until {until}"),
        Body::Snapshot { epoch, position } => format!("Snapshot {epoch} at {}", position.seq),
        Body::Heartbeat(_) => "Heartbeat".to_owned(),
        Body::HeartbeatReply(_) => "HeartbeatReply".to_owned(),
        other => format!("{other:?}"),
    };
    format!("to {}: {body}", message.to)
}
