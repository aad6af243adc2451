//! The comparison of all servers that are in sync: one mark, everybody's view of the tables at it, page by page.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::Status;

use super::{
    Administration,
    difference::{self, OddRow, PlaceOfPage},
};
use crate::{
    chat::MarkId,
    cluster::{Position, Seq, ServerId},
    rpc::{context, errors, operations::ForLeader, tables},
    wire::{
        admin::{Damage, Difference, Group, VerifyResponse},
        cluster::{
            ReadTables, RowsOfPage, TablePage, TableRows, compare_tables_request::Question,
            compare_tables_response::Answer,
        },
        peer,
    },
};

/// Batches are not cut alike where a server has just fallen behind: then another mark is tried.
const ATTEMPTS: usize = 10;
/// For short answers.
const SOON: Duration = Duration::from_secs(15);
/// For the next page, and for the check of a file before the first one.
const PAGE: Duration = Duration::from_secs(600);
/// Pages on their way.
const PAGES: usize = 64;

/// A server that is being looked at.
struct Looked {
    questions: mpsc::Sender<Question>,
    answers: mpsc::Receiver<Answer>,
}

/// What a server's answer came to; what is damaged is no failure of the comparison.
type Told<T> = Result<T, String>;

impl Looked {
    async fn ask(&self, question: Question) -> Told<()> {
        self.questions.send(question).await.map_err(|_| GONE.to_owned())
    }

    async fn next(&mut self, patience: Duration) -> Told<Answer> {
        match timeout(patience, self.answers.recv()).await {
            Ok(Some(Answer::Damage(problem))) => Err(problem),
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(GONE.into()),
            Err(_) => Err("it does not answer".into()),
        }
    }

    async fn awaits(&mut self, mark: MarkId) -> Told<()> {
        self.ask(Question::Mark(mark.0.to_vec().into())).await?;
        self.next(SOON).await.map(drop)
    }

    async fn view(&mut self) -> Told<(Position, u32)> {
        match self.next(SOON).await? {
            Answer::ViewTaken(taken) => {
                let position = taken.position.map(peer::position_of).and_then(Result::ok);
                Ok((position.ok_or("it does not say where it stands")?, taken.schema_version))
            }
            _ => Err(NONSENSE.into()),
        }
    }

    async fn pages(&mut self) -> Told<Vec<TablePage>> {
        self.ask(Question::Read(ReadTables {})).await?;
        let mut pages = Vec::new();
        loop {
            match self.next(PAGE).await? {
                Answer::Page(page) => pages.push(page),
                Answer::AllRead(_) => return Ok(pages),
                _ => return Err(NONSENSE.into()),
            }
        }
    }

    async fn rows(&mut self, place: &PlaceOfPage) -> Told<TableRows> {
        let question = RowsOfPage { table: place.table.clone(), page: place.page };
        self.ask(Question::Rows(question)).await?;
        match self.next(SOON).await? {
            Answer::Rows(rows) => Ok(rows),
            _ => Err(NONSENSE.into()),
        }
    }
}

const GONE: &str = "it ended the comparison; look at its log";
const NONSENSE: &str = "it answers something else than it was asked";

/// Everybody's view, at one place.
struct Views {
    seq: Seq,
    looked: BTreeMap<ServerId, Looked>,
}

impl Administration {
    pub(super) async fn compare_servers(&self) -> Result<VerifyResponse, Status> {
        let _turn = self.comparing.try_acquire().map_err(|_| errors::comparing_already())?;
        let Views { seq, mut looked } = self.views().await?;
        let configured = self.context.addresses.keys();
        let skipped = configured.filter(|id| !looked.contains_key(id)).map(|id| id.0).collect();
        let began = Instant::now();
        let (pages, damaged) = read_all(&mut looked).await;
        let mut response = VerifyResponse { seq, skipped, ..VerifyResponse::default() };
        response.compared = pages.keys().map(|id| id.0).collect();
        if let Some(pages) = pages.values().next() {
            let mut tables: Vec<&str> = pages.iter().map(|page| page.table.as_str()).collect();
            tables.dedup();
            response.tables = tables.len() as u32;
            response.rows = pages.iter().map(|page| u64::from(page.rows)).sum();
        }
        response.damaged =
            damaged.into_iter().map(|(id, problem)| Damage { server_id: id.0, problem }).collect();
        if let Some(place) = difference::first_page(&pages) {
            response.difference = Some(find_row(&mut looked, place).await?);
        }
        let (equal, took) = (response.difference.is_none(), began.elapsed());
        tracing::info!(
            seq,
            rows = response.rows,
            equal,
            ?took,
            "the servers' tables were compared"
        );
        Ok(response)
    }

