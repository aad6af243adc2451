//! A server's side of its clients' calls: who calls, what is read, what goes into the log. The same steps
//! as the services take, over the same desk, store, hub and memory of sessions. Subscribers' streams are in
//! `device`.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use chinwag::{
    chat::{
        AccountId, ChangePassword, Command, CreateAccount, CreateRoom, DeviceName, Glob, Login,
        Proof, Refusal, RequestId, RequestKey, RoomId, SessionId, Timestamp, TokenHash, Update,
        Username,
    },
    client::decisions::Failure,
    cluster::{Hash, Position},
    node::{Executed, Hub, Refused, Sessions, Standing, TokenOwner},
    store::{Credentials, Reader, Store, StoreError},
    wire,
};

use crate::{
    calls::{Ask, Call, Definite, Reply, Sight},
    chance::Chance,
    device,
    reconcile::Merging,
    tasks::{Clock, Receiver, Sender, channel},
};

/// How long a call waits for an election to end.
const ELECTION: Duration = Duration::from_millis(400);

/// What the tasks of a server ask of its loop.
pub(crate) enum Request {
    Execute { payload: Bytes, reply: Sender<Result<(Executed, Hash), Refused>> },
    Read { reply: Sender<Result<(), Refused>> },
}

/// What the tasks of one life of a server share.
pub(crate) struct Door {
    pub(crate) store: Store,
    pub(crate) hub: Hub,
    pub(crate) sessions: Sessions,
    pub(crate) standing: RefCell<Standing>,
    pub(crate) watchers: RefCell<Vec<Sender<()>>>,
    pub(crate) requests: RefCell<VecDeque<Request>>,
    /// What it wants to bring to a leader, and what came of that.
    pub(crate) merging: Merging,
    pub(crate) clock: Rc<Clock>,
    pub(crate) chance: RefCell<Chance>,
    /// Microseconds to add to the time: the machine's wall clock.
    pub(crate) wall: Rc<Cell<i64>>,
}

/// Where the answers of a call go.
pub(crate) struct Replies {
    pub(crate) call: u64,
    pub(crate) out: Rc<RefCell<VecDeque<(u64, Reply)>>>,
}

impl Replies {
    pub(crate) fn send(&self, reply: Reply) {
        self.out.borrow_mut().push_back((self.call, reply));
    }
}

/// Why a call ends before the log.
pub(crate) enum Stop {
    Failed(Failure),
    Refused(Refusal, Option<Position>),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Stop {
        let words = refused.to_string();
        Stop::Failed(match refused {
            Refused::NotLeader(leader) => {
                Failure::NotLeader(leader.map(|id| crate::client::address(id.0 as usize - 1)))
            }
            Refused::NoLeader | Refused::NoQuorum => Failure::NotNow(words),
            Refused::StorageFull => Failure::DiskFull(words),
            Refused::OutcomeUnknown | Refused::ShuttingDown | Refused::Store(_) => {
                Failure::Lost(words)
            }
        })
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Stop {
        Stop::Failed(Failure::Lost(error.to_string()))
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) account: AccountId,
    pub(crate) session: SessionId,
    token: TokenHash,
}

impl Door {
    pub(crate) async fn serve(self: Rc<Door>, call: Call, replies: Replies) {
        match call {
            Call::Unary { id, token, ask } => {
                let reply = match self.answer(id, token, ask).await {
                    Ok(reply) => reply,
                    Err(stop) => stopped(stop),
                };
                replies.send(reply);
            }
            Call::Subscribe { token, cursor } => {
                if let Err(stop) = device::subscribe(&self, token, &cursor, &replies).await {
                    replies.send(stopped(stop));
                }
            }
        }
    }

