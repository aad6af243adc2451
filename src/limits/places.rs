//! Who holds the connections. They have places, in all and for each address; when these are taken, a stranger
//! makes room for whoever comes: somebody who has shown a session, or to be a server, keeps the place. It
//! is a stranger from where most of them are, and of those the one who came first. Whoever comes from that
//! very place is refused while all there are new, for otherwise a crowd would throw itself out and come back
//! all the time. So a crowd keeps nobody out who comes from elsewhere.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::Origin;

/// A connection on which so many calls were out of place is ended.
const STRIKES: u32 = 100;
/// A stranger has this long to become known before somebody from the same address may take the place.
const NEW: Duration = Duration::from_secs(1);

/// All places of a server; clones share them.
#[derive(Clone, Debug)]
pub struct Places {
    most: usize,
    most_each: usize,
    taken: Arc<Mutex<Taken>>,
}

/// Those that are taken.
#[derive(Default, Debug)]
struct Taken {
    next: u64,
    all: usize,
    by_origin: HashMap<Origin, OfOrigin>,
    /// Where strangers are; where most of them are comes last, and before it where they came later.
    crowds: BTreeSet<(usize, Reverse<u64>, Origin)>,
}

#[derive(Default, Debug)]
struct OfOrigin {
    /// Whoever had to make room is in here no more.
    all: HashSet<u64>,
    /// In the order in which they came.
    strangers: BTreeMap<u64, Stranger>,
}

#[derive(Debug)]
struct Stranger {
    since: Instant,
    end: CancellationToken,
}

/// Why there is no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// All are taken by callers who are known.
    All,
    /// This address has as many as it may.
    Origin,
}

impl Places {
    /// So many in all, and so many for one address.
    pub fn new(most: usize, most_each: usize) -> Places {
        Places { most, most_each, taken: Arc::default() }
    }

    /// Takes a place for a connection from there.
    ///
    /// # Errors
    /// There is none, and nobody who must make room.
    pub fn take(&self, origin: Origin, now: Instant) -> Result<Place, Full> {
        let mut taken = self.lock();
        let own = taken.by_origin.get(&origin);
        let (all, strangers) = own.map_or((0, 0), |own| (own.all.len(), own.strangers.len()));
        if all >= self.most_each {
            taken.make_room_at(origin, now).ok_or(Full::Origin)?;
        } else if taken.all >= self.most {
            let crowd = taken.crowds.last().map(|(count, _, crowd)| (*count, *crowd));
            match crowd {
                Some((count, crowd)) if count > strangers => taken.end_oldest(crowd),
                _ => taken.make_room_at(origin, now).ok_or(Full::All)?,
            }
        }
        let end = CancellationToken::new();
        let id = taken.begin(origin, Stranger { since: now, end: end.clone() });
        Ok(Place(Arc::new(Holder {
            places: self.clone(),
            origin,
            id,
            end,
            known: AtomicU64::new(STRANGER),
            under_way: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            strikes: AtomicU32::new(0),
        })))
    }

    /// How many are taken. One whose holder was told to end counts no more.
    pub fn taken(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn begin(&mut self, origin: Origin, stranger: Stranger) -> u64 {
        let id = self.next;
        self.next += 1;
        self.all += 1;
        self.change(origin, |of_origin| {
            of_origin.all.insert(id);
            of_origin.strangers.insert(id, stranger);
        });
        id
    }

    /// Has the oldest stranger there leave, unless all are new.
    fn make_room_at(&mut self, origin: Origin, now: Instant) -> Option<()> {
        let oldest = self.by_origin.get(&origin)?.strangers.values().next()?;
        if now.saturating_duration_since(oldest.since) < NEW {
            return None;
        }
        self.end_oldest(origin);
        Some(())
    }

    /// Has the oldest stranger there leave.
    fn end_oldest(&mut self, origin: Origin) {
        let oldest = self.by_origin.get(&origin).and_then(|of| of.strangers.first_key_value());
        let Some((id, stranger)) = oldest else { return };
        stranger.end.cancel();
        let id = *id;
        self.greet(origin, id);
        self.leave(origin, id);
    }

    /// One is a stranger no more.
    fn greet(&mut self, origin: Origin, id: u64) {
        self.change(origin, |of_origin| {
            of_origin.strangers.remove(&id);
        });
    }

    /// Changes who is there, and where that stands among the crowds.
    fn change(&mut self, origin: Origin, change: impl FnOnce(&mut OfOrigin)) {
        let of_origin = self.by_origin.entry(origin).or_default();
        let before = of_origin.crowd(origin);
        change(of_origin);
        let after = of_origin.crowd(origin);
        if before != after {
            before.map(|before| self.crowds.remove(&before));
            self.crowds.extend(after);
        }
    }

    /// A place is free again, if it is not already.
    fn leave(&mut self, origin: Origin, id: u64) {
        let Some(of_origin) = self.by_origin.get_mut(&origin) else { return };
        if of_origin.all.remove(&id) {
            self.all -= 1;
        }
        if of_origin.all.is_empty() {
            self.by_origin.remove(&origin);
        }
    }
}

impl OfOrigin {
    /// How many strangers are there, and since when.
    fn crowd(&self, origin: Origin) -> Option<(usize, Reverse<u64>, Origin)> {
        let (first, _) = self.strangers.first_key_value()?;
        Some((self.strangers.len(), Reverse(*first), origin))
    }
}

/// Nobody has shown anything on this connection.
const STRANGER: u64 = 0;

/// A connection's place; free again when its last clone is dropped.
#[derive(Clone, Debug)]
pub struct Place(Arc<Holder>);

#[derive(Debug)]
struct Holder {
    places: Places,
    origin: Origin,
    id: u64,
    end: CancellationToken,
    /// Of whom was made known last, a mark.
    known: AtomicU64,
    under_way: AtomicUsize,
    begun: AtomicU64,
    strikes: AtomicU32,
}

impl Place {
    /// Where the caller is.
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// Ends with the connection's right to its place.
    pub(super) fn end(&self) -> &CancellationToken {
        &self.0.end
    }

