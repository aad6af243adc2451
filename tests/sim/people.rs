//! What people do: they begin accounts, talk to each other and in rooms, change their minds, and forget
//! passwords. Much of it is refused, as in life.

use std::{collections::BTreeSet, rc::Rc, time::Duration};

use chinwag::{
    chat::{
        Body, Command, Conversation, ConversationName, MessageId, Outcome, Refusal, RoomName,
        SendMessage, SessionId, Topic, UpdateRoom, Username,
    },
    store::Around,
};

use crate::{
    calls::{Ask, Definite, Sight},
    client::Client,
};

/// So many passwords have come to a person's mind.
const PASSWORDS: usize = 3;
/// The rooms that everybody has heard of.
const ROOMS: [&str; 3] = ["hall", "den", "attic"];

/// What a person has seen.
#[derive(Default)]
struct Memory {
    messages: Vec<MessageId>,
    own: Vec<MessageId>,
    rooms: BTreeSet<RoomName>,
}

impl Client {
    /// A person at work until the load is over.
    pub(crate) async fn work(self: Rc<Client>, pace_ms: usize) {
        self.pause(300).await;
        self.begin_account().await;
        let mut memory = Memory::default();
        while !self.net.over.get() {
            self.pause(pace_ms).await;
            if self.session.get().is_none() {
                self.come_back().await;
                continue;
            }
            self.act(&mut memory).await;
        }
        // Whoever follows the events needs a session to the end.
        while self.session.get().is_none() {
            self.come_back().await;
        }
    }

    async fn pause(&self, most_ms: usize) {
        let micros = self.below(most_ms * 1_000 + 1) as u64;
        self.net.clock.sleep(Duration::from_micros(micros)).await;
    }

    fn name(&self) -> String {
        // The last one shares the first one's account, as a second device.
        let second = self.net.clients > 2 && self.index + 1 == self.net.clients;
        format!("user{}", if second { 0 } else { self.index })
    }

    fn secret(&self, which: usize) -> String {
        format!("secret {which} of {}", self.name())
    }

    /// Logs in with the password that is known, or one that another device may have chosen; or begins anew, if
    /// that ended the account.
    pub(crate) async fn come_back(&self) {
        if self.below(2) == 0 {
            self.password.set(self.below(PASSWORDS));
        }
        match self.below(3) {
            0 => self.begin_account().await,
            _ => self.log_in().await,
        }
    }

    async fn begin_account(&self) {
        let (username, password) = (self.name(), self.secret(self.password.get()));
        match self.settle(Ask::Create { username, password }).await {
            Definite::Executed {
                result: Ok(Outcome::AccountCreated { account, session }), ..
            } => {
                self.account.set(Some(account.id));
                self.net.sessions.borrow_mut().push((self.name(), session));
            }
            _ => self.log_in().await,
        }
    }

    async fn log_in(&self) {
        let (username, password) = (self.name(), self.secret(self.password.get()));
        let device = format!("device {}", self.below(100));
        let answer = self.settle(Ask::Login { username, password, device }).await;
        if let Definite::Executed { result: Ok(Outcome::LoggedIn { account, session }), .. } =
            answer
        {
            self.account.set(Some(account.id));
            self.net.sessions.borrow_mut().push((self.name(), session));
        }
    }

    async fn act(&self, memory: &mut Memory) {
        let ask = self.choose(memory);
        let logs_out = matches!(ask, Ask::Do(Command::Logout));
        let (before, new) = (self.password.get(), self.below(PASSWORDS));
        let ask = match ask {
            Ask::ChangePassword { old, .. } => Ask::ChangePassword { old, new: self.secret(new) },
            other => other,
        };
        match self.settle(ask).await {
            Definite::Executed { result: Ok(Outcome::PasswordChanged), .. } => {
                self.password.set(new);
            }
            Definite::Executed { result: Ok(Outcome::AccountDeleted), .. } => {
                self.session.set(None);
            }
            Definite::Executed { result: Err(Refusal::BadCredentials), .. } => {
                self.password.set((before + 1) % PASSWORDS);
            }
            Definite::Executed { result: Err(Refusal::NoSession), .. }
            | Definite::Refused { refusal: Refusal::NoSession, .. } => self.session.set(None),
            Definite::Executed { result: Ok(Outcome::MessageSent(message)), .. } => {
                memory.own.push(message.id);
                memory.messages.push(message.id);
            }
            Definite::Read { seen: Ok(sight), .. } => memory.take(&sight),
            _ => {}
        }
        if logs_out {
            self.session.set(None);
        }
    }