    /// A view of every server that is in sync, all at one place in the log.
    async fn views(&self) -> Result<Views, Status> {
        let mut why = errors::no_common_place();
        for _ in 0..ATTEMPTS {
            match self.try_views().await? {
                Ok(views) => return Ok(views),
                Err(status) => why = status,
            }
        }
        Err(why)
    }

    /// The inner error is of a kind that another attempt may not meet.
    async fn try_views(&self) -> Result<Result<Views, Status>, Status> {
        let refused = |error| errors::refused(error, &self.context);
        let status = self.node().status().await.map_err(refused)?;
        if status.leader.is_none() {
            return Err(errors::no_leader());
        }
        let mark = MarkId(context::draw_id());
        let mut looked = BTreeMap::new();
        for id in status.in_sync {
            let mut one =
                self.look_at(id).await.map_err(|status| errors::passed_on(id, &status))?;
            one.awaits(mark).await.map_err(|problem| errors::not_compared(id, &problem))?;
            looked.insert(id, one);
        }
        self.ask_leader(&ForLeader::Mark(mark)).await?;
        let mut places = BTreeMap::new();
        for (id, one) in &mut looked {
            match one.view().await {
                Ok(place) => places.insert(*id, place),
                // It may have left the in-sync set meanwhile.
                Err(problem) => return Ok(Err(errors::not_compared(*id, &problem))),
            };
        }
        let mut versions = places.values().map(|(_, version)| version);
        let version = versions.next().copied();
        if versions.any(|other| Some(*other) != version) {
            return Err(errors::schemas_differ());
        }
        let mut positions = places.values().map(|(position, _)| position);
        let Some(first) = positions.next() else { return Err(errors::no_leader()) };
        if positions.any(|other| other != first) {
            return Ok(Err(errors::no_common_place()));
        }
        Ok(Ok(Views { seq: first.seq, looked }))
    }

    async fn look_at(&self, id: ServerId) -> Result<Looked, Status> {
        let (questions, asked) = mpsc::channel(1);
        let (sender, answers) = mpsc::channel(PAGES);
        if id == self.id {
            let answering = tables::answer(self.node().store().clone(), asked, sender);
            let stop = self.stop.clone();
            tokio::spawn(async move { stop.run_until_cancelled(answering).await });
            return Ok(Looked { questions, answers });
        }
        let errand = self.node().errands().to(id).ok_or_else(errors::no_leader)?;
        let mut answered = errand.compare_tables(ReceiverStream::new(asked)).await?;
        tokio::spawn(async move {
            while let Some(Ok(response)) = answered.next().await {
                let Some(answer) = response.answer else { break };
                if sender.send(answer).await.is_err() {
                    break;
                }
            }
        });
        Ok(Looked { questions, answers })
    }
}

/// All pages of every server at the same time, and what is damaged.
async fn read_all(
    looked: &mut BTreeMap<ServerId, Looked>,
) -> (BTreeMap<ServerId, Vec<TablePage>>, Vec<(ServerId, String)>) {
    let mut reading = JoinSet::new();
    for (id, mut one) in std::mem::take(looked) {
        reading.spawn(async move { (id, one.pages().await, one) });
    }
    let (mut pages, mut damaged) = (BTreeMap::new(), Vec::new());
    for (id, told, one) in reading.join_all().await {
        match told {
            Ok(told) => {
                pages.insert(id, told);
                looked.insert(id, one);
            }
            Err(problem) => damaged.push((id, problem)),
        }
    }
    (pages, damaged)
}

async fn find_row(
    looked: &mut BTreeMap<ServerId, Looked>,
    place: PlaceOfPage,
) -> Result<Difference, Status> {
    let mut rows = BTreeMap::new();
    for (id, one) in looked {
        let told = one.rows(&place).await;
        rows.insert(*id, told.map_err(|problem| errors::not_compared(*id, &problem))?);
    }
    // Pages that differ hold rows that do; a digest alone never differs.
    let unclear = || errors::internal("pages differ whose rows do not");
    let OddRow { key, groups, columns } = difference::first_row(&rows).ok_or_else(unclear)?;
    let groups = groups.into_iter().map(|(servers, present)| Group {
        server_ids: servers.into_iter().map(|id| id.0).collect(),
        present,
    });
    Ok(Difference { table: place.table, key, groups: groups.collect(), columns })
}
