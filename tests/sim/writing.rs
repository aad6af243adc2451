//! What the one writer of a server's database does: one command after the other, for as long as its disk takes.

use chinwag::{
    cluster::{Hash, Seq},
    node::Input,
    store::{Completion, WriterCommand},
};

use crate::world::{Job, World};

impl World {
    pub(crate) fn work(&mut self, index: usize, command: WriterCommand) {
        self.process(index).work.push_back(command);
        self.begin_work(index);
    }

    fn begin_work(&mut self, index: usize) {
        let slow = self.servers[index].slow;
        let process = self.process(index);
        if process.working || process.work.is_empty() {
            return;
        }
        process.working = true;
        let life = process.life;
        let after = if slow { self.micros(20_000, 400_000) } else { self.micros(100, 900) };
        self.after(after, Job::Disk(index, life));
    }

    pub(crate) fn disk_done(&mut self, index: usize) {
        let fails = self.servers[index].fails;
        let process = self.process(index);
        if process.paused {
            process.done_while_paused = true;
            return;
        }
        process.working = false;
        let Some(command) = process.work.pop_front() else { return };
        let name = name_of(&command);
        let fails = fails.filter(|_| {
            matches!(command, WriterCommand::Commit { .. } | WriterCommand::Store { .. })
        });
        if let Some(durable) = fails {
            self.servers[index].fails = None;
            self.servers[index].may_fail = true;
            self.note("disk fails", &[index as u64 + 1, u64::from(durable)]);
            if durable {
                let _ = self.run_command(index, command);
            }
            let reason = "the disk failed".to_owned();
            self.input(index, Input::Completed(Completion::Failed { reason }));
            return;
        }
        self.note(name, &[index as u64 + 1]);
        match self.run_command(index, command) {
            Ok(Some(completion)) => self.input(index, Input::Completed(completion)),
            Ok(None) => {}
            Err(reason) => {
                self.violate(format!("the writer of {} failed: {reason}", index + 1));
            }
        }
        if self.servers[index].process.is_some() {
            self.begin_work(index);
        }
    }

    /// Runs it for real, and notes what is durable now.
    pub(crate) fn run_command(
        &mut self,
        index: usize,
        command: WriterCommand,
    ) -> Result<Option<Completion>, String> {
        let entries = match &command {
            WriterCommand::Apply { entries, .. } | WriterCommand::Store { entries, .. } => {
                Some(entries.clone())
            }
            _ => None,
        };
        let commits = matches!(command, WriterCommand::Commit { .. });
        let stores = matches!(command, WriterCommand::Store { .. });
        if matches!(command, WriterCommand::Rollback) {
            self.process(index).open.clear();
        }
        let done = self.process(index).writer.carry_out(command);
        let done = done.map_err(|error| error.to_string())?;
        let last = entries.as_ref().and_then(|entries| entries.last()).map(|last| last.hash);
        match (&done, last) {
            (Some(Completion::Applied { applied, .. }), Some(last)) => {
                self.record.digest(self.now, last, applied.digest);
            }
            (Some(Completion::Stored { digest, .. }), Some(last)) => {
                self.record.digest(self.now, last, *digest);
            }
            (Some(Completion::Installed { log, .. }), _) => {
                let server = &mut self.servers[index];
                let recent = log.recent.iter().copied().collect();
                server.replaced.extend(std::mem::replace(&mut server.durable, recent));
                self.process(index).views = log.views.iter().cloned().collect();
                self.process(index).hashes = log.recent.iter().copied().collect();
            }
            _ => {}
        }
        let places = entries.iter().flat_map(|entries| entries.iter());
        let places: Vec<(Seq, Hash)> = places.map(|entry| (entry.seq, entry.hash)).collect();
        if stores {
            self.servers[index].durable.extend(places);
        } else if commits {
            let open = std::mem::take(&mut self.process(index).open);
            self.servers[index].durable.extend(open.iter().copied());
            self.check_commit(index, &open);
        } else {
            self.process(index).open.extend(places);
        }
        Ok(done)
    }
}

fn name_of(command: &WriterCommand) -> &'static str {
    match command {
        WriterCommand::Apply { .. } => "applies",
        WriterCommand::Commit { .. } => "commits",
        WriterCommand::Rollback => "rolls back",
        WriterCommand::Store { .. } => "stores",
        WriterCommand::Install { .. } => "installs",
        WriterCommand::Trim { .. } => "trims",
        WriterCommand::Close => "closes",
    }
}
