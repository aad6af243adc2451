//! People who talk while things break, and the account of what they were told.
//!
//! Some accounts listen, each on a device that goes on at its cursor; the senders write to them without a
//! pause, each one message after the other, and repeat each until it is acknowledged. [`Load::account`]
//! then compares every acknowledgement and every event with what stands in every server's files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use chinwag::wire::chat::Message;
use tokio::{
    sync::{RwLock, RwLockWriteGuard},
    task::JoinSet,
    time::Instant,
};
use tonic::Status;

use super::{
    cluster::Cluster,
    contents::{StoredMessage, stored_messages},
    receiver::Receiver,
    request_id,
    seat::User,
    wait::until,
};

/// An acknowledged send.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    /// When the answer came.
    pub(crate) at: Instant,
    /// Who sent it.
    pub(crate) sender: usize,
    /// The server that the sender calls, if it calls one only.
    pub(crate) only: Option<u32>,
    body: String,
    message_id: String,
    seq: i64,
}

type Acknowledgements = Arc<Mutex<Vec<Acknowledged>>>;

/// See the file's header.
pub(crate) struct Load {
    acknowledged: Acknowledgements,
    /// Senders hold it for reading while they send; whether that is over.
    gate: Arc<RwLock<bool>>,
    senders: JoinSet<()>,
    listeners: Vec<Receiver>,
    /// Somebody who reads when all is said.
    witness: User,
    histories: bool,
}

/// Who takes part in a [`Load`].
pub(crate) struct People {
    /// Accounts that are written to.
    pub(crate) listeners: usize,
    /// Who calls one server after the other.
    pub(crate) senders: usize,
    /// Whether there is one more sender for each server, which calls that server only: what it is told
    /// says for certain who told it.
    pub(crate) scouts: bool,
    /// Whether there may be two histories for a while, which are merged later. Then a message may get a
    /// later place than its sender was told, and a reader may meet the history that knows less.
    pub(crate) histories: bool,
}

impl Load {
    /// Everybody begins to talk.
    pub(crate) async fn begin(cluster: &Cluster, people: People) -> Load {
        let mut listeners = Vec::new();
        for listener in 0..people.listeners {
            let user = User::create(cluster, &format!("listener-{listener}")).await.patient();
            listeners.push(Receiver::listen(&Arc::new(user)).await);
        }
        let witness = User::log_in(cluster, "listener-0").await.patient();
        let mut load = Load {
            acknowledged: Acknowledgements::default(),
            gate: Arc::new(RwLock::new(false)),
            senders: JoinSet::new(),
            listeners,
            witness,
            histories: people.histories,
        };
        let free = (0..people.senders).map(|_| None);
        let scouts = cluster.ids().map(Some).filter(|_| people.scouts);
        for (sender, only) in free.chain(scouts).enumerate() {
            let user = User::create(cluster, &format!("sender-{sender}")).await.patient();
            load.add_sender(sender, user, only);
        }
        load.add_reader(User::log_in(cluster, "listener-0").await.patient());
        load
    }

    fn add_sender(&mut self, sender: usize, user: User, only: Option<u32>) {
        let (gate, acknowledged) = (self.gate.clone(), self.acknowledged.clone());
        let to = format!("@listener-{}", sender % self.listeners.len());
        let user = match only {
            Some(id) => user.only(id),
            None => user,
        };
        self.senders.spawn(async move {
            for number in 0.. {
                let body = format!("{sender}/{number}");
                let sent = match only {
                    None => send(&user, &gate, &to, &body).await,
                    Some(_) => scout(&user, &gate, &to, &body).await,
                };
                let sent = sent.unwrap_or_else(|status| panic!("{body}: {status:?}"));
                assert_eq!(sent.body, body, "the answer is of this send");
                let (message_id, seq) = (sent.message_id, sent.seq);
                let at = Instant::now();
                let one = Acknowledged { at, sender, only, body, message_id, seq };
                acknowledged.lock().expect("no holder panics").push(one);
            }
        });
    }

