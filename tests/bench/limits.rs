//! What this machine can do at all: how often its disk syncs, and what the store of one server takes
//! without a network.

use std::{
    fs::File,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use chinwag::{
    chat::{
        AccountId, Body, Command, ConversationName, CreateAccount, RequestId, RequestKey,
        SendMessage, SessionId, Timestamp, TokenHash, Update, Username,
    },
    cluster::{Entry, Epoch, Hash, Payload, Position, ServerId, View},
    store::{OpenOptions, Store},
    wire::update,
};

const LINEAGE: Hash = Hash([7; 32]);
const EPOCH: Epoch = Epoch { number: 1, server: ServerId(1) };
const TIME: i64 = 1_750_000_000_000_000;
/// Who write to each other.
const PEOPLE: u64 = 64;

/// How often this disk syncs in a second, a page appended each time.
pub(crate) fn syncs_a_second(folder: &Path) -> f64 {
    let mut file = File::create(folder.join("syncs")).expect("writable");
    let (begin, mut count) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(1) {
        file.write_all(&[0x5a; 4096]).expect("writable");
        file.sync_data().expect("the disk syncs");
        count += 1;
    }
    f64::from(count) / begin.elapsed().as_secs_f64()
}

/// Messages a second that one server's store logs, applies and commits, in transactions of so many.
pub(crate) fn store_alone(folder: &Path, batch: u64, body: &str) -> f64 {
    let folder = folder.join(format!("alone-{batch}"));
    let opened = Store::open(OpenOptions::new(&folder, [0; 16])).expect("a new folder");
    let mut writer = opened.writer;
    let mut scribe = Scribe { last: None, drawn: 0 };
    let members = [ServerId(1)].into();
    let mut first = vec![scribe.entry(Payload::View(View { members, forced: false }))];
    first.extend((0..PEOPLE).map(|number| scribe.account(number)));
    writer.store(&first, LINEAGE).expect("a disk with room");
    let (mut begin, mut sent) = (Instant::now(), 0);
    let warm_up = begin + Duration::from_millis(500);
    while begin.elapsed() < Duration::from_secs(2) || sent == 0 {
        if begin < warm_up && Instant::now() >= warm_up {
            (begin, sent) = (Instant::now(), 0);
        }
        let entries: Vec<Entry> = (0..batch).map(|_| scribe.message(body)).collect();
        writer.store(&entries, LINEAGE).expect("a disk with room");
        sent += batch;
    }
    let rate = sent as f64 / begin.elapsed().as_secs_f64();
    writer.close().expect("closed");
    rate
}

/// Makes the entries of a log.
struct Scribe {
    last: Option<Position>,
    drawn: u64,
}

impl Scribe {
    fn entry(&mut self, payload: Payload) -> Entry {
        let (seq, hash) = self.last.map_or((0, LINEAGE), |last| (last.seq, last.hash));
        let entry = Entry::after(hash, seq + 1, EPOCH, payload);
        self.last = Some(entry.position());
        entry
    }

    /// Under the next of ids that rise, as those of clients do.
    fn update(&mut self, session: Option<SessionId>, command: Command) -> Entry {
        self.drawn += 1;
        let id = RequestId((u128::from(self.drawn) << 64 | 0xfeed).to_be_bytes());
        let fingerprint = command.fingerprint().expect("clients call it");
        let request = Some(RequestKey { id, fingerprint });
        let time = Timestamp(TIME + self.drawn as i64);
        let update = Update { time, request, session, command };
        self.entry(Payload::Update(update::encode(&update)))
    }

    fn account(&mut self, number: u64) -> Entry {
        let create = CreateAccount {
            username: Username::parse_new(&format!("person-{number}")).expect("a good name"),
            password_hash: "none".into(),
            account: AccountId(id(number, 1)),
            session: SessionId(id(number, 2)),
            token: TokenHash([number as u8; 32]),
            proof: None,
        };
        self.update(None, Command::CreateAccount(create))
    }

    fn message(&mut self, body: &str) -> Entry {
        let (from, to) = (self.drawn % PEOPLE, (self.drawn + 1) % PEOPLE);
        let conversation = ConversationName::parse(&format!("@person-{to}")).expect("a good name");
        let body = Body::parse(body).expect("short");
        let send = SendMessage { conversation, body, reply_to: None };
        self.update(Some(SessionId(id(from, 2))), Command::SendMessage(send))
    }
}

fn id(number: u64, kind: u8) -> [u8; 16] {
    let mut id = [kind; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id
}
