//! Searching the viewer's messages.
//!
//! Hits are ranked within *windows*: the newest 250 candidates, then the 250 before, and so on. So the cost of
//! a page is bounded however common a word is, the newest conversations come first, and every hit is on some
//! page. A page token holds the window's ends and the last message shown of it; what is written, edited or
//! deleted meanwhile moves no other message from one page to another.

mod scopes;

use std::{cmp::Reverse, collections::BTreeMap};

use diesel::{
    ExpressionMethods as _, QueryDsl as _, RunQueryDsl as _, SelectableHelper as _,
    SqliteConnection,
};

use self::scopes::{Scope, authors, first_visible, scopes};
use super::{Answer, messages::show, page};
use crate::{
    chat::{AccountId, ConversationName, Message, Refusal, SearchQuery},
    store::{
        error::StoreError,
        pool::Reader,
        removed,
        rows::{self, AccountRow, MessageRow},
        schema::messages,
        search::{Marked, Search, SnippetPart, Terms, in_conversations, in_text},
    },
};

/// The candidates of one window, at most.
const WINDOW: usize = 250;
/// Their bodies, at most; one at least is looked at.
const WINDOW_BYTES: usize = 256 * 1024;
/// One page looks into so many windows; it may be short, or empty, with a token for the next.
const WINDOWS: usize = 8;
/// So many conversations are asked for at once.
const CONVERSATIONS: usize = 100;
/// Leaves room for everything around the messages in an answer of 1 MiB.
const MAX_PAGE_BYTES: usize = 900 * 1024;
/// What a message's other fields and its snippet take at most.
const MESSAGE_OVERHEAD: usize = 1_536;

/// A page of found messages.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SearchPage {
    /// The best of the newest first, each with what to show of it.
    pub found: Vec<(Message, Vec<SnippetPart>)>,
    /// Asks for the next page; empty after the last.
    pub next_page_token: String,
}

/// Where a page begins.
#[derive(Clone, Copy)]
struct Start {
    /// The newest message that the window may hold, and the oldest if that is settled.
    top: i64,
    bottom: i64,
    /// What was shown last of the window: its score and its key.
    shown: Option<(i64, i64)>,
}

/// A visible candidate with its score and matches.
struct Hit {
    score: i64,
    row: MessageRow,
    marked: Marked,
}

impl Hit {
    fn rank(&self) -> Reverse<(i64, i64)> {
        Reverse((self.score, self.row.id))
    }
}

/// A window's visible hits, the best first.
struct Window {
    hits: Vec<Hit>,
    /// The oldest and the newest candidate.
    ends: (i64, i64),
    has_older: bool,
}

