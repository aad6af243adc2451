//! Compares everything that clients saw with what the final log says.
//!
//! The log orders everything, so it is replayed through the reference model: every answer must be the
//! model's at its place, what began after another's acknowledgement must stand after it, every acknowledged
//! call must be there, and every subscriber must have been told of everything once.

use std::collections::BTreeMap;

use chinwag::{
    chat::{AccountId, Command, MessageId, Outcome, Refusal},
    cluster::{Entry, Hash, Seq},
};

use crate::{
    calls::{Ask, Definite, History, Op, Sight},
    feeds,
    model::{Model, Place},
    tables,
};

/// All there is.
pub(crate) struct Evidence<'a> {
    /// The final leader's log.
    pub(crate) chain: &'a [Entry],
    /// The tables, the same on all servers.
    pub(crate) contents: &'a str,
    pub(crate) history: &'a History,
    /// Two histories may have existed, and one of them won.
    pub(crate) split: bool,
    /// A disk was lost.
    pub(crate) lost: bool,
    /// A server may not have brought what it stored alone, but has set it aside.
    pub(crate) kept_aside: bool,
    /// The tables that were set aside.
    pub(crate) aside: Vec<String>,
}

/// What is wrong, if anything.
pub(crate) fn check(evidence: &Evidence<'_>) -> Result<(), String> {
    let mut model = Model::default();
    let mut results: BTreeMap<Seq, Result<Outcome, Refusal>> = BTreeMap::new();
    let looks = looks(evidence);
    for entry in evidence.chain {
        if let Some(result) = model.apply(entry) {
            results.insert(entry.seq, result);
        }
        for op in looks.get(&entry.seq).into_iter().flatten() {
            check_look(&model, op)?;
        }
    }
    for op in &evidence.history.ops {
        check_write(evidence, &model, op, &results)?;
    }
    check_order(evidence, &model)?;
    for feed in &evidence.history.feeds {
        feeds::check(&model, feed, evidence.split, evidence.lost)?;
    }
    tables::check(&model, evidence.contents)
}

fn is_there(evidence: &Evidence<'_>, seq: Seq, hash: Hash) -> bool {
    seq > 0 && evidence.chain.get(seq as usize - 1).is_some_and(|entry| entry.hash == hash)
}

/// Reads by the place that they saw.
fn looks<'a>(evidence: &Evidence<'a>) -> BTreeMap<Seq, Vec<&'a Op>> {
    let mut looks: BTreeMap<Seq, Vec<&Op>> = BTreeMap::new();
    for op in &evidence.history.ops {
        let at = match &op.answer {
            Some(Definite::Read { at, .. }) => Some(*at),
            Some(Definite::Refused { at, .. }) => *at,
            _ => None,
        };
        if let Some(at) = at.filter(|at| is_there(evidence, at.seq, at.hash)) {
            looks.entry(at.seq).or_default().push(op);
        }
    }
    looks
}

/// I9 for what was read: it is what the log says at that place.
fn check_look(model: &Model, op: &Op) -> Result<(), String> {
    match &op.answer {
        Some(Definite::Refused { refusal: Refusal::NoSession, .. }) => {
            let lives = op.token.is_some_and(|token| model.lets_in(&token));
            if lives { Err(format!("a session that lives was refused: {op:?}")) } else { Ok(()) }
        }
        Some(Definite::Refused { refusal, .. }) => {
            let right = matches!(&op.ask, Ask::Login { username, password, .. }
            | Ask::Create { username, password }
            if !model.proves(username, &format!("hash of {password}")));
            let repeats_over = matches!(op.ask, Ask::Create { .. });
            if right || repeats_over {
                return Ok(());
            }
            Err(format!("{refusal:?} without reason: {op:?}"))
        }
        Some(Definite::Read { viewer, seen, .. }) => check_sight(model, op, *viewer, seen),
        _ => Ok(()),
    }
}

fn check_sight(
    model: &Model,
    op: &Op,
    viewer: AccountId,
    seen: &Result<Sight, Refusal>,
) -> Result<(), String> {
    if !op.token.is_some_and(|token| model.lets_in(&token)) {
        return Err(format!("I12: somebody reads without a session: {op:?}"));
    }
    let viewer = model.key_of(viewer).ok_or_else(|| format!("an unknown viewer: {op:?}"))?;
    let right = match &op.ask {
        Ask::Messages { conversation, around, size } => {
            model.page(viewer, conversation, *around, *size as usize).map(Sight::Messages)
        }
        Ask::Conversations => Ok(Sight::Conversations(model.list(viewer))),
        Ask::Rooms => Ok(Sight::Rooms(model.rooms(viewer))),
        Ask::Members(room) => model.members(viewer, room).map(Sight::Members),
        _ => Ok(Sight::Accounts(model.everybody())),
    };
    if right != *seen {
        return Err(format!("I9: a read is not what the log says: {op:?}; right is {right:?}"));
    }
    Ok(())
}

