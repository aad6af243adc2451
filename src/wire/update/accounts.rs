//! The logged form of the commands that change or end accounts and sessions.

use super::{UnreadableUpdate, id, wire};
use crate::chat::{AccountId, ChangePassword, Command, Proof, ResetPassword};
use wire::update::Command as Wire;

pub(super) fn encode(command: &Command) -> Wire {
    match command {
        Command::EndSession(session) => {
            Wire::EndSession(wire::EndSession { session_id: session.0.to_vec() })
        }
        Command::ChangePassword(change) => Wire::ChangePassword(wire::ChangePassword {
            proved_account_id: proved_id(change.proof),
            password_version: change.proof.map_or(0, |proof| proof.password_version),
            password_hash: change.password_hash.clone(),
        }),
        Command::DeleteAccount(proof) => Wire::DeleteAccount(wire::DeleteAccount {
            proved_account_id: proved_id(*proof),
            password_version: proof.map_or(0, |proof| proof.password_version),
        }),
        Command::ResetPassword(reset) => Wire::ResetPassword(wire::ResetPassword {
            account_id: reset.account.0.to_vec(),
            password_hash: reset.password_hash.clone(),
        }),
        Command::SetDisabled { account, disabled } => Wire::SetDisabled(wire::SetDisabled {
            account_id: account.0.to_vec(),
            disabled: *disabled,
        }),
        Command::EndSessions(account) => {
            Wire::EndSessions(wire::EndSessions { account_id: account.0.to_vec() })
        }
        other => unreachable!("{other:?} is encoded elsewhere"),
    }
}

pub(super) fn decode_change(change: wire::ChangePassword) -> Result<Command, UnreadableUpdate> {
    Ok(Command::ChangePassword(ChangePassword {
        proof: proof(&change.proved_account_id, change.password_version)?,
        password_hash: change.password_hash,
    }))
}

pub(super) fn decode_delete(delete: &wire::DeleteAccount) -> Result<Command, UnreadableUpdate> {
    proof(&delete.proved_account_id, delete.password_version).map(Command::DeleteAccount)
}

pub(super) fn decode_reset(reset: wire::ResetPassword) -> Result<Command, UnreadableUpdate> {
    let account = id(&reset.account_id, AccountId::from_slice, "account id")?;
    Ok(Command::ResetPassword(ResetPassword { account, password_hash: reset.password_hash }))
}

pub(super) fn decode_set_disabled(set: &wire::SetDisabled) -> Result<Command, UnreadableUpdate> {
    let account = id(&set.account_id, AccountId::from_slice, "account id")?;
    Ok(Command::SetDisabled { account, disabled: set.disabled })
}

pub(super) fn decode_end_sessions(end: &wire::EndSessions) -> Result<Command, UnreadableUpdate> {
    id(&end.account_id, AccountId::from_slice, "account id").map(Command::EndSessions)
}

/// Empty when nothing was proved.
pub(super) fn proved_id(proof: Option<Proof>) -> Vec<u8> {
    proof.map(|proof| proof.account.0.to_vec()).unwrap_or_default()
}

pub(super) fn proof(
    account: &[u8],
    password_version: i64,
) -> Result<Option<Proof>, UnreadableUpdate> {
    if account.is_empty() {
        return Ok(None);
    }
    let account = id(account, AccountId::from_slice, "account id")?;
    Ok(Some(Proof { account, password_version }))
}