impl Reader {
    /// A page of the messages that hold everything that the query names, in one conversation or in all of
    /// the viewer's. `None` while the index is being built.
    pub fn search(
        &mut self,
        viewer: AccountId,
        query: &SearchQuery,
        conversation: Option<&ConversationName>,
        page_size: i32,
        page_token: &str,
    ) -> Result<Answer<Option<SearchPage>>, StoreError> {
        let (size, start) = match (page::size(page_size), start(page_token)) {
            (Ok(size), Ok(start)) => (size as usize, start),
            (Err(refusal), _) | (_, Err(refusal)) => return Ok(Err(refusal)),
        };
        let connection = &mut self.connection;
        let Some(viewer) = rows::account_by_id(connection, viewer)? else {
            return Ok(Err(Refusal::NoSuchAccount));
        };
        let authors = match authors(connection, &query.from)? {
            Ok(authors) => authors,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let scopes = match scopes(connection, &viewer, conversation)? {
            Ok(scopes) => scopes,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let terms = Terms::new(query, authors);
        let mut looking =
            Looking { connection, index: &self.search, viewer: &viewer, terms: &terms, scopes };
        looking.page(start, size).map(Ok)
    }
}

fn start(token: &str) -> Result<Start, Refusal> {
    let numbers = page::read_numbers::<4>(token)?;
    Ok(match numbers {
        None => Start { top: i64::MAX, bottom: 0, shown: None },
        Some([top, bottom, ..]) if bottom < 0 || top < bottom => return Err(page::bad_token()),
        Some([top, bottom, 0, 0]) => Start { top, bottom, shown: None },
        Some([top, bottom, score, key]) => Start { top, bottom, shown: Some((score, key)) },
    })
}

/// One search under way.
struct Looking<'a> {
    connection: &'a mut SqliteConnection,
    index: &'a Search,
    viewer: &'a AccountRow,
    terms: &'a Terms<'a>,
    scopes: Vec<Scope>,
}

impl Looking<'_> {
    fn page(&mut self, start: Start, size: usize) -> Result<Option<SearchPage>, StoreError> {
        let (mut shown, mut bytes, mut at) = (Vec::new(), 0, start);
        let mut next_page_token = String::new();
        for _ in 0..WINDOWS {
            let Some(window) = self.window(at)? else { return Ok(None) };
            let Some(Window { hits, ends: (oldest, newest), has_older }) = window else {
                next_page_token.clear();
                break;
            };
            let last = at.shown;
            let left =
                hits.into_iter().filter(|hit| last.is_none_or(|last| Reverse(last) < hit.rank()));
            let mut is_cut = false;
            for hit in left {
                let cost = hit.row.body.len() + MESSAGE_OVERHEAD;
                if shown.len() == size || (bytes + cost > MAX_PAGE_BYTES && !shown.is_empty()) {
                    is_cut = true;
                    break;
                }
                bytes += cost;
                at.shown = Some((hit.score, hit.row.id));
                shown.push(hit);
            }
            if is_cut {
                // A page that ends where a window begins has shown nothing of it.
                let (score, key) = at.shown.unwrap_or_default();
                next_page_token = page::number_token(&[newest, oldest, score, key]);
                break;
            }
            if !has_older {
                next_page_token.clear();
                break;
            }
            at = Start { top: oldest.saturating_sub(1), bottom: 0, shown: None };
            next_page_token = page::number_token(&[at.top, 0, 0, 0]);
        }
        Ok(Some(SearchPage { found: self.show(shown)?, next_page_token }))
    }

    /// The next window; inner `None` after the last, outer `None` without an index.
    fn window(&mut self, start: Start) -> Result<Option<Option<Window>>, StoreError> {
        // A settled window may have grown by edits; a token that was made up gains nothing.
        let is_settled = start.bottom != 0;
        let slack = if is_settled { 2 } else { 1 };
        let limit = WINDOW * slack;
        let Some(keys) = self.candidates((start.bottom.max(1), start.top), limit)? else {
            return Ok(None);
        };
        let (Some(newest), Some(oldest)) = (keys.first(), keys.last()) else {
            let ends = (start.bottom, start.top);
            let empty = Window { hits: Vec::new(), ends, has_older: true };
            return Ok(Some(is_settled.then_some(empty)));
        };
        let is_full = keys.len() == limit;
        let mut ends = match is_settled && !is_full {
            true => (start.bottom, start.top),
            false => (*oldest, *newest),
        };
        let mut rows = self.visible(&keys)?;
        let fitting = fitting(&rows, WINDOW_BYTES * slack);
        let is_long = fitting < rows.len();
        rows.truncate(fitting);
        if let Some(last) = rows.last().filter(|_| is_long) {
            ends.0 = last.id;
        }
        let has_older = is_settled || is_full || is_long;
        let hits = self.rank(rows)?;
        Ok(hits.map(|hits| Some(Window { hits, ends, has_older })))
    }

    /// The newest messages that the index finds within these keys, the newest first.
    fn candidates(
        &mut self,
        (first, last): (i64, i64),
        limit: usize,
    ) -> Result<Option<Vec<i64>>, StoreError> {
        let mut found: Vec<i64> = Vec::new();
        let mut from = 0;
        while from < self.scopes.len() {
            let part = &self.scopes[from..self.scopes.len().min(from + CONVERSATIONS)];
            from += part.len();
            // What no conversation from here on can have is not looked for.
            let newest_here = part.first().map_or(0, |scope| scope.last_position);
            let enough = found.len() >= limit && found[limit - 1] > newest_here;
            if enough || newest_here < first {
                break;
            }
            let mut conversations = Vec::with_capacity(part.len());
            for scope in part {
                if first_visible(self.connection, scope)? <= last {
                    conversations.push(scope.conversation);
                }
            }
            if conversations.is_empty() {
                continue;
            }
            let expression = in_conversations(&conversations, self.terms);
            let range = (first, last);
            let hits = self.index.with(|index| {
                index
                    .hits(&expression, range, limit as i64)
                    .map_err(StoreError::database("search the index"))
            })?;
            let Some(hits) = hits else { return Ok(None) };
            found.extend(hits);
            found.sort_unstable_by_key(|key| Reverse(*key));
            found.truncate(limit);
        }
        Ok(Some(found))
    }

