//! What clients ask and servers answer, and the history that the checker looks at.

use chinwag::{
    chat::{
        Account, AccountId, Command, Conversation, ConversationName, Member, Outcome, Refusal,
        RequestId, RoomName, TokenHash, Topic,
    },
    client::decisions::Failure,
    cluster::{Hash, Position, Seq},
    store::{Around, MessagePage},
    wire::chat::Event,
};

/// A call's body.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Create {
        username: String,
        password: String,
    },
    Login {
        username: String,
        password: String,
        device: String,
    },
    ChangePassword {
        old: String,
        new: String,
    },
    DeleteAccount {
        password: String,
    },
    CreateRoom {
        room: RoomName,
        topic: Topic,
        private: bool,
    },
    /// A write of which the server draws nothing itself.
    Do(Command),
    Messages {
        conversation: ConversationName,
        around: Around,
        size: i32,
    },
    Conversations,
    Rooms,
    Members(RoomName),
    Accounts,
}

impl Ask {
    pub(crate) fn is_write(&self) -> bool {
        let reads = matches!(
            self,
            Ask::Messages { .. }
                | Ask::Conversations
                | Ask::Rooms
                | Ask::Members(_)
                | Ask::Accounts
        );
        !reads
    }
}

/// A call as it travels.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Unary { id: RequestId, token: Option<TokenHash>, ask: Ask },
    Subscribe { token: TokenHash, cursor: String },
}

/// What a read shows.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Sight {
    Messages(MessagePage),
    Conversations(Vec<Conversation>),
    Rooms(Vec<Conversation>),
    Members(Vec<Member>),
    Accounts(Vec<Account>),
}

/// A definite answer of a server.
#[derive(Clone, Debug)]
pub(crate) enum Definite {
    /// An entry of the log, and what it came to.
    Executed { seq: Seq, hash: Hash, result: Result<Outcome, Refusal> },
    /// What a read saw, and where the log stood.
    Read { at: Position, viewer: AccountId, seen: Result<Sight, Refusal> },
    /// Refused before the log, by what was read there.
    Refused { at: Option<Position>, refusal: Refusal },
}

/// What comes back for a call.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Definite {
        answer: Definite,
        token: Option<TokenHash>,
    },
    Failed(Failure),
    /// Of a stream.
    Event(Box<Event>),
}

/// A client's call from its side.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    pub(crate) id: RequestId,
    pub(crate) ask: Ask,
    pub(crate) token: Option<TokenHash>,
    /// Places in the order of everything that clients began and ended.
    pub(crate) began: u64,
    pub(crate) ended: Option<u64>,
    pub(crate) answer: Option<Definite>,
}

/// A subscriber's story.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    pub(crate) account: AccountId,
    /// Every event that was delivered, in order.
    pub(crate) events: Vec<Event>,
    /// Whether it was following at the end.
    pub(crate) open: bool,
    /// Whether its device went on as another account.
    pub(crate) over: bool,
}

/// Everything that clients saw.
#[derive(Default, Debug)]
pub(crate) struct History {
    pub(crate) ops: Vec<Op>,
    pub(crate) feeds: Vec<Feed>,
    order: u64,
}

impl History {
    fn next(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    pub(crate) fn begin(&mut self, id: RequestId, ask: Ask, token: Option<TokenHash>) -> usize {
        let began = self.next();
        self.ops.push(Op { id, ask, token, began, ended: None, answer: None });
        self.ops.len() - 1
    }

    pub(crate) fn end(&mut self, op: usize, answer: Definite) {
        let order = self.next();
        self.ops[op].ended = Some(order);
        self.ops[op].answer = Some(answer);
    }
}
