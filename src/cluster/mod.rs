//! The protocol: who leads, what is committed, who is in sync. Pure.
//!
//! [`Core`] is a function from an event and the time to effects (P24). It knows no clock, no chance, no
//! socket and no disk; the log carries opaque bytes. Ordered maps only, so that a run repeats itself. The
//! order in which effects must be carried out is documented at [`Effect`], and is half of the protocol.
//!
//! # What it promises
//! - An update that was answered is on the disk of every member of the view that commits it (the leader's own
//!   commit may be under way), and every later leader has it. Under [`Policy::Majority`] without exception;
//!   under [`Policy::Available`] unless a living server was left out because it was silent: then two
//!   histories may exist for a while.
//! - Nobody's data is overwritten without a word: what another history lacks is kept aside and told.
//! - At most one server serves in an epoch, and a (epoch, seq) names one entry for ever.
//!
//! # The rules
//! - **Start** (P1): a server begins as Recovering, or Blank without a log, and asks everybody how they are.
//! - **Heartbeats and evidence** (P2, P9; `heartbeat`, `peer`): a contact is the echo of a nonce, dated by when
//!   it was sent. DEAD is two refused connects or the last words of a life; SILENT is a heartbeat unanswered
//!   for the failure timeout. Both are about one life, and a sign of life voids them, as does seeing that
//!   server taken into a view. A new life of another process is introduced by its report. Who has another
//!   configuration, log format or history (but not: another database schema) is refused: neither its promise
//!   nor its lead concerns anybody. What a leader says is committed counts for the life that it was said to,
//!   and for no other. A heartbeat that others of its life have overtaken tells how its sender was, and is only
//!   answered. Nobody waits for a heartbeat to look (`probe`): a peer is suspected when a stream with it ended,
//!   when a message that may be old voided what was found, when a candidate asks for a promise against it, and
//!   when another follower of the same leader lost it, which then says so at once. A suspected peer is probed
//!   four times in a heartbeat interval until it is dead, silent, or answers what was asked later. A probe that
//!   was given up for the next finds nobody dead any more.
//! - **Write** (P3, P5, P6; `leader`): one batch in flight, sent first, applied meanwhile, committed when
//!   every member of the newest view acknowledged it. An (epoch, seq) is never reused, for a restarted
//!   leader needs a new epoch. Where two others or more have it, under `majority` a majority without the
//!   leader, its updates are answered when the commit begins (P5b); reads and subscribers wait for its end.
//! - **Accept** (P4; `follower`): promise first, compare the place before, store durably, then
//!   acknowledge. What the leader committed is believed only if the own entry there has the same hash. A server is
//!   in sync once it knows as committed an entry of the leader's own epoch and is in every view from there
//!   on.
//! - **Shrink, grow** (P7, P8; `views`): views are entries. A new life of a member is not fed, and is told
//!   nothing about what is committed, before the view without its old life is committed: otherwise it could
//!   take its predecessor's membership for its own. A leader whom too few are left for leads no more at once.
//!   Who chases a leader that waits for nobody and so is faster is taken in after a while, if what it lacks fits
//!   one message: as a member it sets the pace.
//! - **Evict** (P9; `views`, `follower`): a member whose heart beats and whose stream is stuck consents to leave.
//!   The wait before it comes back doubles with each of its tries: a new leader may take it into its first view
//!   by its promise while it waits, and let it go again, which says nothing new of it.
//! - **Succession** (P10 to P12; `succession`, `candidate`): the lowest live in-sync server stands first, and
//!   only if it can win; a server in contact with a serving leader promises nothing. The winner fetches what the
//!   longest promised log has, and serves after its first view is committed. While a winner brings its
//!   first view through, its promisers wait for it; that time is over when it leads or is dead, and ranks
//!   count after it. A greater promise elsewhere ends a lead only when its
//!   holder asks to be let in, refuses updates, or serves. A candidate that cannot fetch what the longest
//!   log has, for its own has another end, makes the server that has it stand, even a distrusted one if everybody
//!   can promise.
//!   An emptied server has nothing to promise for and renounces lower epochs instead: a candidate that has
//!   everything does without it, or nobody would lead while the third one is dead.
//! - **Total failure** (P13): who may know more is waited for by name; an operator may force the lead. Under
//!   `available` a server that was the last one standing needs nobody, but first knows how everybody is:
//!   another may have been made to lead while it was away.
//! - **Own pause, step down, failure, shutdown, disk** (P14, P16, P18; `step_down`). A leader that is asked to
//!   hand over to a member takes no more updates, lets the batch in flight end, and resigns, naming it: that
//!   one stands without the delay of its rank, the others give it the time of an election, and then go by rank.
//!   The name only says who goes first; it wins as every other candidate does. Of servers whose tables differ
//!   the odd one ends (`tables`).
//! - **Reads** (P15; `reads`): a heartbeat round or a batch that began after the read came.
//! - **Catch up** (P17; `stream` at the leader, `registration` at the follower): from the batches in memory,
//!   from the store, or by a snapshot. Logs are compared by where their epochs begin. A snapshot is taken only if its
//!   place is not before the own end, and the own log is still the one that asked for it.
//! - **Reconcile** (P21; `reconcile`): under `available` a server with entries that the greater history lacks has
//!   them merged into it, keeps its file aside, and takes a snapshot. Where its log was trimmed past the
//!   last common entry it can only keep the file, and says how many entries are in it.
//! - **Trim** (P19; `trim`).
//! - **Blank servers** (P20; `blank`, `memory`): a new cluster begins with one View stored by one server. A
//!   server whose log was emptied or is old promises nothing until it is in sync again, and says it is Blank;
//!   only when all configured servers are reachable and none serves does it promise, and says with its promise
//!   what it is: the candidate must then win them all. Under `majority` it takes nothing before so many others
//!   that hold data told it their promises; of a leader that an operator forced, and that nobody has joined
//!   yet, its own promise is enough. An old copy of a data folder counts a start that the others know already:
//!   who answers what the known life was asked and did not answer lives later than it, is let in, and is told
//!   that its folder is old; its life ends with that, and its place in a view. The first epoch of every life
//!   jumps by a random number, for who led alone and lost that disk, or got an older one back, must not name an
//!   epoch twice.
//!
//! # Why this way
//! Every rule that waits for a state of affairs is looked at after every event (`Core::turn`), instead of
//! being triggered by the messages that usually bring it about: nothing hangs on a message that got lost.

mod blank;
mod candidate;
mod core;
mod epoch;
mod event;
mod follower;
mod heartbeat;
mod leader;
mod log;
mod log_index;
mod mail;
mod memory;
mod message;
mod mutant;
mod peer;
mod probe;
mod progress;
mod random;
mod reads;
mod reconcile;
mod registration;
mod status;
mod step_down;
mod stream;
mod succession;
mod tables;
mod trim;
mod views;
mod work;

pub use self::core::Core;
pub use epoch::{Epoch, Incarnation, ServerId};
pub use event::{
    Boot, Effect, Event, LocalState, OpId, Operation, PeerStatus, Policy, ReadId, SendLog,
    Settings, Status, Time, Timing, WaiterId,
};
pub use log::{Boundary, Entry, Hash, LogSummary, Payload, Position, RECENT, Seq, View};
pub use message::{
    Body, KnownCommitted, Message, Mode, PeerMemory, Promise, Rejection, Report, Updates,
};
#[doc(hidden)]
pub use mutant::Mutant;
