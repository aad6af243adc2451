//! Who hears what: a message that came goes to its rule, and what is said carries the present life and promise.

use super::{
    core::Core,
    epoch::ServerId,
    event::Effect,
    message::{Body, Message},
};

impl Core {
    pub(super) fn on_message(&mut self, message: Message) {
        if !self.admit(&message) {
            return;
        }
        if !self.comes_from_refused(&message) {
            self.heed_promise(&message);
        }
        if self.work_is_under_way() && waits_for_work(&message.body) {
            self.keep_for_later(message);
            return;
        }
        self.dispatch(message);
    }

    /// What a server promised is of weight for those who share its cluster.
    fn heed_promise(&mut self, message: &Message) {
        let peer = self.peers.get_mut(&message.from).expect("a configured server");
        peer.promised = peer.promised.max(message.promised);
        self.greatest_number = self.greatest_number.max(message.promised.number);
        self.step_down_for(message);
    }

    pub(super) fn dispatch(&mut self, message: Message) {
        match message.body {
            Body::Heartbeat(_) | Body::HeartbeatReply(_) => self.on_report(message),
            Body::Register { .. } => self.on_register(message),
            Body::Welcome { epoch } => self.on_welcome(&message, epoch),
            Body::Suffix(_) | Body::Accept(_) => self.on_updates(message),
            Body::Snapshot { epoch, position } => self.on_snapshot(&message, epoch, position),
            Body::Diverged { epoch, common } => self.on_diverged(&message, epoch, common),
            Body::RegisterRefused { .. } => {}
            Body::Accepted { .. } => self.on_accepted(&message),
            Body::Rejected { epoch, reason, last } => {
                self.on_rejected(&message, epoch, reason, last);
            }
            Body::Prepare { epoch } => self.on_prepare(&message, epoch),
            Body::Promise(_) => self.on_promise(message),
            Body::PrepareRefused { .. } => self.on_prepare_refused(&message),
            Body::Fetch { .. } => self.on_fetch(message),
            Body::Fetched(_) => self.on_fetched(message),
            Body::Evict { epoch, tables } => self.on_evict(&message, epoch, tables),
            Body::Evicted { .. } => {}
            Body::Resign { epoch, left, successor } => {
                self.on_resign(&message, epoch, left);
                self.heed_successor(epoch, successor);
            }
        }
    }

    /// A message from the present life of this server, as the driver sends one for
    /// [`Effect::SendSnapshot`].
    pub fn message(&self, to: ServerId, nonce: u64, body: Body) -> Message {
        Message {
            from: self.me(),
            to,
            incarnation: self.incarnation,
            receiver: self.peers[&to].incarnation,
            nonce,
            promised: self.local.promised,
            body,
        }
    }

    pub(super) fn send(&mut self, to: ServerId, nonce: u64, body: Body) {
        let message = self.message(to, nonce, body);
        self.effects.push(Effect::Send(message));
    }

    pub(super) fn answer(&mut self, question: &Message, body: Body) {
        self.send(question.from, question.nonce, body);
    }
}

/// Whether it may be answered only when no own store work is under way: a promise or an
/// acknowledgement in the middle would speak of a log that is about to change.
fn waits_for_work(body: &Body) -> bool {
    matches!(
        body,
        Body::Accept(_)
            | Body::Suffix(_)
            | Body::Snapshot { .. }
            | Body::Fetched(_)
            | Body::Fetch { .. }
            | Body::Prepare { .. }
    )
}
