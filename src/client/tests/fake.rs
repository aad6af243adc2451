//! A cluster in miniature: several listening servers over one world in memory, each of which can be
//! told to misbehave. It keeps the promise about request ids, so that a double effect is the client's
//! fault.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{net::TcpListener, sync::watch};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Status, transport::Server};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::wire::chat::{
    CaughtUp, Conversation, Event, Message, account_service_server::AccountServiceServer,
    cluster_service_server::ClusterServiceServer,
    conversation_service_server::ConversationServiceServer, event::Kind,
    event_service_server::EventServiceServer, message_service_server::MessageServiceServer,
    session_service_server::SessionServiceServer,
};

/// What a server does with a call.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// What a leader does.
    Serve,
    /// Says that it does not lead, and perhaps who does.
    NotLeader(Option<String>),
    /// Says that nobody leads.
    NoLeader,
    /// Leads, and cannot do it now for this reason.
    Lacks(&'static str),
    /// Does it and loses the answer.
    LoseAnswer,
    /// Does it and never answers.
    Freeze,
    /// Says that it is busy, and for how long.
    Busy(Duration),
    /// Refuses in these words.
    Say(String),
    /// Does not do it, and answers as servers of an older version do.
    Unimplemented,
}

/// What all servers of a cluster share.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) passwords: BTreeMap<String, String>,
    pub(crate) tokens: BTreeMap<String, String>,
    pub(crate) outcomes: BTreeMap<String, Message>,
    pub(crate) messages: Vec<Message>,
    pub(crate) acknowledged: Vec<String>,
    pub(crate) read: BTreeMap<String, i64>,
    pub(crate) rooms: BTreeMap<String, Room>,
    /// Who was asked what under which request id, in order.
    pub(crate) asked: Vec<Asked>,
    /// The cursors that subscribers came with.
    pub(crate) cursors: Vec<String>,
    pub(crate) events: Vec<Event>,
    pub(crate) copies: u32,
}

/// A room and who is in it; its owner is the first.
#[derive(Clone, Default)]
pub(crate) struct Room {
    pub(crate) topic: String,
    pub(crate) private: bool,
    pub(crate) members: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    pub(crate) server: usize,
    pub(crate) call: &'static str,
    pub(crate) request_id: String,
}

/// One server.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) place: usize,
    pub(crate) world: Arc<Mutex<World>>,
    script: Arc<Mutex<(VecDeque<Act>, Act)>>,
    /// Counts the events, and the breaks of all streams.
    pub(crate) changes: watch::Sender<(usize, usize)>,
}

/// Several servers.
pub(crate) struct Fake {
    pub(crate) addresses: Vec<String>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) world: Arc<Mutex<World>>,
}

impl Fake {
    /// Starts servers; the first one leads.
    pub(crate) async fn start(count: usize) -> Fake {
        let world = Arc::new(Mutex::new(World { copies: 3, ..World::default() }));
        let changes = watch::channel((0, 0)).0;
        let mut fake = Fake { addresses: Vec::new(), nodes: Vec::new(), world: world.clone() };
        for place in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            fake.addresses.push(listener.local_addr().unwrap().to_string());
            let act = match place {
                0 => Act::Serve,
                _ => Act::NotLeader(Some(fake.addresses[0].clone())),
            };
            let script = Arc::new(Mutex::new((VecDeque::new(), act)));
            let node = Node { place, world: world.clone(), script, changes: changes.clone() };
            fake.nodes.push(node.clone());
            tokio::spawn(
                Server::builder()
                    .add_service(AccountServiceServer::new(node.clone()))
                    .add_service(SessionServiceServer::new(node.clone()))
                    .add_service(ConversationServiceServer::new(node.clone()))
                    .add_service(MessageServiceServer::new(node.clone()))
                    .add_service(EventServiceServer::new(node.clone()))
                    .add_service(ClusterServiceServer::new(node))
                    .serve_with_incoming(TcpListenerStream::new(listener)),
            );
        }
        fake
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// What a server does from now on.
    pub(crate) fn always(&self, server: usize, act: Act) {
        self.nodes[server].script.lock().unwrap().1 = act;
    }

    /// What a server does with its next calls, before it does again what it always does.
    pub(crate) fn next(&self, server: usize, acts: impl IntoIterator<Item = Act>) {
        self.nodes[server].script.lock().unwrap().0.extend(acts);
    }

    /// From now on this server leads, and the others say so.
    pub(crate) fn lead(&self, leader: usize) {
        for server in 0..self.nodes.len() {
            let hint = Act::NotLeader(Some(self.addresses[leader].clone()));
            self.always(server, if server == leader { Act::Serve } else { hint });
        }
    }

    /// Ends every stream.
    pub(crate) fn break_streams(&self) {
        self.nodes[0].changes.send_modify(|(_, breaks)| *breaks += 1);
    }

    /// Somebody sends a message.
    pub(crate) fn say(&self, sender: &str, conversation: &str, body: &str) -> Message {
        self.nodes[0].say(sender, conversation, body)
    }

    /// A logged-in user's token.
    pub(crate) fn session(&self, username: &str) -> String {
        let mut world = self.world();
        world.passwords.insert(username.into(), "password".into());
        world.tokens.insert(format!("token-{username}"), username.into());
        format!("token-{username}")
    }
}

