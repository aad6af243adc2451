//! The one who writes the index: reads committed rows, step by step, behind everybody's back.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, RunQueryDsl as _,
    SqliteConnection,
    connection::{DefaultLoadingMode, SimpleConnection as _},
};

#[cfg(test)]
use diesel::{Connection as _, connection::InstrumentationEvent};

use super::{
    Search, expression,
    file::{self, Extent, IndexFile},
};
use crate::store::{
    connection,
    error::StoreError,
    handle::Shared,
    log,
    schema::{body_changes, log as log_table, messages},
};

/// What one step reads at most: so many new messages, …
const MESSAGES: i64 = 2_000;
/// … so many bytes of their bodies, …
const BYTES: usize = 1024 * 1024;
/// … and so many changes, those of one entry of the log aside.
const CHANGES: i64 = 2_000;
/// One bit of merging writes about so many pages.
const PAGES: i64 = 256;
/// Fewer loose rows are not worth merging all parts, unless it is asked for.
const LEAST_LOOSE: i64 = 20_000;
/// Nor is less than this part of the whole.
const LOOSE_PART: i64 = 8;

/// Builds the search index, in the caller's thread and at the caller's pace.
pub struct Indexer {
    shared: Arc<Shared>,
    /// The replicated database, and its generation.
    chat: Option<(u64, SqliteConnection)>,
    index: Option<IndexFile>,
    merging: Merging,
}

impl std::fmt::Debug for Indexer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Indexer").finish_non_exhaustive()
    }
}

/// Whether the parts of the index are being merged into one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Merging {
    No,
    Wanted,
    Begun,
}

/// What a step found in the replicated database.
struct Findings {
    /// Messages that may stand in the index already.
    known: Vec<i64>,
    texts: Vec<(i64, String)>,
    extent: Extent,
}

/// A message: its key, conversation, author, body, and whether it is deleted.
type Row = (i64, i64, i64, String, bool);

impl Indexer {
    pub(in crate::store) fn new(shared: Arc<Shared>) -> Indexer {
        Indexer { shared, chat: None, index: None, merging: Merging::No }
    }

    /// Takes the next part of what is committed into the index, or else merges some of the index's parts;
    /// says whether there is more to do. Takes some tens of milliseconds.
    ///
    /// # Errors
    /// When a file cannot be read or written; the next step begins by opening it again, and a damaged index
    /// is thrown away.
    pub fn step(&mut self) -> Result<bool, StoreError> {
        let search = self.shared.search.clone();
        if search.damaged.swap(false, Ordering::SeqCst) {
            self.throw_away(&search)?;
        }
        let done = self.try_step(&search);
        if let Err(error) = &done {
            self.chat = None;
            self.index = None;
            if file::is_damage(error) {
                self.throw_away(&search)?;
            }
        }
        done
    }

    /// Takes everything that is committed into the index.
    ///
    /// # Errors
    /// As of [`Indexer::step`].
    pub fn catch_up(&mut self) -> Result<(), StoreError> {
        while self.step()? {}
        Ok(())
    }

    /// Wants the index's parts to be merged when there is nothing else to do, so that searches look into
    /// one part and words that were taken out leave the file.
    pub fn tidy(&mut self) {
        if self.merging == Merging::No {
            self.merging = Merging::Wanted;
        }
    }

    /// The next step throws the file away and begins anew, whatever it holds.
    pub fn distrust(&mut self) {
        self.shared.search.damaged.store(true, Ordering::SeqCst);
    }

    /// Has a test hear what is asked of the replicated database.
    #[cfg(test)]
    pub(in crate::store) fn hear(
        &mut self,
        listen: impl FnOnce(&mut SqliteConnection),
    ) -> Result<(), StoreError> {
        let search = self.shared.search.clone();
        self.open(&search)?;
        let (_, chat) = self.chat.as_mut().expect("it was opened");
        listen(chat);
        Ok(())
    }