    /// Somebody who looks into a conversation now and then, and never sees less than before.
    fn add_reader(&mut self, user: User) {
        let (gate, histories) = (self.gate.clone(), self.histories);
        self.senders.spawn(async move {
            let mut last = 0;
            loop {
                let reading = gate.read().await;
                let newest = user.newest("@sender-0").await;
                assert!(histories || newest >= last, "seq {newest} was read after seq {last}");
                last = newest;
                drop(reading);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }

    /// How many sends were acknowledged so far.
    pub(crate) fn count(&self) -> usize {
        self.acknowledged.lock().expect("no holder panics").len()
    }

    /// Looks at what was acknowledged, the newest first.
    pub(crate) fn newest<T>(
        &self,
        look: impl Fn(&mut dyn Iterator<Item = &Acknowledged>) -> T,
    ) -> T {
        look(&mut self.acknowledged.lock().expect("no holder panics").iter().rev())
    }

    /// Waits until so many more sends were acknowledged.
    pub(crate) async fn more(&mut self, more: usize) {
        self.look_after();
        let wanted = self.count() + more;
        until("more acknowledged sends", Duration::from_secs(60), || {
            let enough = self.count() >= wanted;
            async move { enough.then_some(()) }
        })
        .await;
    }

    /// A sender ends only by a wrong answer, which then is the test's failure.
    pub(crate) fn look_after(&mut self) {
        if let Some(ended) = self.senders.try_join_next() {
            ended.expect("no sender meets a wrong answer");
        }
    }

    /// Nobody sends while this is held. The cluster must be in sync, for every send is answered first; and
    /// the leader has committed what it answered, for it has let somebody read.
    pub(crate) async fn silence(&self) -> RwLockWriteGuard<'_, bool> {
        let silence = tokio::time::timeout(Duration::from_secs(30), self.gate.write());
        let silence = silence.await.expect("a cluster in sync answers every send");
        self.witness.newest("@sender-0").await;
        silence
    }

    /// Nobody sends any more, and every send was answered.
    pub(crate) async fn end(&mut self) {
        self.look_after();
        *self.silence().await = true;
        self.senders.abort_all();
    }

    /// Compares what was acknowledged and heard with what these servers store, while nobody sends; says
    /// in words what came of it.
    ///
    /// # Errors
    /// Everything that is missing, twice, out of order or different.
    pub(crate) async fn account(&self, cluster: &Cluster) -> Result<String, String> {
        let acknowledged = self.acknowledged.lock().expect("no holder panics").clone();
        let first = stored_messages(cluster, *cluster.ids().start());
        let mut wrong = String::new();
        for id in cluster.ids() {
            let stored = stored_messages(cluster, id);
            if stored != first {
                note(&mut wrong, &format!("server {id} stores other messages than server 1"));
            }
            for trouble in compare(&acknowledged, &stored, self.histories) {
                note(&mut wrong, &format!("server {id}: {trouble}"));
            }
        }
        let mut again = 0;
        for (number, listener) in self.listeners.iter().enumerate() {
            let meant = meant_for(&first, number, self.listeners.len());
            let heard = match self.histories {
                false => heard(listener, &meant).await,
                true => shows(listener, &meant).await,
            };
            match heard {
                Ok(repeated) => again += repeated,
                Err(trouble) => note(&mut wrong, &format!("listener {number}: {trouble}")),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(format!(
            "{} sends acknowledged, {} messages stored on each of {} servers, each heard by its \
             subscriber: 0 missing, 0 twice, 0 out of order ({again} events came again after a cursor)",
            acknowledged.len(),
            first.len(),
            cluster.ids().count(),
        ))
    }
}

/// Until there is an answer.
async fn send(user: &User, gate: &RwLock<bool>, to: &str, body: &str) -> Result<Message, Status> {
    let sending = gate.read().await;
    nothing_if(*sending).await;
    user.try_send(&request_id(), to, body).await
}

/// For ever, if it is over.
async fn nothing_if(over: bool) {
    if over {
        std::future::pending::<()>().await;
    }
}

/// The same at one server, which may never lead: in between, others may ask for silence.
async fn scout(user: &User, gate: &RwLock<bool>, to: &str, body: &str) -> Result<Message, Status> {
    let request_id = request_id();
    loop {
        let sending = gate.read().await;
        nothing_if(*sending).await;
        if let Some(definite) = user.send_once(&request_id, to, body).await {
            return definite;
        }
        drop(sending);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn note(wrong: &mut String, what: &str) {
    writeln!(wrong, "{what}").expect("a string takes it");
}

/// The first words on each kind of trouble.
fn compare(
    acknowledged: &[Acknowledged],
    stored: &[StoredMessage],
    histories: bool,
) -> Vec<String> {
    let mut by_body: BTreeMap<&str, Vec<(&str, i64)>> = BTreeMap::new();
    for message in stored {
        by_body.entry(&message.body).or_default().push((&message.message_id, message.seq));
    }
    let mut wrong = Vec::new();
    let missing: Vec<_> = acknowledged
        .iter()
        .filter(|one| {
            let found = by_body.get(one.body.as_str()).map(Vec::as_slice).unwrap_or_default();
            let same = |(id, seq): &(&str, i64)| {
                *id == one.message_id && (*seq == one.seq || histories && *seq > one.seq)
            };
            !found.iter().any(same)
        })
        .collect();
    if !missing.is_empty() {
        let some = &missing[..missing.len().min(3)];
        wrong.push(format!("{} acknowledged sends are missing: {some:?}", missing.len()));
    }
    let twice: Vec<_> = by_body.iter().filter(|(_, found)| found.len() > 1).collect();
    if !twice.is_empty() {
        let some = &twice[..twice.len().min(3)];
        wrong.push(format!("{} bodies are there twice: {some:?}", twice.len()));
    }
    let mut last: BTreeMap<usize, i64> = BTreeMap::new();
    for one in acknowledged {
        let earlier = last.insert(one.sender, one.seq).is_some_and(|before| before >= one.seq);
        if earlier && !histories {
            wrong.push(format!("{} stands before what was sent earlier", one.body));
        }
    }
    wrong
}

/// What was sent to a listener, in its order.
fn meant_for(stored: &[StoredMessage], listener: usize, listeners: usize) -> Vec<&StoredMessage> {
    let is_meant = |message: &&StoredMessage| {
        let sender = message.body.split('/').next().and_then(|sender| sender.parse::<usize>().ok());
        sender.is_some_and(|sender| sender % listeners == listener)
    };
    stored.iter().filter(is_meant).collect()
}

/// Whether a listener heard exactly this, in this order. Returns how many events came again after a
/// cursor, which is allowed: they are known by their ids.
async fn heard(listener: &Receiver, meant: &[&StoredMessage]) -> Result<usize, String> {
    let meant: Vec<&str> = meant.iter().map(|message| message.message_id.as_str()).collect();
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let messages = listener.messages(0).await;
        let mut seen = BTreeSet::new();
        let first: Vec<&str> = messages
            .iter()
            .map(|message| message.message_id.as_str())
            .filter(|id| seen.insert(*id))
            .collect();
        if first == meant {
            return Ok(messages.len() - first.len());
        }
        if first.len() > meant.len() || Instant::now() > end {
            let known: BTreeSet<&str> = meant.iter().copied().collect();
            let missing = meant.iter().filter(|id| !seen.contains(*id)).count();
            let foreign = first.iter().filter(|id| !known.contains(*id)).count();
            let resets = listener.resets();
            return Err(format!(
                "of {} messages {missing} were not heard, {foreign} others were, and {} came out of \
                 order; {resets} resets",
                meant.len(),
                if missing + foreign == 0 { "some" } else { "perhaps some" },
            ));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether a listener's device, by its events and by what it read again after a reset, shows every message
/// at its place and nothing else.
async fn shows(listener: &Receiver, meant: &[&StoredMessage]) -> Result<usize, String> {
    let meant: BTreeMap<String, i64> =
        meant.iter().map(|message| (message.message_id.clone(), message.seq)).collect();
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let shown = listener.places();
        if shown == meant {
            return Ok(listener.messages(0).await.len().saturating_sub(meant.len()));
        }
        if Instant::now() > end {
            let wrong = meant.iter().filter(|(id, seq)| shown.get(*id) != Some(*seq)).count();
            let foreign = shown.keys().filter(|id| !meant.contains_key(*id)).count();
            return Err(format!(
                "of {} messages {wrong} are not shown where they stand, {foreign} others are",
                meant.len(),
            ));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
