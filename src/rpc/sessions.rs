//! `SessionService`.

use tonic::{Request, Response, Status};

use super::{
    context::{self, Context, parse},
    errors,
};
use crate::{
    chat::{Command, DeviceName, Login, Outcome, Password, Refusal, Session, SessionId, Username},
    wire::chat::{self as proto, session_service_server::SessionService},
};

pub(super) struct Sessions {
    pub(super) context: Context,
}

#[tonic::async_trait]
impl SessionService for Sessions {
    async fn login(
        &self,
        request: Request<proto::LoginRequest>,
    ) -> Result<Response<proto::LoginResponse>, Status> {
        let (origin, request) = (context::origin_of(&request), request.into_inner());
        let username = parse("username", Username::parse(&request.username))?;
        // What no account can have is wrong, and a login is told no more than that.
        let password = Password::parse(request.password)
            .map_err(|_| errors::refusal(Refusal::BadCredentials))?;
        let device_name = parse("device_name", DeviceName::parse(request.device_name))?;
        let id = context::request_id_of(&request.request_id)?;
        self.context.allowances.may_guess(&username, origin).await?;
        let meant = self.context.meant(&username).await?;
        let proof = self.context.prove(&username, &password, meant, origin).await?;
        let proof = proof.ok_or_else(|| errors::refusal(Refusal::BadCredentials))?;
        let (session_token, token) = context::draw_token()?;
        let session = SessionId(context::draw_id());
        let command = Command::Login(Login { username, proof, session, token, device_name });
        match self.context.execute_as(id, None, command).await?.map_err(errors::refusal)? {
            Outcome::LoggedIn { account, .. } => {
                let account = Some(account.into());
                Ok(Response::new(proto::LoginResponse { account, session_token }))
            }
            _ => Err(errors::internal("another call's outcome")),
        }
    }

    async fn logout(
        &self,
        request: Request<proto::LogoutRequest>,
    ) -> Result<Response<proto::LogoutResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let session = Some(caller.session);
        self.context.execute(&request.request_id, session, Command::Logout).await?;
        Ok(Response::new(proto::LogoutResponse {}))
    }

    async fn list_sessions(
        &self,
        request: Request<proto::ListSessionsRequest>,
    ) -> Result<Response<proto::ListSessionsResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let read = self.context.read_as(caller, move |reader| {
            reader.sessions(caller.account, request.page_size, &request.page_token)
        });
        let page = read.await?;
        let session = |session: Session| {
            let current = session.id == caller.session;
            proto::Session { current, ..session.into() }
        };
        Ok(Response::new(proto::ListSessionsResponse {
            sessions: page.items.into_iter().map(session).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn end_session(
        &self,
        request: Request<proto::EndSessionRequest>,
    ) -> Result<Response<proto::EndSessionResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let ended = parse("session_id", SessionId::parse(&request.session_id))?;
        let (command, session) = (Command::EndSession(ended), Some(caller.session));
        match self.context.execute(&request.request_id, session, command).await? {
            Outcome::SessionEnded => Ok(Response::new(proto::EndSessionResponse {})),
            _ => Err(errors::internal("another call's outcome")),
        }
    }
}
