//! Taking over what the other side of a partition did.
//!
//! A step is never refused, and writes only what this history lacks: an entity is found by its id, or
//! by the request that made it, so every step may come again, from the beginning, from two servers that
//! lost the same history, and between other updates. Nobody's permission is asked: what comes here was
//! allowed when it was acknowledged. What is deleted, ended or received on one side is so on both.
//!
//! The search index takes no part: it follows the rows. A message that a merge adds or moves stands at a new
//! position, where the index finds it; one whose body it edits or deletes is noted by a trigger and read
//! again. Ids that became aliases lead to the same rows, and a search by a name that a merge took from an
//! account finds what that account wrote, beside what its present holder did.
//!
//! While a step is carried out the clock is the one of the update that it stands for.

mod accounts;
mod administered;
mod marks;
mod messages;
mod outcomes;
mod passwords;
mod rooms;

use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, RunQueryDsl as _, replace_into,
};

use super::{Context, Stop};
use crate::{
    chat::{LostEpoch, Merge, MergeStep, MergedOutcome, MergedRequest, Outcome},
    store::{error::StoreError, schema::divergence},
};

/// Takes over what is new in the step.
pub(super) fn merge(context: &mut Context<'_>, merge: &Merge) -> Result<Outcome, Stop> {
    let request = merge.request.as_ref();
    let mut marker = None;
    match &merge.step {
        MergeStep::Diverged { common, epochs } => {
            for epoch in epochs {
                note_divergence(context, *epoch, *common as i64)?;
            }
        }
        MergeStep::Account(account) => accounts::merge(context, account, request)?,
        MergeStep::Session(session) => accounts::merge_session(context, session)?,
        MergeStep::Message(message) => messages::merge(context, message, request)?,
        MergeStep::Deleted { account, messages } => marks::deleted(context, *account, messages)?,
        MergeStep::Received { account, messages } => marks::received(context, *account, messages)?,
        MergeStep::Read(read) => marker = marks::read(context, read)?,
        MergeStep::Room(room) => rooms::merge(context, room, request)?,
        MergeStep::Edited(edit) => rooms::merge_edit(context, edit)?,
        MergeStep::Password(password) => passwords::merge(context, password)?,
        MergeStep::AccountDeleted(account) => accounts::delete(context, *account)?,
        MergeStep::Disabled { account, changes } => {
            administered::disabled(context, *account, *changes)?;
        }
        MergeStep::SessionsEnded { account, known } => {
            administered::sessions_ended(context, *account, *known)?;
        }
        MergeStep::Request => {}
    }
    if let Some(request) = request {
        outcomes::keep(context, &told_here(request, marker))?;
    }
    Ok(Outcome::Merged)
}

/// The other side's seqs mean other messages here: the repeat of a call that moved a marker is told
/// where the marker stands here.
fn told_here(request: &MergedRequest, marker: Option<i64>) -> MergedRequest {
    let outcome = match (request.outcome, marker) {
        (MergedOutcome::ReadSeq(_), Some(seq)) => MergedOutcome::ReadSeq(seq),
        (outcome, _) => outcome,
    };
    MergedRequest { outcome, ..request.clone() }
}

/// Notes what is lost of an epoch. When its history lost more than once, the earliest point counts.
fn note_divergence(context: &mut Context<'_>, epoch: LostEpoch, common: i64) -> Result<(), Stop> {
    let (number, server) = (epoch.number as i64, i64::from(epoch.server));
    let known: Option<i64> = divergence::table
        .find((number, server))
        .select(divergence::common_seq)
        .first(context.connection)
        .optional()
        .map_err(StoreError::database("look for a divergence"))?;
    if known.is_some_and(|known| known <= common) {
        return Ok(());
    }
    replace_into(divergence::table)
        .values((
            divergence::epoch_number.eq(number),
            divergence::epoch_server.eq(server),
            divergence::common_seq.eq(common),
            divergence::position.eq(context.position),
        ))
        .execute(context.connection)
        .map_err(StoreError::database("note a divergence"))?;
    context.record("divergence", &[number.into(), server.into(), common.into()]);
    Ok(())
}
