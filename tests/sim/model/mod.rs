//! The reference: what the log says, in plain maps. Written against the rules of the API, not against the
//! tables; slow where that is simple.
//!
//! Every thing is known by the place of the entry that made it. One file a concern: accounts and sessions,
//! conversations and who is in them, messages, what viewers are shown, and what becomes of all that when two
//! histories are merged.

mod accounts;
mod finding;
mod merge;
mod merge_rooms;
mod messages;
mod reading;
mod rooms;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use accounts::{MAccount, MSession};
use chinwag::{
    chat::{
        AccountId, Call, Command, Fingerprint, MessageId, Outcome, Refusal, RequestId, RoomId,
        TokenHash, Update, Username,
    },
    cluster::{Entry, Payload},
    wire::update,
};
pub(crate) use messages::MMessage;
pub(crate) use rooms::{MConversation, MMember, MRoom, Place, Stay};

/// What is kept of an outcome.
#[derive(Clone)]
pub(crate) enum Kept {
    Session(u64),
    Message(u64),
    Room(u64),
    Read(i64),
    Done(Outcome),
    Refused(Refusal),
}

/// Everything, by the place of the entry that made it.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) accounts: BTreeMap<u64, MAccount>,
    pub(crate) sessions: BTreeMap<u64, MSession>,
    pub(crate) tokens: BTreeMap<[u8; 32], u64>,
    /// Those that a renewal ended.
    pub(crate) ended_tokens: BTreeMap<[u8; 32], u64>,
    pub(crate) conversations: BTreeMap<u64, MConversation>,
    pub(crate) messages: BTreeMap<u64, MMessage>,
    /// Every message by its ids.
    pub(crate) names: BTreeMap<MessageId, u64>,
    /// The ids that do not tell where the message stands.
    pub(crate) message_aliases: BTreeMap<MessageId, u64>,
    /// The ids of accounts that are one with another.
    pub(crate) account_aliases: BTreeMap<AccountId, u64>,
    /// The ids of rooms that are one with another.
    pub(crate) room_aliases: BTreeMap<RoomId, u64>,
    /// Names that merges took from accounts.
    pub(crate) old_names: BTreeSet<(Username, u64)>,
    /// Epochs of which something is lost, and after which entry.
    pub(crate) divergence: BTreeMap<(u64, u32), u64>,
    pub(crate) requests: BTreeMap<(RequestId, Vec<u8>, Call), (Fingerprint, Kept)>,
    /// Where a request was carried out first.
    pub(crate) first: BTreeMap<RequestId, u64>,
    /// The entry that is being applied, its epoch and its time.
    seq: u64,
    epoch: (u64, u32),
    time: i64,
}

type Result<T> = std::result::Result<T, Refusal>;

/// Who acts: a session, and whose it is.
type Actor = (u64, u64);

impl Model {
    /// What an entry comes to; `None` if it is no update.
    pub(crate) fn apply(&mut self, entry: &Entry) -> Option<Result<Outcome>> {
        let Payload::Update(payload) = &entry.payload else { return None };
        let update = update::decode(payload).expect("an update that a server took");
        self.seq = entry.seq;
        self.epoch = (entry.epoch.number, entry.epoch.server.0);
        self.time = update.time.0;
        if let Command::Merge(merge) = &update.command {
            return Some(Ok(self.merge(merge)));
        }
        if let Some(request) = &update.request {
            self.first.entry(request.id).or_insert(entry.seq);
        }
        Some(self.once(&update))
    }

    /// A request id has one effect.
    fn once(&mut self, update: &Update) -> Result<Outcome> {
        let (scope, actor) = match &update.command {
            Command::CreateAccount(create) => (create.username.as_str().as_bytes().to_vec(), None),
            Command::Login(login) => (login.username.as_str().as_bytes().to_vec(), None),
            _ => {
                let session = self.session(update.session.ok_or(Refusal::NoSession)?)?;
                let account = self.sessions[&session].account;
                (account.to_be_bytes().to_vec(), Some((session, account)))
            }
        };
        let call = update.command.call().expect("clients call");
        let request = update.request.expect("every call has an id");
        let key = (request.id, scope, call);
        let known = self.requests.get(&key).cloned();
        if let Some((session, _)) = actor {
            let ended = self.sessions[&session].end_time.is_some();
            let ends_itself = match update.command {
                Command::Logout | Command::DeleteAccount(_) => true,
                Command::EndSession(id) => Some(id) == update.session,
                _ => false,
            };
            let repeats = ends_itself && known.is_some();
            if ended && !repeats {
                return Err(Refusal::NoSession);
            }
        }
        if let Some((fingerprint, kept)) = known {
            if fingerprint != request.fingerprint {
                return Err(Refusal::RequestIdReused);
            }
            return self.again(update, kept, actor.map(|(_, account)| account));
        }
        let result = self.carry_out(update, actor);
        if let Some(kept) = self.to_keep(&update.command, &result) {
            self.requests.insert(key, (request.fingerprint, kept));
        }
        result
    }