    async fn answer(
        &self,
        id: RequestId,
        token: Option<TokenHash>,
        ask: Ask,
    ) -> Result<Reply, Stop> {
        let (session, command) = match ask {
            Ask::Create { username, password } => {
                return self.create(id, &username, &password).await;
            }
            Ask::Login { username, password, device } => {
                return self.login(id, &username, &password, device).await;
            }
            Ask::Messages { .. }
            | Ask::Conversations
            | Ask::Rooms
            | Ask::Members(_)
            | Ask::Accounts => {
                let caller = self.caller(token).await?;
                return self.look(caller, ask).await;
            }
            Ask::Do(command) => (self.caller(token).await?, command),
            Ask::CreateRoom { room, topic, private } => {
                let caller = self.caller(token).await?;
                let id = RoomId(self.id());
                (caller, Command::CreateRoom(CreateRoom { room, topic, private, id }))
            }
            Ask::ChangePassword { old, new } => {
                let caller = self.caller(token).await?;
                let proof = self.own_proof(caller, &old).await?;
                let password_hash = proof.map_or(String::new(), |_| hashed(&new));
                (caller, Command::ChangePassword(ChangePassword { proof, password_hash }))
            }
            Ask::DeleteAccount { password } => {
                let caller = self.caller(token).await?;
                let proof = self.own_proof(caller, &password).await?;
                (caller, Command::DeleteAccount(proof))
            }
        };
        let (executed, hash) = self.execute(id, Some(session.session), command).await?;
        Ok(definite(executed, hash, None))
    }

    async fn look(&self, caller: Caller, ask: Ask) -> Result<Reply, Stop> {
        let all = Glob::parse("*").expect("a good pattern");
        let (at, seen) = self
            .read_as(caller, |reader| match &ask {
                Ask::Messages { conversation, around, size } => Ok(reader
                    .messages(caller.account, conversation, *around, *size)?
                    .map(Sight::Messages)),
                Ask::Conversations => Ok(reader
                    .conversations(caller.account, 200, "")?
                    .map(|page| Sight::Conversations(page.items))),
                Ask::Rooms => Ok(reader
                    .rooms(caller.account, &all, 200, "")?
                    .map(|page| Sight::Rooms(page.items))),
                Ask::Members(room) => Ok(reader
                    .members(caller.account, room, 200, "")?
                    .map(|page| Sight::Members(page.items))),
                _ => Ok(reader.accounts(&all, 200, "")?.map(|page| Sight::Accounts(page.items))),
            })
            .await?;
        let answer = Definite::Read { at, viewer: caller.account, seen };
        Ok(Reply::Definite { answer, token: None })
    }

    async fn create(&self, id: RequestId, username: &str, password: &str) -> Result<Reply, Stop> {
        let username = Username::parse_new(username).expect("a good name");
        for _ in 0..2 {
            let (at, known) = self.read(|reader| reader.credentials(&username)).await?;
            let existed = !known.is_empty();
            let taken = known.iter().any(|known| known.account.username == username);
            let proof = proof_of(&known, password);
            let token = self.token();
            let create = CreateAccount {
                username: username.clone(),
                password_hash: if taken { String::new() } else { hashed(password) },
                account: AccountId(self.id()),
                session: SessionId(self.id()),
                token,
                proof,
            };
            let (executed, hash) = self.execute(id, None, Command::CreateAccount(create)).await?;
            match executed.result {
                Err(Refusal::ProofNeeded) if existed => {
                    return Err(Stop::Refused(Refusal::BadCredentials, at));
                }
                Err(Refusal::ProofNeeded) => {}
                _ => return Ok(definite(executed, hash, Some(token))),
            }
        }
        Err(Stop::Failed(Failure::Lost("the account came and went".into())))
    }

    async fn own_proof(&self, caller: Caller, password: &str) -> Result<Option<Proof>, Stop> {
        let (_, known) = self.read(|reader| reader.credentials_of(caller.account)).await?;
        Ok(known.and_then(|known| proof_of(&[known], password)))
    }

    async fn login(
        &self,
        id: RequestId,
        username: &str,
        password: &str,
        device: String,
    ) -> Result<Reply, Stop> {
        let username = Username::parse(username).expect("a good name");
        let (at, known) = self.read(|reader| reader.credentials(&username)).await?;
        let proof = proof_of(&known, password);
        let proof = proof.ok_or(Stop::Refused(Refusal::BadCredentials, at))?;
        let token = self.token();
        let login = Login {
            username,
            proof,
            session: SessionId(self.id()),
            token,
            device_name: DeviceName::parse(device).expect("a good name"),
        };
        let (executed, hash) = self.execute(id, None, Command::Login(login)).await?;
        Ok(definite(executed, hash, Some(token)))
    }