    /// Has a test see the next step panic.
    #[cfg(test)]
    pub(crate) fn panics_next(&mut self) -> Result<(), StoreError> {
        self.hear(|chat| {
            chat.set_instrumentation(|_: InstrumentationEvent<'_>| panic!("the test wants it"));
        })
    }

    fn try_step(&mut self, search: &Search) -> Result<bool, StoreError> {
        self.open(search)?;
        let (Some((_, chat)), Some(index)) = (&mut self.chat, &mut self.index) else {
            unreachable!("both were opened")
        };
        let doing = StoreError::database("read what is to be indexed");
        chat.batch_execute("BEGIN").map_err(doing)?;
        let findings = find(chat, &index.extent);
        chat.batch_execute("COMMIT").map_err(StoreError::database("end reading"))?;
        if let Some(findings) = findings? {
            let Findings { known, texts, extent } = findings;
            let more = extent.position < extent.head_seq;
            index.write(&known, &texts, extent)?;
            search.covered.store(index.extent.position as u64, Ordering::SeqCst);
            return Ok(more || self.merge_is_due());
        }
        search.covered.store(index.extent.position as u64, Ordering::SeqCst);
        self.merge()
    }

    /// Opens what is not open, and looks whether index and database belong together when one of them is
    /// another one than before.
    fn open(&mut self, search: &Search) -> Result<(), StoreError> {
        let generation = self.shared.generation();
        let known = matches!(&self.chat, Some((of, _)) if *of == generation);
        if known && self.index.is_some() {
            return Ok(());
        }
        let mut chat = connection::open_reader(&self.shared.database())?;
        let mut index = match self.index.take() {
            Some(index) => index,
            None => self.open_index(search)?,
        };
        if !belongs(&mut chat, &index.extent)? {
            tracing::info!("building the search index anew: it is of another history");
            drop(index);
            self.throw_away(search)?;
            index = self.open_index(search)?;
        }
        (self.chat, self.index) = (Some((generation, chat)), Some(index));
        Ok(())
    }

    fn open_index(&self, search: &Search) -> Result<IndexFile, StoreError> {
        let index = IndexFile::open(search.path())?;
        search.file.fetch_add(1, Ordering::SeqCst);
        Ok(index)
    }

    fn throw_away(&mut self, search: &Search) -> Result<(), StoreError> {
        search.covered.store(0, Ordering::SeqCst);
        search.file.store(0, Ordering::SeqCst);
        (self.chat, self.index, self.merging) = (None, None, Merging::No);
        search.idle().clear();
        file::remove(search.path())
    }

    fn merge_is_due(&self) -> bool {
        let Some(index) = &self.index else { return false };
        let least = match self.merging {
            Merging::No => LEAST_LOOSE.max(index.extent.position / LOOSE_PART),
            Merging::Wanted => 1,
            Merging::Begun => return true,
        };
        index.extent.loose >= least
    }

    fn merge(&mut self) -> Result<bool, StoreError> {
        if !self.merge_is_due() {
            self.merging = Merging::No;
            return Ok(false);
        }
        let Some(index) = &mut self.index else { return Ok(false) };
        let first = self.merging != Merging::Begun;
        self.merging = Merging::Begun;
        if index.merge(first, PAGES)? || first {
            return Ok(true);
        }
        self.merging = Merging::No;
        let extent = Extent { loose: 0, ..index.extent.clone() };
        index.write(&[], &[], extent)?;
        Ok(false)
    }
}

/// Whether the database goes on from the log that the index was read from.
fn belongs(chat: &mut SqliteConnection, extent: &Extent) -> Result<bool, StoreError> {
    if extent.head_seq == 0 {
        return Ok(true);
    }
    let hash: Option<Vec<u8>> = log_table::table
        .find(extent.head_seq)
        .select(log_table::hash)
        .first(chat)
        .optional()
        .map_err(StoreError::database("compare the search index with the log"))?;
    Ok(hash.as_ref() == Some(&extent.head_hash))
}

/// The next part; `None` if the index holds everything.
fn find(chat: &mut SqliteConnection, extent: &Extent) -> Result<Option<Findings>, StoreError> {
    let Some(head) = log::head(chat)?.map(|head| head.last) else { return Ok(None) };
    let (after, end) = (extent.position, head.seq as i64);
    if after >= end {
        return Ok(None);
    }
    let new = new_messages(chat, after, end)?;
    let until = new.until;
    let (changed, until) = changed_messages(chat, after, until)?;
    let mut rows: BTreeMap<i64, Option<Row>> =
        new.rows.into_iter().filter(|row| row.0 <= until).map(|row| (row.0, Some(row))).collect();
    let mut known = Vec::new();
    for message in changed {
        if message <= after {
            known.push(message);
            rows.insert(message, read(chat, message)?);
        }
    }
    let present = rows.into_values().flatten().filter(|row| !row.4 && !row.3.is_empty());
    let texts: Vec<(i64, String)> = present
        .map(|(message, conversation, author, body, _)| {
            (message, expression::indexed(conversation, author, &body))
        })
        .collect();
    let loose = extent.loose + (known.len() + texts.len()) as i64;
    let head_hash = head.hash.0.to_vec();
    let extent = Extent { position: until, head_seq: end, head_hash, loose };
    Ok(Some(Findings { known, texts, extent }))
}

/// Messages that came, and up to where in the log these are all.
struct New {
    rows: Vec<Row>,
    until: i64,
}

/// The messages that came after this position, with their present bodies.
fn new_messages(chat: &mut SqliteConnection, after: i64, end: i64) -> Result<New, StoreError> {
    let doing = || StoreError::database("read new messages for the search index");
    let found = messages::table
        .filter(messages::id.gt(after))
        .order(messages::id)
        .limit(MESSAGES)
        .select((
            messages::id,
            messages::conversation,
            messages::sender,
            messages::body,
            messages::deleted,
        ))
        .load_iter::<Row, DefaultLoadingMode>(chat)
        .map_err(doing())?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    for row in found {
        let row = row.map_err(doing())?;
        bytes += row.3.len();
        rows.push(row);
        if bytes > BYTES {
            break;
        }
    }
    let is_all = bytes <= BYTES && (rows.len() as i64) < MESSAGES;
    let until = if is_all { end } else { rows.last().map_or(end, |last| last.0) };
    Ok(New { rows, until })
}

/// The messages whose bodies were changed between these positions, and up to where these are all.
fn changed_messages(
    chat: &mut SqliteConnection,
    after: i64,
    until: i64,
) -> Result<(Vec<i64>, i64), StoreError> {
    let doing = || StoreError::database("read changed messages for the search index");
    let mut found: Vec<(i64, i64)> = body_changes::table
        .filter(body_changes::position.gt(after))
        .filter(body_changes::position.le(until))
        .order((body_changes::position, body_changes::message))
        .limit(CHANGES)
        .select((body_changes::position, body_changes::message))
        .load(chat)
        .map_err(doing())?;
    let cut = match found.last() {
        Some((last, _)) if found.len() as i64 == CHANGES => *last,
        _ => return Ok((found.into_iter().map(|(_, message)| message).collect(), until)),
    };
    // What one entry changed is never torn apart.
    found.retain(|(position, _)| *position < cut);
    let rest: Vec<i64> = body_changes::table
        .filter(body_changes::position.eq(cut))
        .select(body_changes::message)
        .load(chat)
        .map_err(doing())?;
    let changed = found.into_iter().map(|(_, message)| message).chain(rest);
    Ok((changed.collect(), cut))
}

/// The message as it is now; `None` if its row is gone.
fn read(chat: &mut SqliteConnection, message: i64) -> Result<Option<Row>, StoreError> {
    messages::table
        .find(message)
        .select((
            messages::id,
            messages::conversation,
            messages::sender,
            messages::body,
            messages::deleted,
        ))
        .first(chat)
        .optional()
        .map_err(StoreError::database("read a changed message for the search index"))
}
