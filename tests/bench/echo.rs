//! A server that answers every send at once: what gRPC alone costs on this machine.

use std::{
    env,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use chinwag::wire::chat::{
    AcknowledgeMessagesRequest, AcknowledgeMessagesResponse, DeleteMessagesRequest,
    DeleteMessagesResponse, EditMessageRequest, EditMessageResponse, ListMessagesRequest,
    ListMessagesResponse, Message, SearchMessagesRequest, SearchMessagesResponse,
    SendMessageRequest, SendMessageResponse, SendMessagesRequest, SendMessagesResponse,
    message_service_server::{MessageService, MessageServiceServer},
};
use tokio::net::TcpListener;
use tokio_stream::{Empty, wrappers::TcpListenerStream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

/// Makes this program the echo server.
pub(crate) const FLAG: &str = "--echo";

/// The echo server's process; it ends when this is dropped.
pub(crate) struct Process {
    child: Child,
    address: String,
}

impl Process {
    /// Starts this same program as the echo server.
    pub(crate) fn start() -> Process {
        let program = env::current_exe().expect("this program");
        let mut command = Command::new(program);
        let mut child = command.arg(FLAG).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut address = String::new();
        let output = child.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut address).expect("it says where it is");
        Process { child, address: address.trim().to_owned() }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers until the process is ended.
pub(crate) async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("{}", listener.local_addr().expect("bound"));
    let service = MessageServiceServer::new(Echo);
    let served = Server::builder()
        .tcp_nodelay(true)
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(listener));
    served.await.expect("it serves until it is killed");
}

struct Echo;

fn not_here<T>() -> Result<T, Status> {
    Err(Status::unimplemented("the echo server only echoes"))
}

#[tonic::async_trait]
impl MessageService for Echo {
    type SendMessagesStream = Empty<Result<SendMessagesResponse, Status>>;

    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Result<Response<SendMessageResponse>, Status> {
        let SendMessageRequest { request_id, conversation, body, .. } = request.into_inner();
        let sender = "client-0".to_owned();
        let message = Message {
            message_id: request_id,
            conversation,
            body,
            sender,
            seq: 1,
            ..Message::default()
        };
        Ok(Response::new(SendMessageResponse { message: Some(message) }))
    }

    async fn send_messages(
        &self,
        _: Request<Streaming<SendMessagesRequest>>,
    ) -> Result<Response<Self::SendMessagesStream>, Status> {
        not_here()
    }

    async fn list_messages(
        &self,
        _: Request<ListMessagesRequest>,
    ) -> Result<Response<ListMessagesResponse>, Status> {
        not_here()
    }

    async fn edit_message(
        &self,
        _: Request<EditMessageRequest>,
    ) -> Result<Response<EditMessageResponse>, Status> {
        not_here()
    }

    async fn delete_messages(
        &self,
        _: Request<DeleteMessagesRequest>,
    ) -> Result<Response<DeleteMessagesResponse>, Status> {
        not_here()
    }

    async fn acknowledge_messages(
        &self,
        _: Request<AcknowledgeMessagesRequest>,
    ) -> Result<Response<AcknowledgeMessagesResponse>, Status> {
        not_here()
    }

    async fn search_messages(
        &self,
        _: Request<SearchMessagesRequest>,
    ) -> Result<Response<SearchMessagesResponse>, Status> {
        not_here()
    }
}
