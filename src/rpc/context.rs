//! What every service shares: the node, who the servers are, how passwords are checked, who calls.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tonic::{Request, Status, metadata::MetadataMap};

use super::{
    allowances::{Allowances, was_none, was_right},
    errors,
    passwords::Passwords,
    uses::{self, Uses},
};
use crate::{
    chat::{
        AccountId, Command, MAX_IDS, Malformed, MessageId, Outcome, Password, Proof, Refusal,
        RequestId, RequestKey, SessionId, Timestamp, TokenHash, Update, Username,
    },
    cluster::ServerId,
    limits::Origin,
    node::{Moment, NodeHandle, Refused, TokenOwner, Underway},
    store::{Credentials, Reader, StoreError},
    wire,
};

/// Shared by all services; cheap to clone.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) node: NodeHandle,
    /// Where clients reach each server.
    pub(super) addresses: Arc<BTreeMap<ServerId, String>>,
    pub(super) passwords: Passwords,
    pub(super) allowances: Arc<Allowances>,
    pub(super) uses: Uses,
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) account: AccountId,
    pub(super) session: SessionId,
    pub(super) token: TokenHash,
}

impl Context {
    /// Whose token this is; it may belong to a session that ended, which apply and every read check.
    ///
    /// A token that this server does not know is looked up again behind a barrier, for a leader that was
    /// deposed without knowing it must not call a session unknown.
    pub(super) async fn caller(&self, metadata: &MetadataMap) -> Result<Caller, Status> {
        let standing = self.node.standing();
        if !standing.serving {
            self.barrier().await?;
        }
        let token = bearer(metadata).ok_or_else(|| errors::refusal(Refusal::NoSession))?;
        let owner = match self.node.token_owner(&token) {
            Ok(owner) => {
                self.note_use(token, owner);
                owner
            }
            Err(since) => self.look_up(token, since).await?,
        };
        Ok(Caller { account: owner.account, session: owner.session, token })
    }

    async fn look_up(&self, token: TokenHash, since: Moment) -> Result<TokenOwner, Status> {
        let known = self.node.peek(move |reader| reader.session_by_token(&token)).await;
        let mut found = known.map_err(|error| errors::refused(error, self))?;
        if found.is_none() {
            found = self.read(move |reader| reader.session_by_token(&token)).await?;
        }
        let session = found.ok_or_else(|| errors::refusal(Refusal::NoSession))?;
        let (account, last_used) = (session.account.id, session.last_used);
        let owner = TokenOwner { account, session: session.session, last_used };
        if !session.ended {
            self.node.remember_token(since, token, owner);
            self.note_use(token, owner);
        }
        Ok(owner)
    }

    /// A caller's stream is open, which is a use of its session.
    pub(super) fn is_in_use(&self, caller: Caller) {
        if let Ok(owner) = self.node.token_owner(&caller.token) {
            self.note_use(caller.token, owner);
        }
    }

    /// Has the use of a live session written down, once an hour.
    fn note_use(&self, token: TokenHash, owner: TokenOwner) {
        let now = now();
        if uses::is_due(owner.last_used, now) && self.uses.offer(token) {
            self.node.note_use(&token, now);
        }
    }

    /// Waits until this server may answer reads.
    pub(super) async fn barrier(&self) -> Result<(), Status> {
        self.node.barrier().await.map_err(|error| errors::refused(error, self))
    }