    /// Those of these messages that the viewer may see, the newest first.
    fn visible(&mut self, keys: &[i64]) -> Result<Vec<MessageRow>, StoreError> {
        let joined: BTreeMap<i64, i64> =
            self.scopes.iter().map(|scope| (scope.conversation, scope.joined_seq)).collect();
        let mut rows: Vec<MessageRow> = messages::table
            .filter(messages::id.eq_any(keys))
            .select(MessageRow::as_select())
            .load(self.connection)
            .map_err(StoreError::database("read found messages"))?;
        let hidden = removed::among(self.connection, self.viewer.id, keys)?;
        rows.retain(|row| {
            let is_seen = joined.get(&row.conversation).is_some_and(|joined| *joined < row.seq);
            let by_author =
                self.terms.authors.is_empty() || self.terms.authors.contains(&row.sender);
            is_seen && by_author && !row.deleted && !hidden.contains(&row.id)
        });
        rows.sort_unstable_by_key(|row| Reverse(row.id));
        Ok(rows)
    }

    /// Those whose present bodies hold all phrases, the best first.
    fn rank(&mut self, rows: Vec<MessageRow>) -> Result<Option<Vec<Hit>>, StoreError> {
        if self.terms.phrases.is_empty() {
            let hits = rows.into_iter().map(|row| {
                let marked = Marked::plain(&row.body);
                Hit { score: 0, row, marked }
            });
            return Ok(Some(hits.collect()));
        }
        let expression = in_text(self.terms.phrases);
        let bodies = rows.iter().map(|row| (row.id, row.body.as_str()));
        let matches = self.index.with(|index| {
            index.matches(&expression, bodies).map_err(StoreError::database("rank what was found"))
        })?;
        let Some(matches) = matches else { return Ok(None) };
        let mut matches: BTreeMap<i64, Marked> = matches.into_iter().collect();
        let mut hits: Vec<Hit> = rows
            .into_iter()
            .filter_map(|row| {
                let marked = matches.remove(&row.id)?;
                Some(Hit { score: marked.score(&row.body), row, marked })
            })
            .collect();
        hits.sort_unstable_by_key(Hit::rank);
        Ok(Some(hits))
    }

    /// The found messages as the viewer sees them, in this order.
    fn show(&mut self, hits: Vec<Hit>) -> Result<Vec<(Message, Vec<SnippetPart>)>, StoreError> {
        let order: Vec<i64> = hits.iter().map(|hit| hit.row.id).collect();
        let mut by_conversation: BTreeMap<i64, Vec<MessageRow>> = BTreeMap::new();
        let mut snippets = BTreeMap::new();
        for hit in hits {
            snippets.insert(hit.row.id, hit.marked.snippet());
            by_conversation.entry(hit.row.conversation).or_default().push(hit.row);
        }
        let viewer = self.viewer.public_id()?;
        let mut shown = BTreeMap::new();
        for (conversation, found) in by_conversation {
            let row = rows::conversation_by_key(self.connection, conversation)?;
            let name = rows::place(self.connection, &row)?.seen_by(viewer);
            let keys: Vec<i64> = found.iter().map(|row| row.id).collect();
            let messages = show(self.connection, self.viewer.id, &name, found)?;
            shown.extend(keys.into_iter().zip(messages));
        }
        let found =
            order.iter().filter_map(|key| Some((shown.remove(key)?, snippets.remove(key)?)));
        Ok(found.collect())
    }
}

/// How many of these messages have room, one at least if there is one.
fn fitting(rows: &[MessageRow], mut bytes: usize) -> usize {
    let fits = |row: &&MessageRow| {
        let room = bytes > 0;
        bytes = bytes.saturating_sub(row.body.len());
        room
    };
    rows.iter().take_while(fits).count()
}