    pub(crate) async fn caller(&self, token: Option<TokenHash>) -> Result<Caller, Stop> {
        if !self.standing.borrow().serving {
            self.barrier().await?;
        }
        let token = token.ok_or(Stop::Refused(Refusal::NoSession, None))?;
        let owner = match self.sessions.owner(&token) {
            Ok(owner) => owner,
            Err(since) => {
                let mut found = self.store.read_now(|reader| reader.session_by_token(&token))?;
                let mut at = None;
                if found.is_none() {
                    (at, found) = self.read(|reader| reader.session_by_token(&token)).await?;
                }
                let known = found.ok_or(Stop::Refused(Refusal::NoSession, at))?;
                let (account, last_used) = (known.account.id, known.last_used);
                let owner = TokenOwner { account, session: known.session, last_used };
                if !known.ended {
                    self.sessions.remember(since, token, owner);
                }
                owner
            }
        };
        Ok(Caller { account: owner.account, session: owner.session, token })
    }

    async fn election_over(&self) {
        let over = async {
            loop {
                let now = *self.standing.borrow();
                if now.serving || now.leader.is_some() || now.stopping {
                    return;
                }
                let (told, changed) = channel();
                self.watchers.borrow_mut().push(told);
                let _ = changed.recv().await;
            }
        };
        let _ = self.clock.within(ELECTION, over).await;
    }

    async fn ask<T>(&self, answer: Receiver<Result<T, Refused>>) -> Result<T, Stop> {
        Ok(answer.recv().await.unwrap_or(Err(Refused::OutcomeUnknown))?)
    }

    async fn execute(
        &self,
        id: RequestId,
        session: Option<SessionId>,
        command: Command,
    ) -> Result<(Executed, Hash), Stop> {
        let request = command.fingerprint().map(|fingerprint| RequestKey { id, fingerprint });
        let update = Update { time: self.time(), request, session, command };
        let payload = wire::update::encode(&update);
        self.election_over().await;
        let (reply, answer) = channel();
        self.requests.borrow_mut().push_back(Request::Execute { payload, reply });
        self.ask(answer).await
    }

    async fn barrier(&self) -> Result<(), Stop> {
        self.election_over().await;
        let (reply, answer) = channel();
        self.requests.borrow_mut().push_back(Request::Read { reply });
        self.ask(answer).await
    }

    pub(crate) async fn read<T>(
        &self,
        query: impl FnOnce(&mut Reader) -> Result<T, StoreError>,
    ) -> Result<(Option<Position>, T), Stop> {
        self.barrier().await?;
        Ok(self.store.read_now(|reader| Ok((reader.last_position()?, query(reader)?)))?)
    }

    pub(crate) async fn read_as<T>(
        &self,
        caller: Caller,
        query: impl FnOnce(&mut Reader) -> Result<T, StoreError>,
    ) -> Result<(Position, T), Stop> {
        let (at, seen) = self
            .read(|reader| {
                let session = reader.session_by_token(&caller.token)?;
                let lives = session.is_some_and(|session| !session.ended);
                if lives { query(reader).map(Some) } else { Ok(None) }
            })
            .await?;
        match (at, seen) {
            (Some(at), Some(seen)) => Ok((at, seen)),
            _ => Err(Stop::Refused(Refusal::NoSession, at)),
        }
    }

    fn time(&self) -> Timestamp {
        let since = i64::try_from(self.clock.now.get().as_micros()).expect("a short time");
        Timestamp(1_700_000_000_000_000 + since + self.wall.get())
    }

    fn id(&self) -> [u8; 16] {
        let mut chance = self.chance.borrow_mut();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&chance.number().to_be_bytes());
        id[8..].copy_from_slice(&chance.number().to_be_bytes());
        id
    }

    fn token(&self) -> TokenHash {
        let mut token = [0; 32];
        token[..16].copy_from_slice(&self.id());
        token[16..].copy_from_slice(&self.id());
        TokenHash(token)
    }
}

/// The first of those that a name may mean whose password this is.
fn proof_of(known: &[Credentials], password: &str) -> Option<Proof> {
    let right = known.iter().find(|known| known.password_hash == hashed(password))?;
    Some(Proof { account: right.account.id, password_version: right.password_version })
}

fn hashed(password: &str) -> String {
    format!("hash of {password}")
}

fn definite(executed: Executed, hash: Hash, token: Option<TokenHash>) -> Reply {
    let token = token.filter(|_| executed.result.is_ok());
    let answer = Definite::Executed { seq: executed.seq, hash, result: executed.result };
    Reply::Definite { answer, token }
}

fn stopped(stop: Stop) -> Reply {
    match stop {
        Stop::Failed(failure) => Reply::Failed(failure),
        Stop::Refused(refusal, at) => {
            Reply::Definite { answer: Definite::Refused { at, refusal }, token: None }
        }
    }
}