/// What was acknowledged is in the log, and came to what the client was told.
fn check_write(
    evidence: &Evidence<'_>,
    model: &Model,
    op: &Op,
    results: &BTreeMap<Seq, Result<Outcome, Refusal>>,
) -> Result<(), String> {
    let Some(Definite::Executed { seq, hash, result }) = &op.answer else { return Ok(()) };
    if !is_there(evidence, *seq, *hash) {
        let merged = evidence.split && is_merged(model, op);
        if result.is_err() || merged || is_excused(evidence, op) {
            return Ok(());
        }
        return Err(format!("I3: an acknowledged call is lost: {op:?}"));
    }
    match results.get(seq) {
        Some(right) if right == result => Ok(()),
        right => Err(format!("I9: an answer is not what the log says: {op:?}; right is {right:?}")),
    }
}

/// Two histories existed, and what this call did in the one that ended was taken over.
fn is_merged(model: &Model, op: &Op) -> bool {
    let stands = match (&op.ask, &op.answer) {
        (Ask::Do(Command::DeleteMessages(ids)), _) => ids.iter().all(|id| is_gone(model, id)),
        (Ask::Do(Command::EditMessage { message, .. }), _) => model.names.contains_key(message),
        (_, Some(Definite::Executed { result: Ok(Outcome::MessageSent(sent)), .. })) => {
            model.names.contains_key(&sent.id)
        }
        _ => true,
    };
    stands && model.did(op.id)
}

/// For somebody.
fn is_gone(model: &Model, id: &MessageId) -> bool {
    let Some(message) = model.names.get(id).map(|key| &model.messages[key]) else { return false };
    let left = match model.conversations[&message.place].place {
        Place::Direct(low, high) => !model.lives(low) || !model.lives(high),
        Place::Room(_) => false,
    };
    left || message.is_gone() || !message.hidden_from.is_empty()
}

/// The disk that alone held it was lost; or the server that alone held it could not bring it, and its tables are kept
/// aside.
fn is_excused(evidence: &Evidence<'_>, op: &Op) -> bool {
    let id: String = op.id.0.iter().map(|byte| format!("{byte:02X}")).collect();
    let line = format!("request {id}");
    let aside = || evidence.aside.iter().any(|text| text.contains(&line));
    evidence.split && (evidence.lost || evidence.kept_aside && aside())
}

/// I9 in real time: what began after another's acknowledgement stands after it. What a history answered that
/// ended has no place here.
fn check_order(evidence: &Evidence<'_>, model: &Model) -> Result<(), String> {
    enum Moment<'a> {
        Began(&'a Op),
        Ended(&'a Op),
    }
    let mut moments = BTreeMap::new();
    for op in &evidence.history.ops {
        if let Some(ended) = op.ended.filter(|_| is_of_this_history(evidence, op)) {
            moments.insert(op.began, Moment::Began(op));
            moments.insert(ended, Moment::Ended(op));
        }
    }
    let mut known: Seq = 0;
    let mut least = BTreeMap::new();
    for moment in moments.values() {
        match moment {
            Moment::Began(op) => {
                least.insert(op.began, known);
            }
            Moment::Ended(op) => {
                let Some((from, until)) = place(op, model) else { continue };
                let before = least[&op.began];
                if from < before {
                    return Err(format!("I9: entry {before} was acknowledged before it: {op:?}"));
                }
                known = known.max(until);
            }
        }
    }
    Ok(())
}

fn is_of_this_history(evidence: &Evidence<'_>, op: &Op) -> bool {
    match op.answer.as_ref() {
        Some(Definite::Executed { seq, hash, .. }) => is_there(evidence, *seq, *hash),
        Some(Definite::Read { at, .. } | Definite::Refused { at: Some(at), .. }) => {
            is_there(evidence, at.seq, at.hash)
        }
        _ => true,
    }
}

/// Where a call took effect at the earliest, and what is certain since.
fn place(op: &Op, model: &Model) -> Option<(Seq, Seq)> {
    match op.answer.as_ref()? {
        Definite::Executed { seq, .. } => Some((*model.first.get(&op.id)?, *seq)),
        Definite::Read { at, .. } => Some((at.seq, at.seq)),
        Definite::Refused { at, .. } => at.map(|at| (at.seq, at.seq)),
    }
}
