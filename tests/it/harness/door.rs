//! One server's door: every service, over one connection, with or without a session.

use std::{error::Error as _, net::IpAddr, time::Duration};

use chinwag::wire::chat::{
    GetStatusRequest, GetStatusResponse, account_service_client::AccountServiceClient,
    cluster_service_client::ClusterServiceClient,
    conversation_service_client::ConversationServiceClient,
    event_service_client::EventServiceClient, message_service_client::MessageServiceClient,
    session_service_client::SessionServiceClient,
};
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use tonic_types::StatusExt as _;

/// A connection to one server; made at the first call, and again when it broke.
#[derive(Clone)]
pub(crate) struct Door {
    channel: Channel,
    bearer: Bearer,
}

/// Adds the session to every call.
#[derive(Clone, Default)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

type Caller = InterceptedService<Channel, Bearer>;
/// The client of `MessageService`.
pub(crate) type Messages = MessageServiceClient<Caller>;

impl Door {
    /// The door of the server at `host:port`.
    pub(crate) fn to(address: &str) -> Door {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let endpoint = endpoint.connect_timeout(Duration::from_secs(2)).tcp_nodelay(true);
        Door { channel: endpoint.connect_lazy(), bearer: Bearer::default() }
    }

    /// The same over TLS, for whoever knows this authority; and who shows a certificate, given with its key.
    pub(crate) fn trusting(
        address: &str,
        authority: &str,
        shown: Option<&(String, String)>,
    ) -> Door {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
        if let Some((certificate, key)) = shown {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        let endpoint = Endpoint::from_shared(format!("https://{address}")).expect("an address");
        let endpoint = endpoint.connect_timeout(Duration::from_secs(2)).tcp_nodelay(true);
        let endpoint = endpoint.tls_config(tls).expect("certificates that can be read");
        Door { channel: endpoint.connect_lazy(), bearer: Bearer::default() }
    }

    /// A door whose connection holds little that was not read yet.
    pub(crate) fn narrow(address: &str) -> Door {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let endpoint = endpoint.initial_stream_window_size(65_535);
        Door { channel: endpoint.connect_lazy(), bearer: Bearer::default() }
    }

    /// A door for a caller at this address of loopback, with a connection that holds little.
    pub(crate) fn from_address(address: &str, own: IpAddr) -> Door {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let endpoint = endpoint.local_address(Some(own)).initial_stream_window_size(65_535);
        Door { channel: endpoint.connect_lazy(), bearer: Bearer::default() }
    }

    /// The same door for the holder of this token.
    pub(crate) fn with(&self, token: &str) -> Door {
        let value = format!("Bearer {token}").parse().expect("a token is printable");
        Door { channel: self.channel.clone(), bearer: Bearer(Some(value)) }
    }

    /// The bare connection.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(crate) fn accounts(&self) -> AccountServiceClient<Caller> {
        AccountServiceClient::with_interceptor(self.channel(), self.bearer.clone())
    }

    pub(crate) fn sessions(&self) -> SessionServiceClient<Caller> {
        SessionServiceClient::with_interceptor(self.channel(), self.bearer.clone())
    }

    pub(crate) fn conversations(&self) -> ConversationServiceClient<Caller> {
        ConversationServiceClient::with_interceptor(self.channel(), self.bearer.clone())
    }

    pub(crate) fn messages(&self) -> Messages {
        MessageServiceClient::with_interceptor(self.channel(), self.bearer.clone())
    }

    pub(crate) fn events(&self) -> EventServiceClient<Caller> {
        EventServiceClient::with_interceptor(self.channel(), self.bearer.clone())
    }

    /// How this server is; `None` when it does not answer at once.
    pub(crate) async fn status(&self) -> Option<GetStatusResponse> {
        let mut client = ClusterServiceClient::new(self.channel());
        let answer =
            tokio::time::timeout(Duration::from_secs(1), client.get_status(GetStatusRequest {}));
        Some(answer.await.ok()?.ok()?.into_inner())
    }
}

/// The reason that the answer names for programs; empty when it names none.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Whether the call may or may not have taken effect, so that it must be repeated.
pub(crate) fn is_unknown_outcome(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Aborted | Code::Cancelled => true,
        // The connection broke while the answer was on its way.
        Code::Unknown | Code::Internal => status.source().is_some(),
        _ => false,
    }
}
