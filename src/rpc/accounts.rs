//! `AccountService`.

use tonic::{Request, Response, Status};

use super::{
    context::{self, Context, Proved, parse},
    errors,
};
use crate::{
    chat::{
        AccountId, Command, CreateAccount, Glob, Outcome, Password, Proof, Refusal, SessionId,
        Username,
    },
    wire::chat::{self as proto, account_service_server::AccountService},
};

pub(super) struct Accounts {
    pub(super) context: Context,
}

impl Accounts {
    /// What the password proves of the accounts that exist under this name, and the hash of a new
    /// account's password where none has it.
    async fn prove(
        &self,
        username: &Username,
        password: &Password,
    ) -> Result<(Option<Proof>, String, bool), Status> {
        let context = &self.context;
        let Proved { proof, is_taken, .. } = context.prove(username, password).await?;
        if is_taken {
            return Ok((proof, String::new(), true));
        }
        let hash = context.passwords.hash(password.clone()).await;
        Ok((proof, hash.map_err(|error| errors::internal(&error.to_string()))?, false))
    }
}

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn create_account(
        &self,
        request: Request<proto::CreateAccountRequest>,
    ) -> Result<Response<proto::CreateAccountResponse>, Status> {
        let request = request.into_inner();
        let username = parse("username", Username::parse_new(&request.username))?;
        let password = parse("password", Password::parse(request.password))?;
        let id = context::request_id_of(&request.request_id)?;
        // The second round meets the account that somebody, perhaps this very caller, has just made.
        for _ in 0..2 {
            let (proof, password_hash, existed) = self.prove(&username, &password).await?;
            let (session_token, token) = context::draw_token()?;
            let command = Command::CreateAccount(CreateAccount {
                username: username.clone(),
                password_hash,
                account: AccountId(context::draw_id()),
                session: SessionId(context::draw_id()),
                token,
                proof,
            });
            match self.context.execute_as(id, None, command).await? {
                Ok(Outcome::AccountCreated { account, .. }) => {
                    let account = Some(account.into());
                    return Ok(Response::new(proto::CreateAccountResponse {
                        account,
                        session_token,
                    }));
                }
                Err(Refusal::ProofNeeded) if existed => {
                    return Err(errors::refusal(Refusal::BadCredentials));
                }
                Err(Refusal::ProofNeeded) => {}
                Err(refusal) => return Err(errors::refusal(refusal)),
                Ok(_) => return Err(errors::internal("another call's outcome")),
            }
        }
        Err(errors::refusal(Refusal::NameTaken))
    }

    async fn get_account(
        &self,
        request: Request<proto::GetAccountRequest>,
    ) -> Result<Response<proto::GetAccountResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let read = self.context.read_as(caller, move |reader| {
            Ok(reader.account(caller.account)?.ok_or(Refusal::NoSession))
        });
        let account = Some(read.await?.into());
        Ok(Response::new(proto::GetAccountResponse { account }))
    }

    async fn list_accounts(
        &self,
        request: Request<proto::ListAccountsRequest>,
    ) -> Result<Response<proto::ListAccountsResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let pattern = parse("pattern", Glob::parse(&request.pattern))?;
        let read = self.context.read_as(caller, move |reader| {
            reader.accounts(&pattern, request.page_size, &request.page_token)
        });
        let page = read.await?;
        Ok(Response::new(proto::ListAccountsResponse {
            accounts: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn change_password(
        &self,
        _: Request<proto::ChangePasswordRequest>,
    ) -> Result<Response<proto::ChangePasswordResponse>, Status> {
        Err(errors::not_yet("ChangePassword"))
    }

    async fn delete_account(
        &self,
        _: Request<proto::DeleteAccountRequest>,
    ) -> Result<Response<proto::DeleteAccountResponse>, Status> {
        Err(errors::not_yet("DeleteAccount"))
    }
}
