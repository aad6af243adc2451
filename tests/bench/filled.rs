//! A server that has held a team's talk for a year: its store is filled by the same code that applies the
//! log, only without a client for every message.

use std::path::Path;

use chinwag::{
    chat::{
        Body, Command, ConversationName, RequestId, RequestKey, SendMessage, SessionId, Timestamp,
        Update,
    },
    cluster::{Entry, Payload},
    store::{OpenOptions, Store},
    wire::update,
};
use diesel::{
    Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query,
    sql_types::{Binary, Text},
};

use crate::harness::{Cluster, Dice, Options, User, database};

/// Accounts, all of them in `#everybody`.
pub(crate) const PEOPLE: usize = 50;
/// Entries in one transaction.
const BATCH: usize = 2_000;
/// As a leader does all the time: the log keeps what others may lack.
const TRIM_EVERY: usize = 50 * BATCH;
const KEPT: u64 = 4_096;
const YEAR_MICROS: i64 = 365 * 24 * 3_600 * 1_000_000;
/// When the year began, in microseconds since 1970: some day in 2025.
const BEGIN: i64 = 1_750_000_000_000_000;
/// Different words; the first are said far more often than the last.
const WORDS: u64 = 20_000;

/// See the file's header.
pub(crate) struct Filled {
    /// Its server ends with it.
    _cluster: Cluster,
    pub(crate) people: Vec<User>,
}

impl Filled {
    /// One server with so many messages: half of them in one room of everybody, the others in direct
    /// conversations.
    pub(crate) async fn with(messages: usize) -> Filled {
        let options = Options { servers: 1, ..Options::default() };
        let mut cluster = Cluster::start_with(options).await;
        let mut people = Vec::new();
        for number in 0..PEOPLE {
            people.push(User::create(&cluster, &format!("person-{number}")).await.patient());
        }
        let room = || "everybody".to_owned();
        crate::rooms::create(&people[0], room()).await;
        for person in &people[1..] {
            crate::rooms::join(person, room()).await;
        }
        cluster.stop_all().await;
        fill(&cluster.data(1), &sessions(&database(&cluster, 1)), messages);
        cluster.start_server(1).await;
        Filled { _cluster: cluster, people }
    }
}

/// Who speaks in a store that is being filled.
pub(crate) type Speakers = Vec<(String, SessionId)>;

#[derive(QueryableByName)]
struct SessionRow {
    #[diesel(sql_type = Text)]
    username: String,
    #[diesel(sql_type = Binary)]
    session_id: Vec<u8>,
}

/// Everybody's name and session.
pub(crate) fn sessions(database: &Path) -> Speakers {
    let path = database.to_str().expect("a printable path");
    let mut connection = SqliteConnection::establish(path).expect("a database");
    let rows: Vec<SessionRow> = sql_query(
        "SELECT username, session_id FROM sessions JOIN accounts ON accounts.id = account",
    )
    .load(&mut connection)
    .expect("the accounts' own tables");
    let session =
        |row: SessionRow| (row.username, SessionId::from_slice(&row.session_id).expect("16 bytes"));
    rows.into_iter().map(session).collect()
}

/// Puts so many messages into the store of a server that is not running; its log keeps the last of them.
pub(crate) fn fill(folder: &Path, people: &Speakers, messages: usize) {
    let opened = Store::open(OpenOptions::new(folder, [0; 16])).expect("the folder is free");
    let (mut writer, log) = (opened.writer, opened.log.expect("a server that has led"));
    let mut last = log.last;
    let mut dice = Dice::new(1);
    let mut sent = 0;
    while sent < messages {
        let count = BATCH.min(messages - sent);
        let mut entries = Vec::with_capacity(count);
        for number in sent..sent + count {
            let place = (number as i64).saturating_mul(YEAR_MICROS / messages as i64);
            let update = message(people, &mut dice, Timestamp(BEGIN + place));
            let payload = Payload::Update(update::encode(&update));
            let entry = Entry::after(last.hash, last.seq + 1, last.epoch, payload);
            last = entry.position();
            entries.push(entry);
        }
        writer.store(&entries, log.lineage).expect("a disk with room");
        sent += count;
        if sent.is_multiple_of(TRIM_EVERY) {
            writer.trim(last.seq - KEPT).expect("a disk with room");
        }
    }
    writer.close().expect("closed");
}

fn message(people: &Speakers, dice: &mut Dice, time: Timestamp) -> Update {
    let (_, session) = dice.pick(people);
    let conversation = if dice.percent(50) {
        "#everybody".to_owned()
    } else {
        format!("@{}", dice.pick(people).0)
    };
    let conversation = ConversationName::parse(&conversation).expect("a good name");
    let words: Vec<String> = (0..12).map(|_| word(dice)).collect();
    let body = Body::parse(words.join(" ")).expect("short");
    let command = Command::SendMessage(SendMessage { conversation, body, reply_to: None });
    // In the order of time, as clients' libraries make them.
    let mut id = [0; 16];
    id[..8].copy_from_slice(&time.0.to_be_bytes());
    id[8..].copy_from_slice(&dice.draw(u64::MAX).to_be_bytes());
    let fingerprint = command.fingerprint().expect("clients call it");
    let request = Some(RequestKey { id: RequestId(id), fingerprint });
    Update { time, request, session: Some(*session), command }
}

/// The rank of a word is a random power, so that some are in every tenth message and most are rare.
pub(crate) fn word(dice: &mut Dice) -> String {
    let unit = dice.draw(1 << 32) as f64 / f64::from(u32::MAX);
    let rank = (WORDS as f64).powf(unit) as u64;
    let mut word = String::from("w");
    let mut rest = rank;
    while rest > 0 {
        word.push(char::from(b'a' + (rest % 26) as u8));
        rest /= 26;
    }
    word
}
