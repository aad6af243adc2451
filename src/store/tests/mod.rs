//! The room's tests: a bench that drives a writer entry by entry, and the facts it shows.

mod account_merges;
mod accounts;
mod administered;
mod backups;
mod compare;
mod folders;
mod idempotency;
mod merges;
mod merges_at_random;
mod messages;
mod outcomes;
mod plans;
mod prepared;
mod replicas;
mod room_merges;
mod rooms;
mod schema;
mod search;
mod sessions;
mod snapshots;
mod threads;
mod upgrades;

use tempfile::TempDir;

use super::{OpenOptions, Opened, Store, StoreError, Writer, WriterHandle, inspect};
use crate::{
    chat::{
        AccountId, Body, Command, ConversationName, CreateAccount, DeviceName, Fingerprint, Login,
        Message, MessageId, Outcome, Proof, Refusal, RequestId, RequestKey, SendMessage, SessionId,
        Timestamp, TokenHash, Update, Username,
    },
    cluster::{Entry, Epoch, Hash, Payload, ServerId, View},
    wire::update,
};

const LINEAGE: Hash = Hash([7; 32]);
const EPOCH: Epoch = Epoch { number: 1, server: ServerId(1) };

/// A user of the bench.
#[derive(Clone, Copy, Debug)]
struct User {
    account: AccountId,
    session: SessionId,
}

/// Makes entries: the log of one history, and the ids and times that a leader draws.
struct Scribe {
    entries: Vec<Entry>,
    epoch: Epoch,
    drawn: u64,
}

impl Scribe {
    fn new() -> Scribe {
        let mut scribe = Scribe { entries: Vec::new(), epoch: EPOCH, drawn: 0 };
        let members = [ServerId(1), ServerId(2), ServerId(3)].into();
        scribe.append(Payload::View(View { members, forced: false }));
        scribe
    }

    fn append(&mut self, payload: Payload) -> Entry {
        let (seq, hash) = self.entries.last().map_or((0, LINEAGE), |last| (last.seq, last.hash));
        let entry = Entry::after(hash, seq + 1, self.epoch, payload);
        self.entries.push(entry.clone());
        entry
    }

    fn update(&mut self, update: &Update) -> Entry {
        self.append(Payload::Update(update::encode(update)))
    }

    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }

    fn draw_id(&mut self) -> [u8; 16] {
        (u128::from(self.draw()) << 64 | 0xfeed).to_be_bytes()
    }

    fn draw_token(&mut self) -> TokenHash {
        let mut token = [9; 32];
        token[..8].copy_from_slice(&self.draw().to_be_bytes());
        TokenHash(token)
    }

    /// A caller's update under a new request id.
    fn call(&mut self, session: Option<SessionId>, command: Command) -> Update {
        let fingerprint = command.fingerprint().unwrap_or(Fingerprint([0; 32]));
        let request =
            command.call().map(|_| RequestKey { id: RequestId(self.draw_id()), fingerprint });
        let time = Timestamp(1_700_000_000_000_000 + self.draw() as i64);
        Update { time, request, session, command }
    }

    fn create(&mut self, username: &str) -> Update {
        let create = CreateAccount {
            username: Username::parse_new(username).unwrap(),
            password_hash: format!("$argon2id$of-{username}"),
            account: AccountId(self.draw_id()),
            session: SessionId(self.draw_id()),
            token: self.draw_token(),
            proof: None,
        };
        self.call(None, Command::CreateAccount(create))
    }

    fn login(&mut self, username: &str, proof: Proof) -> Update {
        let login = Login {
            username: Username::parse(username).unwrap(),
            proof,
            session: SessionId(self.draw_id()),
            token: self.draw_token(),
            device_name: DeviceName::parse("phone").unwrap(),
        };
        self.call(None, Command::Login(login))
    }

    fn send(&mut self, from: User, to: &str, body: &str) -> Update {
        self.call(Some(from.session), send_command(to, body, None))
    }
}

fn send_command(to: &str, body: &str, reply_to: Option<MessageId>) -> Command {
    Command::SendMessage(SendMessage {
        conversation: name(to),
        body: Body::parse(body).unwrap(),
        reply_to,
    })
}

fn name(text: &str) -> ConversationName {
    ConversationName::parse(text).unwrap()
}

