//! One server's side of a comparison: it waits for a mark, takes its view of the tables, and answers questions
//! about it. For this server's own comparison and for another's alike.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, mpsc},
    time::timeout,
};

use crate::{
    chat::MarkId,
    store::{PageRows, SCHEMA_VERSION, Store, StoreError, TableView},
    wire::{
        cluster::{
            AllRead, Awaited, RowsOfPage, TablePage, TableRow, TableRows, ViewTaken,
            compare_tables_request::Question, compare_tables_response::Answer,
        },
        peer,
    },
};

/// A mark that is not committed after this went another way.
const MARK: Duration = Duration::from_secs(10);
/// Whoever asks nothing for so long has forgotten us; a view must not be kept for ever.
const QUESTION: Duration = Duration::from_secs(600);
/// The bytes of a mark's name.
const MARK_BYTES: usize = 16;

/// Why it ends early, in words for whoever asked.
type Problem = String;

/// Answers until nobody asks any more.
pub(super) async fn answer(
    store: Store,
    mut questions: mpsc::Receiver<Question>,
    answers: mpsc::Sender<Answer>,
) {
    if let Err(problem) = try_answer(&store, &mut questions, &answers).await {
        let _ = answers.send(Answer::Damage(problem)).await;
    }
}

async fn try_answer(
    store: &Store,
    questions: &mut mpsc::Receiver<Question>,
    answers: &mpsc::Sender<Answer>,
) -> Result<(), Problem> {
    let Some(Question::Mark(mark)) = questions.recv().await else { return Ok(()) };
    let mark: [u8; MARK_BYTES] =
        mark.as_ref().try_into().map_err(|_| "a mark's name has 16 bytes".to_owned())?;
    let awaited = store.await_mark(MarkId(mark));
    let mut awaited = awaited.ok_or("too many comparisons are under way; try again later")?;
    let _ = answers.send(Answer::Awaited(Awaited {})).await;
    let view = tokio::select! {
        view = timeout(MARK, awaited.reached()) => view.map_err(|_| "the mark did not come")?,
        // Whoever asked is gone.
        _ = questions.recv() => return Ok(()),
    };
    let view = view.map_err(words)?;
    let taken = ViewTaken {
        position: Some(peer::position_to(view.position)),
        schema_version: SCHEMA_VERSION,
    };
    let _ = answers.send(Answer::ViewTaken(taken)).await;
    let view = Arc::new(Mutex::new(view));
    while let Ok(Some(question)) = timeout(QUESTION, questions.recv()).await {
        let (view, to) = (view.clone().lock_owned().await, answers.clone());
        let reading = tokio::task::spawn_blocking(move || carry_out(view, question, &to));
        reading.await.map_err(|error| error.to_string())??;
    }
    Ok(())
}

fn carry_out(
    mut view: tokio::sync::OwnedMutexGuard<TableView>,
    question: Question,
    to: &mpsc::Sender<Answer>,
) -> Result<(), Problem> {
    let answer = match question {
        Question::Mark(_) => return Err("one mark is waited for at a time".into()),
        Question::Read(_) => {
            let tell = |page: crate::store::TablePage| {
                let digest = page.digest.to_vec().into();
                let page = TablePage { table: page.table, rows: page.rows, digest };
                to.blocking_send(Answer::Page(page)).is_ok()
            };
            view.read(tell).map_err(words)?;
            Answer::AllRead(AllRead {})
        }
        Question::Rows(RowsOfPage { table, page }) => {
            let page = usize::try_from(page).unwrap_or(usize::MAX);
            let PageRows { columns, rows } =
                view.rows(&table, page).map_err(words)?.unwrap_or_default();
            let rows = rows
                .into_iter()
                .map(|row| TableRow { key: row.key, digests: row.columns.concat().into() });
            Answer::Rows(TableRows { columns, rows: rows.collect() })
        }
    };
    // Whoever went away needs no answer.
    let _ = to.blocking_send(answer);
    Ok(())
}

fn words(error: StoreError) -> Problem {
    error.to_string()
}
