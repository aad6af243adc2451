//! Accounts: what an operator sees of them and does to them.
//!
//! A password is hashed here and goes no further; it is the hash that travels to the leader and into the log.

use tonic::Status;

use super::Administration;
use crate::{
    chat::{self, Glob, Password, Username},
    rpc::{
        context::parse,
        errors,
        operations::{Change, ForLeader},
    },
    wire::{
        admin::{AdministeredAccount, ListAccountsRequest, ListAccountsResponse},
        view,
    },
};

impl Administration {
    /// A page of accounts, as this server has them: whatever was acknowledged, where it is in sync.
    pub(super) async fn accounts(
        &self,
        request: ListAccountsRequest,
    ) -> Result<ListAccountsResponse, Status> {
        let pattern = parse("pattern", Glob::parse(&request.pattern))?;
        let page = self.node().peek(move |reader| {
            reader.administered_accounts(&pattern, request.page_size, &request.page_token)
        });
        let page = page.await.map_err(|error| errors::refused(error, &self.context))?;
        let page = page.map_err(errors::refusal)?;
        let account = |found: chat::AdministeredAccount| AdministeredAccount {
            username: found.account.username.to_string(),
            create_time: Some(view::timestamp(found.account.create_time)),
            disabled: found.disabled,
            sessions: found.sessions,
            last_used_time: found.last_used.map(view::timestamp),
        };
        Ok(ListAccountsResponse {
            accounts: page.items.into_iter().map(account).collect(),
            next_page_token: page.next_page_token,
        })
    }

    /// The hash of a new password.
    pub(super) async fn hash(&self, password: String) -> Result<String, Status> {
        let password = parse("password", Password::parse(password))?;
        let hash = self.context.passwords.hash(password).await;
        hash.map_err(|error| errors::password(&error))
    }

    /// Has the leader change an account.
    pub(super) async fn change(&self, username: &str, change: Change) -> Result<(), Status> {
        let username = parse("username", Username::parse(username))?;
        tracing::info!(%username, change = change.name(), "an operator changes an account");
        self.ask_leader(&ForLeader::Administer(username, change)).await.map(drop)
    }
}