/// A server without a network: every update is committed at once.
struct Bench {
    folder: TempDir,
    store: Store,
    writer: Writer,
    scribe: Scribe,
    changes: Vec<crate::chat::Change>,
    digest: Hash,
}

impl Bench {
    fn new() -> Bench {
        let folder = TempDir::new().unwrap();
        let Opened { store, mut writer, log, .. } = open(folder.path()).unwrap();
        assert_eq!(log, None, "a new folder is blank");
        let scribe = Scribe::new();
        let digest = writer.store(&scribe.entries, LINEAGE).unwrap();
        Bench { folder, store, writer, scribe, changes: Vec::new(), digest }
    }

    /// Another server with the same history, which draws other ids from now on and leads in this epoch.
    fn copy(&self, epoch: Epoch) -> Bench {
        let folder = TempDir::new().unwrap();
        let Opened { store, mut writer, .. } = open(folder.path()).unwrap();
        let digest = writer.store(&self.scribe.entries, LINEAGE).unwrap();
        let drawn = self.scribe.drawn + (u64::from(epoch.server.0) << 32);
        let scribe = Scribe { entries: self.scribe.entries.clone(), epoch, drawn };
        Bench { folder, store, writer, scribe, changes: Vec::new(), digest }
    }

    /// The place of the newest entry.
    fn end(&self) -> u64 {
        self.scribe.entries.last().unwrap().seq
    }

    /// Commits one update, and keeps what subscribers are told in `changes`.
    fn run(&mut self, update: &Update) -> Result<Outcome, Refusal> {
        let entry = self.scribe.update(update);
        let mut applied = self.writer.apply(&[entry]).unwrap();
        self.writer.commit().unwrap();
        self.changes = applied.changes;
        self.digest = applied.digest;
        let (_, result) = applied.results.pop().unwrap();
        assert!(applied.results.is_empty(), "one update, one result");
        result
    }

    fn act(&mut self, user: User, command: Command) -> Result<Outcome, Refusal> {
        let update = self.scribe.call(Some(user.session), command);
        self.run(&update)
    }

    fn user(&mut self, username: &str) -> User {
        let update = self.scribe.create(username);
        match self.run(&update) {
            Ok(Outcome::AccountCreated { account, session }) => {
                User { account: account.id, session }
            }
            other => panic!("{other:?}"),
        }
    }

    fn send(&mut self, from: User, to: &str, body: &str) -> Message {
        let update = self.scribe.send(from, to, body);
        sent(self.run(&update))
    }

    fn read<T>(&self, query: impl FnOnce(&mut super::Reader) -> Result<T, StoreError>) -> T {
        self.store.read_now(query).unwrap()
    }

    fn contents(&self) -> String {
        self.read(|reader| inspect::lines(&mut reader.connection))
    }

    /// Everything in the caller's conversation, page by page.
    fn history(&self, viewer: User, conversation: &str) -> Vec<Message> {
        let mut all: Vec<Message> = Vec::new();
        loop {
            let after = all.last().map_or(0, |message| message.seq);
            let page = self
                .read(|reader| {
                    let around = super::Around::After(after);
                    reader.messages(viewer.account, &name(conversation), around, 0)
                })
                .unwrap();
            all.extend(page.messages);
            if !page.has_more {
                return all;
            }
        }
    }

    fn unread(&self, viewer: User, conversation: &str) -> i64 {
        let found = self.read(|reader| reader.conversation(viewer.account, &name(conversation)));
        found.unwrap().map_or(0, |conversation| conversation.unread_count)
    }

    /// Opens the folder again, as after a restart.
    fn restart(self) -> Bench {
        let Bench { folder, store, writer, scribe, changes, digest } = self;
        drop((store, writer));
        let Opened { store, writer, .. } = open(folder.path()).unwrap();
        Bench { folder, store, writer, scribe, changes, digest }
    }
}

fn open(folder: &std::path::Path) -> Result<Opened, StoreError> {
    Store::open(OpenOptions::new(folder, [1; 16]))
}

fn sent(result: Result<Outcome, Refusal>) -> Message {
    match result {
        Ok(Outcome::MessageSent(message)) => *message,
        other => panic!("{other:?}"),
    }
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}
