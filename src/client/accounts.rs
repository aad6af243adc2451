//! The calls about accounts and their sessions.

use super::{Client, Error, calls::unary, transport::Kind};
use crate::wire::chat::{
    Account, ChangePasswordRequest, CreateAccountRequest, DeleteAccountRequest, EndSessionRequest,
    GetAccountRequest, ListAccountsRequest, ListAccountsResponse, ListSessionsRequest,
    LoginRequest, LogoutRequest, Session, account_service_client::AccountServiceClient,
    session_service_client::SessionServiceClient,
};

impl Client {
    /// Creates an account and goes on as its user.
    ///
    /// # Errors
    /// Every [`Error`]; refused with `NAME_TAKEN` if the name is in use.
    pub async fn create_account(&self, username: &str, password: &str) -> Result<Account, Error> {
        let id = Client::new_request_id();
        let body = CreateAccountRequest {
            request_id: id.clone(),
            username: username.into(),
            password: password.into(),
        };
        let answer =
            unary!(self, AccountServiceClient.create_account, Kind::Password, Some(&id), body)?;
        self.set_session_token(Some(answer.session_token));
        Ok(answer.account.unwrap_or_default())
    }

    /// Proves a password and goes on as its user.
    ///
    /// # Errors
    /// Every [`Error`]; refused with `BAD_CREDENTIALS` if name or password is wrong.
    pub async fn login(
        &self,
        username: &str,
        password: &str,
        device_name: &str,
    ) -> Result<Account, Error> {
        let id = Client::new_request_id();
        let body = LoginRequest {
            request_id: id.clone(),
            username: username.into(),
            password: password.into(),
            device_name: device_name.into(),
        };
        let answer = unary!(self, SessionServiceClient.login, Kind::Password, Some(&id), body)?;
        self.set_session_token(Some(answer.session_token));
        Ok(answer.account.unwrap_or_default())
    }

    /// Ends the session and forgets it.
    ///
    /// # Errors
    /// Every [`Error`]; the session is kept if the outcome is unknown.
    pub async fn logout(&self) -> Result<(), Error> {
        let id = Client::new_request_id();
        let body = LogoutRequest { request_id: id.clone() };
        unary!(self, SessionServiceClient.logout, Kind::Session, Some(&id), body)?;
        self.set_session_token(None);
        Ok(())
    }

    /// The account of the session.
    ///
    /// # Errors
    /// Every [`Error`] but the unknown outcome.
    pub async fn get_account(&self) -> Result<Account, Error> {
        let body = GetAccountRequest {};
        let answer = unary!(self, AccountServiceClient.get_account, Kind::Session, None, body)?;
        Ok(answer.account.unwrap_or_default())
    }

    /// A page of the accounts whose name matches a glob; an empty token asks for the first page.
    ///
    /// # Errors
    /// Every [`Error`] but the unknown outcome.
    pub async fn list_accounts(
        &self,
        pattern: &str,
        page_token: &str,
    ) -> Result<ListAccountsResponse, Error> {
        let body = ListAccountsRequest {
            pattern: pattern.into(),
            page_size: 200,
            page_token: page_token.into(),
        };
        unary!(self, AccountServiceClient.list_accounts, Kind::Session, None, body)
    }

    /// Changes the user's password; every other session of the account ends.
    ///
    /// # Errors
    /// Every [`Error`]; refused with `BAD_CREDENTIALS` if the old password is wrong.
    pub async fn change_password(&self, old: &str, new: &str) -> Result<(), Error> {
        let id = Client::new_request_id();
        let body = ChangePasswordRequest {
            request_id: id.clone(),
            old_password: old.into(),
            new_password: new.into(),
        };
        let id = Some(id.as_str());
        unary!(self, AccountServiceClient.change_password, Kind::SessionPassword, id, body)?;
        Ok(())
    }

    /// Ends the user's account with its sessions and its inbox, and forgets the session.
    ///
    /// # Errors
    /// Every [`Error`]; the session is kept if the outcome is unknown.
    pub async fn delete_account(&self, password: &str) -> Result<(), Error> {
        let id = Client::new_request_id();
        let body = DeleteAccountRequest { request_id: id.clone(), password: password.into() };
        let id = Some(id.as_str());
        unary!(self, AccountServiceClient.delete_account, Kind::SessionPassword, id, body)?;
        self.set_session_token(None);
        Ok(())
    }

    /// The live sessions of the user's account, oldest first.
    ///
    /// # Errors
    /// Every [`Error`] but the unknown outcome.
    pub async fn all_sessions(&self) -> Result<Vec<Session>, Error> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let body = ListSessionsRequest { page_size: 200, page_token };
            let page = unary!(self, SessionServiceClient.list_sessions, Kind::Session, None, body)?;
            all.extend(page.sessions);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    /// Ends one of the account's sessions.
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn end_session(&self, session_id: &str) -> Result<(), Error> {
        let id = Client::new_request_id();
        let body = EndSessionRequest { request_id: id.clone(), session_id: session_id.into() };
        let id = Some(id.as_str());
        unary!(self, SessionServiceClient.end_session, Kind::Session, id, body)?;
        Ok(())
    }
}
