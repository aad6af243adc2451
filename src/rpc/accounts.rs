//! `AccountService`.

use tonic::{Request, Response, Status};

use super::{
    allowances::{was_none, was_right},
    context::{self, Caller, Context, parse},
    errors,
};
use crate::{
    chat::{
        AccountId, ChangePassword, Command, CreateAccount, Glob, Outcome, Password, Proof, Refusal,
        SessionId, Username,
    },
    limits::Origin,
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
        origin: Origin,
    ) -> Result<(Option<Proof>, String, bool), Status> {
        let context = &self.context;
        let meant = context.meant(username).await?;
        let is_taken = meant.iter().any(|known| known.account.username == *username);
        let proof = match meant.is_empty() {
            false => context.prove(username, password, meant, origin).await?,
            true => None,
        };
        if is_taken {
            return Ok((proof, String::new(), true));
        }
        context.allowances.new_account(origin).await?;
        let hash = context.passwords.hash(password.clone()).await;
        Ok((proof, hash.map_err(|error| errors::password(&error))?, false))
    }

    /// What the password proves of the caller's own account; takes the same time where that is gone.
    async fn prove_own(
        &self,
        caller: Caller,
        password: String,
        origin: Origin,
    ) -> Result<Option<Proof>, Status> {
        // What no account can have is wrong.
        let Ok(password) = Password::parse(password) else { return Ok(None) };
        let read = self.context.read(move |reader| reader.credentials_of(caller.account)).await?;
        let guess = self.context.allowances.guess_own(caller.account, origin).await?;
        let hashed = read.iter().map(|known| known.password_hash.clone()).collect();
        let right = match self.context.passwords.verify(password, hashed).await {
            Ok(right) => right,
            Err(error) => {
                was_none(guess);
                return Err(errors::password(&error));
            }
        };
        let known = read.filter(|_| right == [true]);
        if known.is_some() {
            was_right(guess);
        }
        Ok(known.map(|known| Proof {
            account: known.account.id,
            password_version: known.password_version,
        }))
    }
}

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn create_account(
        &self,
        request: Request<proto::CreateAccountRequest>,
    ) -> Result<Response<proto::CreateAccountResponse>, Status> {
        let (origin, request) = (context::origin_of(&request), request.into_inner());
        let username = parse("username", Username::parse_new(&request.username))?;
        let password = parse("password", Password::parse(request.password))?;
        let id = context::request_id_of(&request.request_id)?;
        // The second round meets the account that somebody, perhaps this very caller, has just made.
        for _ in 0..2 {
            let (proof, password_hash, existed) = self.prove(&username, &password, origin).await?;
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
                    self.context.allowances.is_at_home(account.id, origin);
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

    // A call whose password proves nothing goes on even so: it may repeat one that changed the password or
    // ended the account, and only the log knows.

    async fn change_password(
        &self,
        request: Request<proto::ChangePasswordRequest>,
    ) -> Result<Response<proto::ChangePasswordResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let (origin, request) = (context::origin_of(&request), request.into_inner());
        let new = parse("new_password", Password::parse(request.new_password))?;
        let proof = self.prove_own(caller, request.old_password, origin).await?;
        let password_hash = match proof {
            Some(_) => {
                let hash = self.context.passwords.hash(new).await;
                hash.map_err(|error| errors::password(&error))?
            }
            None => String::new(),
        };
        let command = Command::ChangePassword(ChangePassword { proof, password_hash });
        let session = Some(caller.session);
        match self.context.execute(&request.request_id, session, command).await? {
            Outcome::PasswordChanged => Ok(Response::new(proto::ChangePasswordResponse {})),
            _ => Err(errors::internal("another call's outcome")),
        }
    }

    async fn delete_account(
        &self,
        request: Request<proto::DeleteAccountRequest>,
    ) -> Result<Response<proto::DeleteAccountResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let (origin, request) = (context::origin_of(&request), request.into_inner());
        let proof = self.prove_own(caller, request.password, origin).await?;
        let (command, session) = (Command::DeleteAccount(proof), Some(caller.session));
        match self.context.execute(&request.request_id, session, command).await? {
            Outcome::AccountDeleted => Ok(Response::new(proto::DeleteAccountResponse {})),
            _ => Err(errors::internal("another call's outcome")),
        }
    }
}
