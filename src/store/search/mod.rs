//! The full-text index: which message holds which word.
//!
//! **Derived data.** It is built behind the log by an [`Indexer`], in transactions and in a file of its own
//! (`search.db` in the data folder): a write never waits for it, a snapshot never carries it, the digest
//! does not know it, and whoever deletes the file has lost nothing but the time to build it again. It holds
//! words and the keys of rows, no bodies. Keys are log positions, equal on every server, and the index
//! remembers up to which entry (place and hash) it has read. As long as the database holds that entry, be
//! it another file that came as a snapshot, the index is right up to there and goes on; otherwise it is
//! built anew, as it is when it is missing, damaged, or of another format.
//!
//! **What it may be wrong about.** It lags behind by less than a second, and it does not know who may see
//! what. So a search takes what the index found for *candidates*: their rows are read from the chat
//! tables, and their present bodies are matched once more (that also yields what to highlight).
//!
//! **Why this way.** Every word is indexed as a word *of its conversation*, and every message under its
//! author there: `12qhello`, `12r7`. So a search costs what the viewer's own conversations hold, however
//! much others write, and beginnings of words are looked up among the words of a conversation only.
//! Looked at in a bare prototype before it was written so (a million messages of ten words in 2,000
//! conversations, all parts merged, warm, the best of three, candidates alone): words in 5, 50 and 200
//! conversations took up to 0.2, 1.1 and 3.1 ms, where one list a word for all, cut with a list a
//! conversation, took up to 3.8, 6.1 and 12.3 ms. In 2,000 conversations neither is quick (up to 84 and 154
//! ms), and beginnings of two letters in 50 and more cost a little more this way. Before the parts are merged,
//! 200 conversations take up to 77 ms: hence the merging.
//!
//! **Merges.** Nothing of the index travels when two histories are merged. A merge writes rows, and the
//! index reads rows: messages that it adds stand at new positions, and those whose bodies it changes are
//! noted by the triggers that note every such change.

mod expression;
mod file;
mod indexer;
mod ranking;

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::error::StoreError;
pub(super) use expression::{Terms, in_conversations, in_text};
pub(super) use file::Searcher;
pub use indexer::Indexer;
pub(super) use ranking::Marked;
pub use ranking::SnippetPart;

/// So many connections for searches are kept.
const IDLE: usize = 4;

/// What searches and the indexer share.
pub(super) struct Search {
    path: PathBuf,
    /// Counts the files that stood at the path; 0 before the indexer opened the first.
    file: AtomicU64,
    /// The index holds everything up to this place of the log.
    covered: AtomicU64,
    /// It must hold everything up to here before a search is answered.
    due: AtomicU64,
    /// A search found the file damaged.
    damaged: AtomicBool,
    idle: Mutex<Vec<(u64, Searcher)>>,
}

impl Search {
    pub(super) fn new(path: PathBuf, due: u64) -> Search {
        Search {
            path,
            file: AtomicU64::new(0),
            covered: AtomicU64::new(0),
            due: AtomicU64::new(due),
            damaged: AtomicBool::new(false),
            idle: Mutex::default(),
        }
    }

    fn path(&self) -> &Path {
        &self.path
    }

    /// From now on a search is not answered before the index holds everything up to here.
    pub(super) fn demand(&self, due: u64) {
        self.due.store(due, Ordering::SeqCst);
    }

    /// The index holds everything up to this place of the log.
    pub(super) fn covered(&self) -> u64 {
        self.covered.load(Ordering::SeqCst)
    }

    /// Runs a query on the index; `None` if it does not hold yet what it must, or turns out to be damaged.
    pub(super) fn with<T>(
        &self,
        query: impl FnOnce(&mut Searcher) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let file = self.file.load(Ordering::SeqCst);
        let covered = self.covered.load(Ordering::SeqCst);
        if file == 0 || covered < self.due.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let kept = self.idle().pop().filter(|(of, _)| *of == file);
        let opened = kept.map_or_else(|| Searcher::open(&self.path), |(_, kept)| Ok(kept));
        match opened.and_then(|mut searcher| Ok((query(&mut searcher)?, searcher))) {
            Ok((found, searcher)) => {
                let mut idle = self.idle();
                if idle.len() < IDLE {
                    idle.push((file, searcher));
                }
                Ok(Some(found))
            }
            Err(error) if file::is_damage(&error) => {
                tracing::warn!(%error, "the search index is damaged; it is built again");
                self.damaged.store(true, Ordering::SeqCst);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(u64, Searcher)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
