//! P20: a second process with one id. It begins in an empty folder or in an old copy of the server's own, speaks
//! as that server, and hears a part of what is meant for it. Clients do not find it.
//!
//! Only one of the two stands at the server's place in the world at a time. Whatever concerns the other one,
//! told by its life, happens while the two have changed places.

use std::time::Duration;

use chinwag::cluster::{Hash, Seq};

use crate::{
    disk,
    server::Server,
    world::{Job, World},
};

/// The process that is not at its place now.
pub(crate) struct Double {
    pub(crate) of: usize,
    other: Server,
    /// How many percent of what is sent to the id it hears.
    hears: usize,
    /// It is the one at the place now.
    inside: bool,
    /// The end of its log when it started.
    began_at: Option<(Seq, Hash)>,
    /// It stored something: its disk may hold what was acknowledged.
    joined: bool,
}

impl World {
    /// Makes the folder; the process starts later.
    pub(crate) fn prepare_double(&mut self, of: usize, detail: u64) -> bool {
        if self.double.is_some() || self.record.lost || self.servers[of].process.is_none() {
            return false;
        }
        self.next += 1;
        let folder = self.root.join(format!("double-{of}-{}", self.next));
        let copies = detail.is_multiple_of(2);
        if copies && disk::copy(&self.servers[of].folder, &folder).is_err() {
            return false;
        }
        let hears = [10, 30, 50, 80][detail as usize / 2 % 4];
        let other = Server::new(folder);
        self.double =
            Some(Double { of, other, hears, inside: false, began_at: None, joined: false });
        true
    }

    pub(crate) fn start_double(&mut self) {
        let Some(of) = self.double.as_ref().map(|double| double.of) else { return };
        self.record.doubled = Some(of);
        self.note("a double starts", &[of as u64 + 1]);
        self.as_double(|world| {
            world.start(of);
            let end = end_of(&world.servers[of]);
            world.double.as_mut().expect("it has changed places").began_at = end;
        });
    }

    /// Does something with the double at the place of its server.
    pub(crate) fn as_double<T>(&mut self, act: impl FnOnce(&mut World) -> T) -> T {
        self.change_places(true);
        let done = act(self);
        self.change_places(false);
        done
    }

    fn change_places(&mut self, inside: bool) {
        let Some(double) = &mut self.double else { return };
        assert!(double.inside != inside, "they change places in pairs");
        double.inside = inside;
        std::mem::swap(&mut self.servers[double.of], &mut double.other);
        double.joined |= !inside && end_of(&double.other) != double.began_at;
    }

    /// Whether this life is the double's.
    pub(crate) fn is_double(&self, server: usize, life: u64) -> bool {
        self.double.as_ref().is_some_and(|double| {
            let process = double.other.process.as_ref().filter(|_| !double.inside);
            double.of == server && process.is_some_and(|process| process.life == life)
        })
    }

    /// Whether the double hears what arrives there now, and not the server.
    pub(crate) fn double_hears(&mut self, server: usize) -> bool {
        let Some(double) = &self.double else { return false };
        let lives = double.of == server && double.other.process.is_some() && !double.inside;
        lives && (self.servers[server].process.is_none() || self.chance.percent(double.hears))
    }

    /// An operator finds that there are two, and stops one of them for good: the second one, unless it alone
    /// holds what was acknowledged.
    pub(crate) fn stop_double(&mut self) {
        let Some(double) = &self.double else { return };
        let (of, joined) = (double.of, double.joined);
        let keeps_it = joined && !self.is_copied_beside_double();
        self.note(
            "one of two is stopped",
            &[of as u64 + 1, u64::from(joined), u64::from(keeps_it)],
        );
        if keeps_it {
            let held = self.servers[of].held;
            self.end_process(of, false, false);
            self.change_places(true);
            self.servers[of].held = held;
        } else {
            self.as_double(|world| world.end_process(of, false, false));
        }
        let Some(double) = self.double.take() else { return };
        let _ = std::fs::remove_dir_all(&double.other.folder);
        if joined {
            // One of two disks that were in sync under one id is gone.
            self.record.lost = true;
            self.servers[of].lost = true;
        }
        if self.servers[of].process.is_none() {
            self.after(Duration::from_millis(5), Job::Start(of));
        }
    }

    /// Whether a disk beside the double's holds everything that was acknowledged.
    fn is_copied_beside_double(&self) -> bool {
        let Some((seq, hashes)) = self.record.acknowledged.last_key_value() else { return true };
        let holds =
            |server: &Server| server.durable.get(seq).is_some_and(|hash| hashes.contains(hash));
        self.servers.iter().any(holds)
    }

    /// What is on the disk of the process of this id that is not at its place.
    pub(crate) fn double_of(&self, server: usize) -> Option<&Server> {
        self.double.as_ref().filter(|double| double.of == server).map(|double| &double.other)
    }
}

fn end_of(server: &Server) -> Option<(Seq, Hash)> {
    server.durable.last_key_value().map(|(seq, hash)| (*seq, *hash))
}