    fn choose(&self, memory: &Memory) -> Ask {
        let busy = self.net.house_keeping && self.below(2) == 0;
        match self.below(100) {
            0..=24 if busy && !memory.messages.is_empty() => self.change_something(memory),
            _ if busy => self.keep_house(memory),
            0..=39 => self.say(memory),
            40..=49 => {
                let around = match self.below(4) {
                    0 => Around::Latest,
                    1 => Around::Before(1 + self.below(30) as i64),
                    2 => Around::After(self.below(30) as i64),
                    _ => Around::Seq(1 + self.below(30) as i64),
                };
                let (conversation, size) = (self.somewhere(memory), 1 + self.below(12) as i32);
                Ask::Messages { conversation, around, size }
            }
            50..=56 => {
                let (conversation, seq) = (self.somewhere(memory), self.below(40) as i64);
                Ask::Do(Command::MarkRead { conversation, seq })
            }
            57..=61 if !memory.messages.is_empty() => {
                Ask::Do(Command::DeleteMessages(self.some(memory)))
            }
            62..=66 if !memory.messages.is_empty() => {
                Ask::Do(Command::AcknowledgeMessages(self.some(memory)))
            }
            67..=73 if !memory.messages.is_empty() => self.change_something(memory),
            74..=90 => self.keep_house(memory),
            91 => Ask::Do(Command::Logout),
            92 => match self.below(4) {
                0 => Ask::DeleteAccount { password: self.secret(self.password.get()) },
                1 => {
                    let (old, new) = (self.secret(self.password.get()), String::new());
                    Ask::ChangePassword { old, new }
                }
                _ => Ask::Do(Command::EndSession(self.a_session())),
            },
            93 => Ask::Accounts,
            94..=95 => Ask::Rooms,
            96 => Ask::Members(self.a_room(memory)),
            _ => Ask::Conversations,
        }
    }

    fn say(&self, memory: &Memory) -> Ask {
        let reply_to = memory.messages.last().copied().filter(|_| self.below(10) == 0);
        let (conversation, body) = (self.somewhere(memory), self.words());
        Ask::Do(Command::SendMessage(SendMessage { conversation, body, reply_to }))
    }

    /// Another body for a message, more often than not for one of the newest.
    fn change_something(&self, memory: &Memory) -> Ask {
        let newest = memory.own.iter().rev().nth(self.below(3)).filter(|_| self.below(3) > 0);
        let message = newest.copied().unwrap_or_else(|| self.some(memory)[0]);
        Ask::Do(Command::EditMessage { message, body: self.words() })
    }

    /// Something about a room, its owner's business for the most part.
    fn keep_house(&self, memory: &Memory) -> Ask {
        let (room, username) = (self.a_room(memory), self.somebody());
        let topic = Topic::parse(format!("topic {}", self.below(5))).expect("a good topic");
        Ask::Do(match self.below(16) {
            0..=3 => {
                let room = RoomName::parse_new(ROOMS[self.below(3)]).expect("a good name");
                return Ask::CreateRoom { room, topic, private: self.below(3) == 0 };
            }
            4..=6 => Command::JoinRoom(room),
            7 => Command::LeaveRoom(room),
            8..=9 => Command::AddMember { room, username },
            10..=11 => Command::RemoveMember { room, username },
            12..=13 => {
                let topic = Some(topic).filter(|_| self.below(2) == 0);
                let private = [None, Some(false), Some(true)][self.below(3)];
                Command::UpdateRoom(UpdateRoom { room, topic, private })
            }
            14 => Command::TransferRoom { room, username },
            _ if self.below(2) == 0 => Command::DeleteRoom(room),
            _ => Command::LeaveRoom(room),
        })
    }

    fn somewhere(&self, memory: &Memory) -> ConversationName {
        if self.below(2) == 0 {
            return ConversationName::Room(self.a_room(memory));
        }
        ConversationName::parse(&format!("@{}", self.somebody())).expect("a good name")
    }

    fn somebody(&self) -> Username {
        Username::parse(&format!("user{}", self.below(self.net.clients))).expect("a good name")
    }

    fn words(&self) -> Body {
        let mut words = format!("{} says {}", self.name(), self.below(1_000_000));
        while self.below(4) == 0 {
            words += &format!(" to @{}{}", self.somebody(), ["", "."][self.below(2)]);
        }
        Body::parse(words).expect("a good body")
    }

    fn a_room(&self, memory: &Memory) -> RoomName {
        let seen = memory.rooms.len();
        match seen {
            1.. if self.below(3) == 0 => {
                memory.rooms.iter().nth(self.below(seen)).expect("so many").clone()
            }
            _ => RoomName::parse(ROOMS[self.below(3)]).expect("a good name"),
        }
    }

    /// One of the own sessions, or once in a while somebody else's.
    fn a_session(&self) -> SessionId {
        let all = self.net.sessions.borrow();
        let others = self.below(8) == 0;
        let some: Vec<_> =
            all.iter().filter(|(name, _)| (*name == self.name()) != others).collect();
        match some.len() {
            0 => SessionId([3; 16]),
            len => some[self.below(len)].1,
        }
    }

    /// One or a few messages, the own ones or any, once in a while one that is none.
    fn some(&self, memory: &Memory) -> Vec<MessageId> {
        if self.below(30) == 0 {
            return vec![MessageId([3; 16])];
        }
        let own = !memory.own.is_empty() && self.below(2) == 0;
        let from = if own { &memory.own } else { &memory.messages };
        let count = 1 + self.below(3);
        let chosen: BTreeSet<usize> = (0..count).map(|_| self.below(from.len())).collect();
        chosen.into_iter().map(|place| from[place]).collect()
    }
}

impl Memory {
    fn take(&mut self, sight: &Sight) {
        let names = |all: &[Conversation]| -> Vec<RoomName> {
            let room = |one: &Conversation| match &one.name {
                ConversationName::Room(room) => Some(room.clone()),
                ConversationName::Direct(_) => None,
            };
            all.iter().filter_map(room).collect()
        };
        match sight {
            Sight::Messages(page) => {
                self.messages.extend(page.messages.iter().map(|message| message.id));
            }
            Sight::Conversations(all) | Sight::Rooms(all) => self.rooms.extend(names(all)),
            Sight::Members(_) | Sight::Accounts(_) => {}
        }
    }
}