impl Node {
    /// Notes a call and says what to do with it.
    fn act(&self, call: &'static str, request_id: &str) -> Act {
        let asked = Asked { server: self.place, call, request_id: request_id.into() };
        self.world.lock().unwrap().asked.push(asked);
        let mut script = self.script.lock().unwrap();
        let usual = script.1.clone();
        script.0.pop_front().unwrap_or(usual)
    }

    /// What this server always does.
    pub(crate) fn usual(&self) -> Act {
        self.script.lock().unwrap().1.clone()
    }

    /// Does `work` as a leader would, or what the script says.
    pub(crate) async fn answer<Answer>(
        &self,
        call: &'static str,
        request_id: &str,
        work: impl FnOnce(&mut World) -> Result<Answer, Status>,
    ) -> Result<tonic::Response<Answer>, Status> {
        let act = self.act(call, request_id);
        let done = |work: Result<Answer, Status>, copies: u32| {
            let mut response = tonic::Response::new(work?);
            response.metadata_mut().insert("chinwag-copies", copies.into());
            Ok(response)
        };
        match act {
            Act::Serve => {
                let mut world = self.world.lock().unwrap();
                let outcome = work(&mut world);
                let copies = world.copies;
                drop(world);
                self.announce();
                done(outcome, copies)
            }
            Act::LoseAnswer => {
                let _ = work(&mut self.world.lock().unwrap());
                self.announce();
                Err(refusal(Code::Unavailable, "OUTCOME_UNKNOWN", "the answer got lost"))
            }
            Act::Freeze => {
                let _ = work(&mut self.world.lock().unwrap());
                self.announce();
                std::future::pending().await
            }
            Act::NotLeader(leader) => Err(not_leader(leader)),
            Act::NoLeader => Err(refusal(Code::Unavailable, "NO_LEADER", "nobody leads yet")),
            Act::Lacks(reason) => Err(refusal(Code::Unavailable, reason, "this leader cannot now")),
            Act::Busy(delay) => {
                let mut details = ErrorDetails::with_error_info("RATE_LIMITED", "chinwag", []);
                details.set_retry_info(Some(delay));
                let (code, words) = (Code::ResourceExhausted, "too many calls");
                Err(Status::with_error_details(code, words, details))
            }
            Act::Say(words) => Err(refusal(Code::NotFound, "NO_SUCH_THING", &words)),
            Act::Unimplemented => Err(Status::unimplemented("this version cannot do that yet")),
        }
    }

    fn announce(&self) {
        let events = self.world.lock().unwrap().events.len();
        self.changes.send_modify(|(count, _)| *count = events);
    }

    fn say(&self, sender: &str, conversation: &str, body: &str) -> Message {
        let message = self.world.lock().unwrap().say(sender, conversation, body);
        self.announce();
        message
    }
}

impl World {
    pub(crate) fn say(&mut self, sender: &str, conversation: &str, body: &str) -> Message {
        let seq = self.messages.iter().filter(|m| m.conversation == conversation).count() + 1;
        let message = Message {
            message_id: format!("{:032x}", self.messages.len() + 1),
            conversation: conversation.into(),
            seq: seq as i64,
            sender: sender.into(),
            body: body.into(),
            create_time: Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 0 }),
            ..Message::default()
        };
        self.messages.push(message.clone());
        self.event(Kind::MessageCreated(message.clone()));
        message
    }

    pub(crate) fn event(&mut self, kind: Kind) {
        let cursor = (self.events.len() + 1).to_string();
        self.events.push(Event { cursor, kind: Some(kind) });
    }

    /// A room as its members see it.
    pub(crate) fn room(&self, name: &str) -> Result<Conversation, Status> {
        let words = "there is no such room";
        let room = self.rooms.get(name);
        let room = room.ok_or_else(|| refusal(Code::NotFound, "NO_SUCH_ROOM", words))?;
        Ok(Conversation {
            conversation: format!("#{name}"),
            topic: room.topic.clone(),
            private: room.private,
            owner: room.members.first().cloned().unwrap_or_default(),
            ..Conversation::default()
        })
    }

    /// What a subscriber gets first.
    pub(crate) fn caught_up(&self) -> Event {
        let cursor = self.events.len().to_string();
        Event { cursor, kind: Some(Kind::CaughtUp(CaughtUp {})) }
    }

    /// The caller's name.
    pub(crate) fn caller<Body>(&self, request: &Request<Body>) -> Result<String, Status> {
        let token = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer "));
        token
            .and_then(|token| self.tokens.get(token).cloned())
            .ok_or_else(|| refusal(Code::Unauthenticated, "NO_SESSION", "the session has ended"))
    }
}

pub(crate) fn not_leader(leader: Option<String>) -> Status {
    let metadata: HashMap<_, _> =
        leader.map(|address| ("leader_address".to_owned(), address)).into_iter().collect();
    let details = ErrorDetails::with_error_info("NOT_LEADER", "chinwag", metadata);
    Status::with_error_details(Code::Unavailable, "this server does not lead", details)
}

pub(crate) fn refusal(code: Code, reason: &str, words: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "chinwag", []);
    Status::with_error_details(code, words, details)
}
