//! The writer's thread: one inbox, one callback, no decision.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
};

use super::{
    error::StoreError,
    writer::{Applied, Writer},
};
use crate::{
    cluster::{Entry, Hash, LogSummary, OpId, Seq},
    failpoint::{self, Point},
};

/// The protocol keeps one batch in flight, so a handful of commands wait at most.
const INBOX: usize = 1_024;

/// What the writer is told. They are carried out in their order.
#[derive(Debug)]
pub enum WriterCommand {
    /// Apply and log in the open transaction; begin one if none is open. → `Applied`
    Apply {
        /// Names it.
        op: OpId,
        /// Consecutive entries.
        entries: Arc<Vec<Entry>>,
    },
    /// Commit the open transaction. → `Committed`
    Commit {
        /// Names it.
        op: OpId,
    },
    /// Roll the open transaction back, if one is open.
    Rollback,
    /// Apply, log and commit in one transaction. → `Stored`
    Store {
        /// Names it.
        op: OpId,
        /// Consecutive entries.
        entries: Arc<Vec<Entry>>,
        /// The hash before entry 1.
        lineage: Hash,
    },
    /// Put a verified snapshot in use. → `Installed`
    Install {
        /// Names it.
        op: OpId,
        /// The snapshot, at a path from [`super::Store::staging_path`].
        staged: PathBuf,
        /// Keep the present database aside, with this number of updates that only it has.
        aside: Option<u64>,
    },
    /// Remove log entries up to here.
    Trim {
        /// The last one to remove.
        until: Seq,
    },
    /// End the thread cleanly.
    Close,
}

/// What the writer tells, in the order of its commands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Completion {
    /// See [`WriterCommand::Apply`]. Not committed: nobody may hear of it yet.
    Applied {
        /// Which one.
        op: OpId,
        /// Digest, results and changes.
        applied: Applied,
    },
    /// What was applied is durable.
    Committed {
        /// Which one.
        op: OpId,
    },
    /// The entries are durable.
    Stored {
        /// Which one.
        op: OpId,
        /// The digest of the tables after them.
        digest: Hash,
    },
    /// The snapshot is in use; readers follow.
    Installed {
        /// Which one.
        op: OpId,
        /// Its log.
        log: LogSummary,
    },
    /// A command failed. Whether a failed commit is on the disk is unknown, so this is never an abort:
    /// the writer takes nothing any more, and the server ends.
    Failed {
        /// In words.
        reason: String,
    },
}

/// The writer in its thread.
#[derive(Debug)]
pub struct WriterHandle {
    inbox: SyncSender<WriterCommand>,
    thread: Option<JoinHandle<()>>,
}

impl WriterHandle {
    /// Moves the writer into a thread of its own. `tell` is called there: it must not block.
    pub fn spawn(
        writer: Writer,
        tell: Box<dyn Fn(Completion) + Send>,
    ) -> Result<WriterHandle, StoreError> {
        let (inbox, commands) = sync_channel(INBOX);
        let thread = thread::Builder::new()
            .name("writer".into())
            .spawn(move || run(writer, &commands, &tell))
            .map_err(StoreError::io("start the writer's thread"))?;
        Ok(WriterHandle { inbox, thread: Some(thread) })
    }

    /// Hands a command over; never blocks. After a failure it goes nowhere.
    ///
    /// # Panics
    /// When the inbox is full: the protocol's bound on what is in flight is broken.
    pub fn send(&self, command: WriterCommand) {
        if let Err(TrySendError::Full(_)) = self.inbox.try_send(command) {
            panic!(
                "more than {INBOX} commands wait for the writer; the protocol never has so many"
            );
        }
    }

    /// Lets the writer finish what it was told, close the database cleanly, and end. Blocks.
    pub fn close(mut self) {
        // A full inbox empties, for the thread is alive; a broken one means that it has ended.
        let _ = self.inbox.send(WriterCommand::Close);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(writer: Writer, commands: &Receiver<WriterCommand>, tell: &dyn Fn(Completion)) {
    let failed = match catch_unwind(AssertUnwindSafe(|| serve(writer, commands, tell))) {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(panic) => format!("the writer panicked: {}", words(panic.as_ref())),
    };
    tell(Completion::Failed { reason: failed });
}

fn serve(
    mut writer: Writer,
    commands: &Receiver<WriterCommand>,
    tell: &dyn Fn(Completion),
) -> Result<(), StoreError> {
    // When every sender is gone, nobody waits for an answer: that is a close.
    while let Ok(command) = commands.recv() {
        if matches!(command, WriterCommand::Close) {
            break;
        }
        let points = points(&command);
        if let Some([before, _]) = points {
            failpoint::reach(before);
        }
        let completion = writer.carry_out(command)?;
        if let Some([_, after]) = points {
            failpoint::reach(after);
        }
        if let Some(completion) = completion {
            tell(completion);
        }
    }
    failpoint::reach(Point::CloseBefore);
    writer.close()?;
    failpoint::reach(Point::CloseAfter);
    Ok(())
}

/// Where a test may let the server die: before and after the command. An installation has points of its own.
fn points(command: &WriterCommand) -> Option<[Point; 2]> {
    match command {
        WriterCommand::Apply { .. } => Some([Point::ApplyBefore, Point::ApplyAfter]),
        WriterCommand::Commit { .. } => Some([Point::CommitBefore, Point::CommitAfter]),
        WriterCommand::Rollback => Some([Point::RollbackBefore, Point::RollbackAfter]),
        WriterCommand::Store { .. } => Some([Point::StoreBefore, Point::StoreAfter]),
        WriterCommand::Trim { .. } => Some([Point::TrimBefore, Point::TrimAfter]),
        WriterCommand::Install { .. } | WriterCommand::Close => None,
    }
}

impl Writer {
    /// Carries out one command here and now, and says how it ended: what the thread does, for whoever
    /// runs the writer without one. [`WriterCommand::Close`] is the owner's to carry out.
    ///
    /// # Errors
    /// As of the writer's own functions: it must not be used again.
    pub fn carry_out(&mut self, command: WriterCommand) -> Result<Option<Completion>, StoreError> {
        Ok(match command {
            WriterCommand::Apply { op, entries } => {
                Some(Completion::Applied { op, applied: self.apply(&entries)? })
            }
            WriterCommand::Commit { op } => {
                self.commit()?;
                Some(Completion::Committed { op })
            }
            WriterCommand::Rollback => {
                self.rollback()?;
                None
            }
            WriterCommand::Store { op, entries, lineage } => {
                Some(Completion::Stored { op, digest: self.store(&entries, lineage)? })
            }
            WriterCommand::Install { op, staged, aside } => {
                Some(Completion::Installed { op, log: self.install(&staged, aside)? })
            }
            WriterCommand::Trim { until } => {
                self.trim(until)?;
                None
            }
            WriterCommand::Close => None,
        })
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words")
}
