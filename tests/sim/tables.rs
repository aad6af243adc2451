//! The final tables against the model's: the lines that an inspection of a database shows, made of plain
//! maps.

use std::collections::BTreeSet;

use crate::model::{MMember, MMessage, MRoom, Model, Place};

/// What is wrong, if anything. Outcomes of requests are compared by their number alone: the answers to
/// repeats have shown the rest.
pub(crate) fn check(model: &Model, contents: &str) -> Result<(), String> {
    let (outcomes, shown): (BTreeSet<&str>, BTreeSet<&str>) =
        contents.lines().partition(|line| line.starts_with("request "));
    let mut right = Lines { model, lines: BTreeSet::new() };
    right.accounts();
    right.aliases();
    right.conversations();
    right.messages();
    let right: BTreeSet<&str> = right.lines.iter().map(String::as_str).collect();
    if let Some(line) = right.difference(&shown).next() {
        return Err(format!("I10: the tables lack: {line}"));
    }
    if let Some(line) = shown.difference(&right).next() {
        return Err(format!("I10: the tables hold what the log does not say: {line}"));
    }
    if outcomes.len() != model.requests.len() {
        let (held, wanted) = (outcomes.len(), model.requests.len());
        return Err(format!("I10: the tables hold {held} outcomes, not {wanted}"));
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn or_none(number: Option<i64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

struct Lines<'a> {
    model: &'a Model,
    lines: BTreeSet<String>,
}

impl Lines<'_> {
    fn line(&mut self, line: String) {
        self.lines.insert(line);
    }

    fn id(&self, account: u64) -> String {
        hex(&self.model.accounts[&account].id.0)
    }

    /// What a conversation is called from nobody's side.
    fn label(&self, key: u64) -> String {
        match &self.model.conversations[&key].place {
            Place::Direct(low, high) => format!("{}+{}", self.id(*low), self.id(*high)),
            Place::Room(room) => format!("#{} {}", room.name, hex(&room.id.0)),
        }
    }

    fn accounts(&mut self) {
        for account in self.model.accounts.values() {
            self.line(format!(
                "account {} {} {} v{} at {} {} deleted={} disabled=0",
                hex(&account.id.0),
                account.name,
                account.hash,
                account.version,
                account.changed,
                account.create_time,
                u8::from(account.gone.is_some())
            ));
        }
        for session in self.model.sessions.values() {
            self.line(format!(
                "session {} {} {} {} {} ended={}",
                hex(&session.id.0),
                self.model.accounts[&session.account].name,
                session.device,
                session.create_time,
                session.last_used,
                or_none(session.end_time)
            ));
        }
        let session = |key| hex(&self.model.sessions[key].id.0);
        let live = self.model.tokens.iter();
        let live = live.map(|(token, key)| format!("token {} {}", hex(token), session(key)));
        let ended = self.model.ended_tokens.iter();
        let ended =
            ended.map(|(token, key)| format!("ended token {} {}", hex(token), session(key)));
        let tokens: Vec<String> = live.chain(ended).collect();
        self.lines.extend(tokens);
    }

    fn aliases(&mut self) {
        for (other, key) in &self.model.message_aliases {
            let message = hex(&self.model.messages[key].id.0);
            self.line(format!("message alias {} {message}", hex(&other.0)));
        }
        for (other, key) in &self.model.account_aliases {
            self.line(format!("account alias {} {}", hex(&other.0), self.id(*key)));
        }
        for (other, key) in &self.model.room_aliases {
            self.line(format!("room alias {} {}", hex(&other.0), self.label(*key)));
        }
        for (name, key) in &self.model.old_names {
            self.line(format!("alias {name} {}", self.id(*key)));
        }
        for ((number, server), common) in &self.model.divergence {
            self.line(format!("divergence {number} {server} after {common}"));
        }
    }

    fn conversations(&mut self) {
        for (key, conversation) in &self.model.conversations {
            let label = self.label(*key);
            let count = conversation.messages.len();
            let (kind, room) = match &conversation.place {
                Place::Direct(..) => (1, None),
                Place::Room(room) => (2, Some(room)),
            };
            self.line(format!(
                "conversation {label} kind={kind} {} private={} deleted={} last={count} at {} owner={} \
                 open={} changed at {} gone={} purged={} forsaken={}",
                room.map_or("", |room| &room.topic),
                u8::from(room.is_some_and(|room| room.private)),
                u8::from(conversation.closed.is_some()),
                conversation.touched,
                room.map_or_else(|| "-".to_owned(), |room| self.id(room.owner)),
                room.map_or(0, |room| room.open),
                room.map_or(0, |room| room.changed),
                or_none(conversation.closed),
                conversation.purged,
                u8::from(room.is_some_and(|room| room.forsaken)),
            ));
            for (account, member) in &conversation.members {
                self.member(*key, *account, member);
            }
            if let Some(room) = room {
                self.moves(&label, room);
            }
        }
    }

    fn member(&mut self, place: u64, account: u64, member: &MMember) {
        let after = || self.model.after(place, member.read);
        let own = after().filter(|message| message.sender == account).count();
        let gone = |message: &&MMessage| message.sender != account && message.is_gone_for(account);
        let gone = after().filter(gone).count();
        let unread = self.model.unread(place, account);
        let mentions = unread.filter(|message| message.mentions.contains(&account)).count();
        self.line(format!(
            "member {} of {} joined={} read={} own={own} gone={gone} mentions={mentions} since {} at {}",
            self.id(account),
            self.label(place),
            member.joined,
            member.read,
            member.join_time,
            member.join_entry
        ));
    }

    fn moves(&mut self, label: &str, room: &MRoom) {
        for (account, (entry, member)) in &room.moves {
            let (account, member) = (self.id(*account), u8::from(*member));
            self.line(format!("membership {account} of {label} at {entry} member={member}"));
        }
    }

    fn messages(&mut self) {
        for message in self.model.messages.values() {
            let id = hex(&message.id.0);
            let gone = message.is_gone();
            self.line(format!(
                "message {id} {} seq={} from {} re={} {} edited={} received={} deleted={} body={}",
                self.label(message.place),
                message.seq,
                self.id(message.sender),
                message.reply_to.map(|id| hex(&id.0)).unwrap_or_default(),
                message.create_time,
                or_none(message.edit_time),
                or_none(message.received_time),
                u8::from(gone),
                if gone { String::new() } else { hex(message.body.as_bytes()) }
            ));
            for account in &message.hidden_from {
                self.line(format!("hidden {id} from {}", self.id(*account)));
            }
            for account in &message.mentions {
                self.line(format!("mention {} in {id} {}", self.id(*account), message.seq));
            }
            if let Some((by, time)) = message.deleted {
                let body = match self.model.lives(by) {
                    true => hex(message.body.as_bytes()),
                    false => String::new(),
                };
                self.line(format!("deleted {id} by {} {time} body={body}", self.id(by)));
            }
        }
    }
}
