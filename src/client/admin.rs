//! An operator's connection to one server of this machine, over the socket in its data folder.
//!
//! No rotation and no retries: the server itself finds the leader. Everything that can be asked here may be
//! asked again without harm.

use std::{path::Path, time::Duration};

use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};

use super::{error::Error, failure::Failure};
pub use crate::wire::admin::HandOverResponse as HandedOver;
use crate::wire::admin::{self as proto, admin_service_client::AdminServiceClient};

/// A socket answers at once, or nobody listens.
const CONNECT: Duration = Duration::from_secs(2);

/// Accounts of a page.
const PAGE: i32 = 200;

/// See the file's header.
#[derive(Clone, Debug)]
pub struct Admin {
    service: AdminServiceClient<Channel>,
    socket: String,
}

impl Admin {
    /// Connects to this socket.
    ///
    /// # Errors
    /// [`Error::NoServer`] if nobody listens there.
    pub async fn connect(socket: &Path) -> Result<Admin, Error> {
        let socket = socket.display().to_string();
        let unusable = |detail: String| Error::NoServer { detail: format!("{socket}: {detail}") };
        let endpoint = Endpoint::from_shared(format!("unix://{socket}"));
        let endpoint = endpoint.map_err(|error| unusable(error.to_string()))?;
        let channel = endpoint.connect_timeout(CONNECT).connect().await;
        let channel = channel.map_err(|_| unusable("nobody listens there".into()))?;
        Ok(Admin { service: AdminServiceClient::new(channel), socket })
    }

    /// A copy of everything that was acknowledged before this call, part by part; the first says what
    /// it is.
    ///
    /// # Errors
    /// There is none; nothing happened.
    pub async fn backup(&self) -> Result<Parts, Error> {
        let answer = self.service.clone().backup(proto::BackupRequest {}).await;
        let parts = answer.map_err(|status| self.error(&status))?.into_inner();
        Ok(Parts { parts, admin: self.clone() })
    }

    /// Has the tables of all servers in sync compared; takes as long as reading them does.
    ///
    /// # Errors
    /// They could not be compared. That they differ is none.
    pub async fn verify(&self) -> Result<proto::VerifyResponse, Error> {
        let answer = self.service.clone().verify(proto::VerifyRequest {}).await;
        answer.map(tonic::Response::into_inner).map_err(|status| self.error(&status))
    }

    /// Lets this server lead, and waits until it does.
    ///
    /// # Errors
    /// It cannot lead, or somebody else came to lead.
    pub async fn hand_over(&self, successor: u32) -> Result<HandedOver, Error> {
        let answer = self.service.clone().hand_over(proto::HandOverRequest { successor }).await;
        answer.map(tonic::Response::into_inner).map_err(|status| self.error(&status))
    }

    /// All accounts whose name matches, as an operator sees them.
    ///
    /// # Errors
    /// The pattern is none, or the server does not answer.
    pub async fn accounts(&self, pattern: &str) -> Result<Vec<proto::AdministeredAccount>, Error> {
        let (mut accounts, mut page_token) = (Vec::new(), String::new());
        loop {
            let pattern = pattern.to_owned();
            let request = proto::ListAccountsRequest { pattern, page_size: PAGE, page_token };
            let answer = self.service.clone().list_accounts(request).await;
            let page = answer.map_err(|status| self.error(&status))?.into_inner();
            accounts.extend(page.accounts);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(accounts);
            }
        }
    }

    /// Gives an account another password; its sessions end.
    ///
    /// # Errors
    /// It was refused, or its outcome is unknown: asking again does no harm.
    pub async fn reset_password(&self, username: &str, password: &str) -> Result<(), Error> {
        let (username, password) = (username.to_owned(), password.to_owned());
        let request = proto::ResetPasswordRequest { username, password };
        let answer = self.service.clone().reset_password(request).await;
        answer.map(drop).map_err(|status| self.error(&status))
    }

    /// Lets nobody log in to an account; its sessions end.
    ///
    /// # Errors
    /// As of [`Admin::reset_password`].
    pub async fn disable(&self, username: &str) -> Result<(), Error> {
        let request = proto::DisableAccountRequest { username: username.to_owned() };
        let answer = self.service.clone().disable_account(request).await;
        answer.map(drop).map_err(|status| self.error(&status))
    }

    /// Lets the user of a disabled account log in again.
    ///
    /// # Errors
    /// As of [`Admin::reset_password`].
    pub async fn enable(&self, username: &str) -> Result<(), Error> {
        let request = proto::EnableAccountRequest { username: username.to_owned() };
        let answer = self.service.clone().enable_account(request).await;
        answer.map(drop).map_err(|status| self.error(&status))
    }

    /// Logs an account's devices out.
    ///
    /// # Errors
    /// As of [`Admin::reset_password`].
    pub async fn end_sessions(&self, username: &str) -> Result<(), Error> {
        let request = proto::EndSessionsRequest { username: username.to_owned() };
        let answer = self.service.clone().end_sessions(request).await;
        answer.map(drop).map_err(|status| self.error(&status))
    }

    fn error(&self, status: &Status) -> Error {
        match Failure::read(status) {
            Failure::Refused(refusal) | Failure::Busy(refusal, _) => Error::Refused(refusal),
            Failure::NotLeader(_) => Error::NoLeader { detail: status.message().into() },
            Failure::NotNow(detail) => Error::NoLeader { detail },
            Failure::DiskFull(_) => Error::DiskFull { address: self.socket.clone() },
            Failure::SearchNotReady(detail) => Error::SearchNotReady { detail },
            Failure::NoSession(detail) => Error::NotLoggedIn { detail },
            // The socket speaks without TLS.
            Failure::Unreachable(detail)
            | Failure::NoAnswerToConnect(detail)
            | Failure::Distrusted(detail) => Error::NoServer { detail },
            // Nothing that is asked here does harm twice.
            Failure::Silent | Failure::Lost(_) => {
                let detail = format!("no answer from {}: {}", self.socket, status.message());
                Error::NoServer { detail }
            }
        }
    }
}

/// The parts of a backup.
#[derive(Debug)]
pub struct Parts {
    parts: Streaming<proto::BackupResponse>,
    admin: Admin,
}

impl Parts {
    /// The next one; `None` after the last.
    ///
    /// # Errors
    /// The server ended, or could not read its database: what came before is not whole.
    pub async fn next(&mut self) -> Result<Option<proto::backup_response::Part>, Error> {
        let part = self.parts.message().await.map_err(|status| self.admin.error(&status))?;
        Ok(part.and_then(|part| part.part))
    }
}