    /// What a repeat will find.
    fn to_keep(&self, command: &Command, result: &Result<Outcome>) -> Option<Kept> {
        Some(match (result, command) {
            (Ok(Outcome::AccountCreated { .. } | Outcome::LoggedIn { .. }), _) => {
                Kept::Session(self.seq)
            }
            (Ok(Outcome::MessageSent(_)), _) => Kept::Message(self.seq),
            (Ok(_), Command::EditMessage { message, .. }) => Kept::Message(self.names[message]),
            (Ok(Outcome::RoomStands(_)), Command::CreateRoom(_)) => Kept::Room(self.seq),
            (Ok(_), Command::JoinRoom(room)) => {
                Kept::Room(self.open_room(room).expect("it stands"))
            }
            (Ok(_), Command::UpdateRoom(update)) => {
                Kept::Room(self.open_room(&update.room).expect("it stands"))
            }
            (Ok(Outcome::ReadMoved { read_seq }), _) => Kept::Read(*read_seq),
            (Ok(done), _) => Kept::Done(done.clone()),
            (
                Err(
                    refusal @ (Refusal::NameTaken
                    | Refusal::NoSuchAccount
                    | Refusal::NoSuchRoom
                    | Refusal::NoSuchMessage
                    | Refusal::NoSuchSession
                    | Refusal::NotAllowed
                    | Refusal::OwnerStays
                    | Refusal::NoMember),
                ),
                _,
            ) => Kept::Refused(*refusal),
            (Err(_), _) => return None,
        })
    }

    fn again(&mut self, update: &Update, kept: Kept, actor: Option<u64>) -> Result<Outcome> {
        match kept {
            Kept::Refused(refusal) => Err(refusal),
            Kept::Done(outcome) => Ok(outcome),
            Kept::Read(read_seq) => Ok(Outcome::ReadMoved { read_seq }),
            Kept::Message(message) => {
                let shown = Box::new(self.show_to_author(message));
                Ok(match &update.command {
                    Command::EditMessage { .. } => Outcome::MessageEdited(shown),
                    _ => Outcome::MessageSent(shown),
                })
            }
            Kept::Room(room) => Ok(self.stands(room, actor.expect("they have a session"))),
            Kept::Session(session) => match &update.command {
                Command::CreateAccount(create) => {
                    if self.sessions[&session].end_time.is_some() {
                        return Err(Refusal::BadCredentials);
                    }
                    let proof = create.proof.ok_or(Refusal::ProofNeeded)?;
                    let (account, session) = self.renew(session, &proof, &create.token)?;
                    Ok(Outcome::AccountCreated { account, session })
                }
                Command::Login(login) => {
                    let (account, session) = self.renew(session, &login.proof, &login.token)?;
                    Ok(Outcome::LoggedIn { account, session })
                }
                other => unreachable!("{other:?} begins no session"),
            },
        }
    }

    fn carry_out(&mut self, update: &Update, actor: Option<Actor>) -> Result<Outcome> {
        match (&update.command, actor) {
            (Command::CreateAccount(create), _) => self.create_account(create),
            (Command::Login(login), _) => self.login(login),
            (command, Some(actor)) => self.act(command, actor),
            (other, None) => unreachable!("{other:?} has an actor"),
        }
    }

    fn act(&mut self, command: &Command, (session, actor): Actor) -> Result<Outcome> {
        match command {
            Command::Logout => Ok(self.logout(session)),
            Command::EndSession(id) => self.end_session(actor, *id),
            Command::ChangePassword(change) => self.change_password(session, actor, change),
            Command::DeleteAccount(proof) => self.delete_account(actor, proof.as_ref()),
            Command::SendMessage(send) => self.send(actor, send),
            Command::EditMessage { message, body } => self.edit(actor, *message, body.as_str()),
            Command::DeleteMessages(ids) => self.delete(actor, ids),
            Command::AcknowledgeMessages(ids) => self.receive(actor, ids),
            Command::MarkRead { conversation, seq } => self.mark_read(actor, conversation, *seq),
            Command::CreateRoom(create) => self.create_room(actor, create),
            Command::JoinRoom(room) => self.join(actor, room),
            Command::LeaveRoom(room) => self.leave(actor, room),
            Command::AddMember { room, username } => self.add_member(actor, room, username),
            Command::RemoveMember { room, username } => self.remove_member(actor, room, username),
            Command::UpdateRoom(update) => self.update_room(actor, update),
            Command::TransferRoom { room, username } => self.transfer(actor, room, username),
            Command::DeleteRoom(room) => self.delete_room(actor, room),
            other => unreachable!("no client calls {other:?}"),
        }
    }

    /// Whether a call with this id was carried out, and not refused.
    pub(crate) fn did(&self, id: RequestId) -> bool {
        let mut same = self.requests.iter().filter(|((other, ..), _)| *other == id);
        same.any(|(_, (_, kept))| !matches!(kept, Kept::Refused(_)))
    }

    /// Whether this token lets somebody in.
    pub(crate) fn lets_in(&self, token: &TokenHash) -> bool {
        let session = self.tokens.get(&token.0).and_then(|key| self.sessions.get(key));
        session.is_some_and(|session| session.end_time.is_none())
    }
}
