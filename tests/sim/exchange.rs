//! The way of a client's call to a server, and of the answer back.

use std::time::Duration;

use chinwag::client::decisions::Failure;

use crate::{
    calls::{Call, Reply},
    door::Replies,
    server::Incoming,
    tasks::{Owner, Sender},
    world::{Job, World},
};

/// A call between its first byte and its last.
pub(crate) struct OpenCall {
    pub(crate) client: usize,
    pub(crate) server: usize,
    pub(crate) life: Option<u64>,
    call: Call,
    replies: Sender<Reply>,
    last: Duration,
    /// Nothing arrives any more, and nobody is told.
    pub(crate) dead: bool,
}

impl World {
    pub(crate) fn place(&self, client: usize) -> usize {
        self.servers.len() + client
    }

    pub(crate) fn send_call(&mut self, outgoing: crate::client::Outgoing) {
        self.next += 1;
        let id = self.next;
        let (from, to) = (self.place(outgoing.client), outgoing.server);
        self.note("call", &[id, outgoing.client as u64, to as u64 + 1]);
        self.say(|| format!("call {id} is {:?}", outgoing.call));
        let at = self.network.arrival(self.now, (from, to, false), &mut self.chance);
        let open = OpenCall {
            client: outgoing.client,
            server: to,
            life: None,
            call: outgoing.call,
            replies: outgoing.replies,
            last: self.now,
            dead: false,
        };
        self.calls.insert(id, open);
        self.at(at, Job::CallArrives(id));
    }

    pub(crate) fn call_arrives(&mut self, id: u64) {
        let Some(call) = self.calls.get(&id) else { return };
        let (server, from) = (call.server, self.place(call.client));
        let lost = self.network.is_cut(from, server) || self.chance.percent(self.network.loss);
        let dark = self.servers[server].dark;
        match &mut self.servers[server].process {
            _ if lost => self.kill_call(id),
            None if dark => self.kill_call(id),
            None => {
                let refused = Failure::Unreachable("connection refused".into());
                let at = self.network.arrival(self.now, (server, from, false), &mut self.chance);
                self.at(at, Job::ReplyArrives(id, Box::new(Reply::Failed(refused))));
            }
            Some(process) if process.asleep => self.kill_call(id),
            Some(process) if !process.is_free() => process.inbox.push_back(Incoming::Call(id)),
            Some(_) => self.serve(server, id),
        }
    }

    pub(crate) fn kill_call(&mut self, id: u64) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.dead = true;
        }
    }

    pub(crate) fn serve(&mut self, server: usize, id: u64) {
        let Some(open) = self.calls.get_mut(&id) else { return };
        let process = self.servers[server].process.as_ref().expect("it runs");
        open.life = Some(process.life);
        let owner = Owner::Server { server, life: process.life };
        let replies = Replies { call: id, out: self.replies.clone() };
        self.tasks.spawn(owner, process.door.clone().serve(open.call.clone(), replies));
    }

    pub(crate) fn send_reply(&mut self, id: u64, reply: Reply) {
        let Some(open) = self.calls.get_mut(&id).filter(|open| !open.dead) else { return };
        let (from, to) = (open.server, self.servers.len() + open.client);
        let last = open.last;
        let at = self.network.arrival(self.now, (from, to, false), &mut self.chance);
        let at = at.max(last);
        if let Some(open) = self.calls.get_mut(&id) {
            open.last = at;
        }
        self.at(at, Job::ReplyArrives(id, Box::new(reply)));
    }

    pub(crate) fn reply_arrives(&mut self, id: u64, reply: Reply) {
        let Some(open) = self.calls.get(&id).filter(|open| !open.dead) else { return };
        let (from, to) = (open.server, self.servers.len() + open.client);
        let lost = self.network.is_cut(from, to)
            || self.network.mute.contains(&from)
            || self.chance.percent(self.network.loss);
        if lost {
            // What comes after it on the same connection does not come either.
            self.kill_call(id);
            return;
        }
        self.note("reply", &[id]);
        self.say(|| format!("reply {id} is {reply:?}"));
        let open = &self.calls[&id];
        let last = !matches!(reply, Reply::Event(_));
        open.replies.send(reply);
        if last {
            self.calls.remove(&id);
        }
    }
}