    /// A call begins on the connection; it ends with what this returns.
    pub fn call(&self) -> Call {
        self.0.begun.fetch_add(1, Relaxed);
        self.0.under_way.fetch_add(1, Relaxed);
        Call(self.clone())
    }

    /// How many calls are under way, and how many have begun.
    pub(super) fn calls(&self) -> (usize, u64) {
        (self.0.under_way.load(Relaxed), self.0.begun.load(Relaxed))
    }

    /// The caller has shown to be somebody, of whom `mark` is a hash; returns whether that is news.
    pub fn is_known(&self, mark: u64) -> bool {
        let mark = mark.max(STRANGER + 1);
        let before = self.0.known.swap(mark, Relaxed);
        if before == STRANGER {
            self.0.places.lock().greet(self.0.origin, self.0.id);
        }
        before != mark
    }

    /// A call was out of place; after too many of them the connection ends.
    pub fn strike(&self) {
        if self.0.strikes.fetch_add(1, Relaxed) + 1 >= STRIKES {
            self.0.end.cancel();
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.greet(self.origin, self.id);
        taken.leave(self.origin, self.id);
    }
}

/// A call under way on a connection.
#[derive(Debug)]
pub struct Call(Place);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.0.under_way.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u8) -> Origin {
        Origin::of([10, 0, 0, number].into())
    }

    fn has_ended(place: &Place) -> bool {
        place.end().is_cancelled()
    }

    #[test]
    fn the_stranger_who_came_first_makes_room() {
        let (places, now) = (Places::new(3, 3), Instant::now());
        let held: Vec<Place> = (1..=3).map(|n| places.take(at(n), now).expect("free")).collect();
        let fourth = places.take(at(4), now).expect("made room for");
        let ended: Vec<bool> = held.iter().map(has_ended).collect();
        assert_eq!((ended, has_ended(&fourth)), (vec![true, false, false], false));
        assert_eq!(places.taken(), 3);
        drop(held);
        assert_eq!(places.taken(), 1, "a place is given back once");
        drop(fourth);
        let taken = places.lock();
        assert!(taken.all == 0 && taken.crowds.is_empty() && taken.by_origin.is_empty());
    }

    #[test]
    fn a_crowd_makes_room_for_whoever_comes_from_elsewhere_and_does_not_throw_itself_out() {
        let (places, now) = (Places::new(6, 5), Instant::now());
        let few: Vec<Place> = (0..2).map(|_| places.take(at(1), now).unwrap()).collect();
        let crowd: Vec<Place> = (0..4).map(|_| places.take(at(2), now).unwrap()).collect();
        for _ in 0..100 {
            assert_eq!(places.take(at(2), now).expect_err("all there are new"), Full::All);
        }
        let newcomer = places.take(at(3), now).expect("from elsewhere");
        assert!(has_ended(&crowd[0]) && !crowd[1..].iter().any(has_ended));
        assert!(!few.iter().any(has_ended) && !has_ended(&newcomer));
        let own = places.take(at(2), now + NEW).expect("none of them is new any more");
        assert!(has_ended(&crowd[1]) && !has_ended(&own));
    }

    #[test]
    fn whoever_is_known_keeps_the_place() {
        let (places, now) = (Places::new(2, 2), Instant::now());
        let (known, stranger) =
            (places.take(at(1), now).unwrap(), places.take(at(2), now).unwrap());
        assert!(known.is_known(5) && !known.is_known(5) && known.is_known(6));
        let third = places.take(at(3), now).expect("the stranger makes room");
        assert!(has_ended(&stranger) && !has_ended(&known));
        assert!(third.is_known(7));
        assert_eq!(places.take(at(4), now).expect_err("all are known"), Full::All);
        drop(known);
        assert!(places.take(at(4), now).is_ok());
    }

    #[test]
    fn one_address_takes_places_from_itself_only() {
        let (places, now) = (Places::new(10, 2), Instant::now());
        let other = places.take(at(1), now).unwrap();
        let own = (0..5).map(|n| places.take(at(2), now + NEW * n).unwrap());
        let own: Vec<Place> = own.collect();
        assert_eq!(own.iter().filter(|place| !has_ended(place)).count(), 2);
        assert!(!has_ended(&other));
        assert!(own[3].is_known(1) && own[4].is_known(1));
        let later = now + NEW * 10;
        assert_eq!(places.take(at(2), later).expect_err("both are known"), Full::Origin);
        drop(own);
        assert_eq!(places.taken(), 1);
    }

    #[test]
    fn one_who_becomes_known_while_having_to_leave_gives_the_place_back_once() {
        let (places, now) = (Places::new(1, 1), Instant::now());
        let first = places.take(at(1), now).unwrap();
        let second = places.take(at(1), now + NEW).unwrap();
        assert!(has_ended(&first));
        first.is_known(1);
        drop(first);
        assert_eq!(places.taken(), 1);
        drop(second);
        assert_eq!(places.taken(), 0);
    }

    #[test]
    fn calls_out_of_place_end_the_connection_and_calls_are_counted() {
        let place = Places::new(1, 1).take(at(1), Instant::now()).unwrap();
        let call = place.call();
        drop(place.call());
        assert_eq!(place.calls(), (1, 2));
        drop(call);
        assert_eq!(place.calls(), (0, 2));
        for _ in 1..STRIKES {
            place.strike();
        }
        assert!(!has_ended(&place));
        place.strike();
        assert!(has_ended(&place));
    }
}