    /// A linearizable read.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Status> {
        self.node.read(query).await.map_err(|error| errors::refused(error, self))
    }

    /// A linearizable read as this caller, whose session is checked in the same snapshot.
    pub(super) async fn read_as<T: Send + 'static>(
        &self,
        caller: Caller,
        query: impl FnOnce(&mut Reader) -> Result<Result<T, Refusal>, StoreError> + Send + 'static,
    ) -> Result<T, Status> {
        let checked = self.read(move |reader| {
            let session = reader.session_by_token(&caller.token)?;
            if session.is_none_or(|session| session.ended) {
                return Ok(Err(Refusal::NoSession));
            }
            query(reader)
        });
        checked.await?.map_err(errors::refusal)
    }

    /// The accounts that a name means: more than one where a merge took it from an account.
    pub(super) async fn meant(&self, username: &Username) -> Result<Vec<Credentials>, Status> {
        let name = username.clone();
        self.read(move |reader| reader.credentials(&name)).await
    }

    /// Whose password this is among the accounts that the name means. Where there is none, it takes the same
    /// time, and counts as a guess all the same.
    pub(super) async fn prove(
        &self,
        username: &Username,
        password: &Password,
        meant: Vec<Credentials>,
        origin: Origin,
    ) -> Result<Option<Proof>, Status> {
        let accounts = meant.iter().map(|known| known.account.id);
        let guess = self.allowances.guess(username, accounts, origin).await?;
        let (proofs, hashes): (Vec<_>, Vec<_>) = meant
            .into_iter()
            .map(|Credentials { account, password_version, password_hash }| {
                (Proof { account: account.id, password_version }, password_hash)
            })
            .unzip();
        let right = self.passwords.verify(password.clone(), hashes).await;
        let right = match right {
            Ok(right) => right,
            Err(error) => {
                was_none(guess);
                return Err(errors::password(&error));
            }
        };
        let proof = proofs.into_iter().zip(right).find(|(_, right)| *right).map(|(proof, _)| proof);
        if let Some(proof) = proof {
            was_right(guess);
            self.allowances.is_at_home(proof.account, origin);
        }
        Ok(proof)
    }

    /// Brings a command into the log; `session` is absent for calls that begin one.
    pub(super) async fn execute(
        &self,
        request_id: &str,
        session: Option<SessionId>,
        command: Command,
    ) -> Result<Outcome, Status> {
        self.outcome(&mut self.begin(request_id, session, command).await?).await
    }

    /// The same for a parsed request id, with refusals as values.
    pub(super) async fn execute_as(
        &self,
        id: RequestId,
        session: Option<SessionId>,
        command: Command,
    ) -> Result<Result<Outcome, Refusal>, Status> {
        let executed = self.node.execute(encoded(id, session, command)).await;
        Ok(executed.map_err(|error: Refused| errors::refused(error, self))?.result)
    }

    /// Sends a command on its way into the log.
    pub(super) async fn begin(
        &self,
        request_id: &str,
        session: Option<SessionId>,
        command: Command,
    ) -> Result<Underway, Status> {
        let id = request_id_of(request_id)?;
        let begun = self.node.begin(encoded(id, session, command)).await;
        begun.map_err(|error| errors::refused(error, self))
    }

    /// What became of a command on its way.
    pub(super) async fn outcome(&self, underway: &mut Underway) -> Result<Outcome, Status> {
        let executed = underway.outcome().await.map_err(|error| errors::refused(error, self))?;
        executed.result.map_err(errors::refusal)
    }
}

/// Where a call comes from.
pub(super) fn origin_of<T>(request: &Request<T>) -> Origin {
    request.extensions().get().copied().unwrap_or(Origin::UNKNOWN)
}

/// The update that a call makes, with the time of now.
fn encoded(id: RequestId, session: Option<SessionId>, command: Command) -> Bytes {
    let request = command.fingerprint().map(|fingerprint| RequestKey { id, fingerprint });
    wire::update::encode(&Update { time: now(), request, session, command })
}

/// The caller's request id; an empty one is drawn, and a retry is then the caller's risk.
pub(super) fn request_id_of(text: &str) -> Result<RequestId, Status> {
    if text.is_empty() {
        return Ok(RequestId(*uuid::Uuid::now_v7().as_bytes()));
    }
    parse("request_id", RequestId::parse(text))
}

/// The ids of a call that names several.
pub(super) fn message_ids(texts: &[String]) -> Result<Vec<MessageId>, Status> {
    if texts.is_empty() || texts.len() > MAX_IDS {
        return Err(errors::field_violation("message_ids", format!("1 to {MAX_IDS} ids a call")));
    }
    texts.iter().map(|text| parse("message_ids", MessageId::parse(text))).collect()
}

/// A field that is parsed, or the error that names it.
pub(super) fn parse<T>(field: &'static str, parsed: Result<T, Malformed>) -> Result<T, Status> {
    parsed.map_err(|malformed| errors::bad_field(field, malformed))
}

/// The time that an update carries.
pub(super) fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_microsecond())
}

/// 256 random bits and their hash: a session's token.
pub(super) fn draw_token() -> Result<(String, TokenHash), Status> {
    let mut token = [0_u8; 32];
    getrandom::fill(&mut token).map_err(|error| errors::internal(&error.to_string()))?;
    let text: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
    let hash = token_hash(&text);
    Ok((text, hash))
}

/// A new 128-bit id.
pub(super) fn draw_id() -> [u8; 16] {
    *uuid::Uuid::new_v4().as_bytes()
}

fn token_hash(token: &str) -> TokenHash {
    TokenHash(Sha256::digest(token.as_bytes()).into())
}

fn bearer(metadata: &MetadataMap) -> Option<TokenHash> {
    token_in(metadata.get("authorization")?.to_str().ok()?)
}

/// The token in what a call says by "authorization".
pub(super) fn token_in(value: &str) -> Option<TokenHash> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token_hash(token.trim()))
}
