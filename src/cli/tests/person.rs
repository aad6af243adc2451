//! Sessions of a person: messages on their way out, prompts, and what is told meanwhile. The person is a
//! console that types when the test says so.

use std::{io, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use zeroize::Zeroizing;

use super::{Desk, lines::subscribed};
use crate::{
    cli::{
        Arguments, Exit,
        console::{Console, Line},
        paint::Paint,
        roster::Words,
        session::{Session, Setting},
        voice::Voice,
    },
    client::tests::fake::Act,
    wire::chat::{MembershipChanged, event::Kind},
};

const SOON: Duration = Duration::from_secs(20);

/// The person's end of a session.
struct Person {
    types: mpsc::UnboundedSender<String>,
    screen: watch::Receiver<String>,
    session: JoinHandle<Exit>,
}

/// The session's end.
struct Seat {
    typed: mpsc::UnboundedReceiver<String>,
    screen: watch::Sender<String>,
    shown: String,
}

impl Seat {
    fn show(&self, text: &str) {
        self.screen.send_modify(|screen| screen.push_str(text));
    }
}

impl Console for Seat {
    async fn line(&mut self, prompt: &str) -> io::Result<Line> {
        // A prompt stays until its line is typed.
        if self.shown.is_empty() {
            self.shown = prompt.to_owned();
            self.show(&format!("{prompt}\n"));
        }
        let line = self.typed.recv().await;
        self.shown.clear();
        Ok(line.map_or(Line::End, Line::Text))
    }

    async fn password(&mut self, _: &str) -> io::Result<Option<Zeroizing<String>>> {
        Ok(self.typed.recv().await.map(Zeroizing::new))
    }

    async fn answer(&mut self, text: &str) -> io::Result<()> {
        self.show(text);
        Ok(())
    }

    async fn note(&mut self, text: &str) -> io::Result<()> {
        self.show(&format!("* {text}\n"));
        Ok(())
    }
}

impl Person {
    /// Sits down at a session.
    fn sits_down(desk: &Desk) -> Person {
        use clap::Parser as _;
        let (types, typed) = mpsc::unbounded_channel();
        let (screen, seen) = watch::channel(String::new());
        let addresses = desk.fake.addresses.join(",");
        // So short that one call does not last through an outage.
        let words = ["client", "--timeout", "1", "--servers", &addresses];
        let arguments = Arguments::parse_from(words);
        let cluster = arguments.cluster().unwrap();
        let client = arguments.client(&cluster).unwrap();
        let servers = cluster.servers;
        let surroundings = desk.surroundings();
        let setting = Setting {
            kept: surroundings.session_file(&servers),
            outboxes: surroundings.outboxes(&servers),
            voice: Voice { json: false, paint: Paint::default() },
            words: Words::default(),
            person: true,
        };
        let seat = Seat { typed, screen, shown: String::new() };
        let session = tokio::spawn(async move {
            Session::new(client, seat, setting).run().await.expect("no failure of the machine")
        });
        Person { types, screen: seen, session }
    }

    fn types(&self, line: &str) {
        self.types.send(line.into()).unwrap();
    }

    /// Waits until this is on the screen so many times; returns the screen.
    async fn sees(&mut self, words: &str, times: usize) -> String {
        let seen = self.screen.wait_for(|screen| screen.matches(words).count() >= times);
        let screen = timeout(SOON, seen).await.map(|seen| seen.map(|screen| screen.clone()));
        match screen {
            Ok(Ok(screen)) => screen,
            _ => panic!("\"{words}\" was not seen {times} times:\n{}", *self.screen.borrow()),
        }
    }

    /// Presses Enter until the prompt is this one.
    async fn comes_to(&mut self, prompt: &str) {
        let pressing = async {
            while !self.screen.borrow().ends_with(&format!("{prompt}\n")) {
                self.types("");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let came = timeout(SOON, pressing).await;
        assert!(came.is_ok(), "no prompt \"{prompt}\":\n{}", *self.screen.borrow());
    }

    async fn leaves(self) -> Exit {
        timeout(SOON, self.session).await.unwrap().unwrap()
    }
}

fn bodies(desk: &Desk) -> Vec<String> {
    desk.fake.world().messages.iter().map(|message| message.body.clone()).collect()
}

/// The request ids of all sends, each once, in the order of their first attempt.
fn request_ids(desk: &Desk) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for asked in desk.fake.world().asked.iter().filter(|asked| asked.call == "SendMessage") {
        if !ids.contains(&asked.request_id) {
            ids.push(asked.request_id.clone());
        }
    }
    ids
}

/// Tells the subscribers.
fn happens(desk: &Desk, kind: Kind) {
    let mut world = desk.fake.world();
    world.event(kind);
    let events = world.events.len();
    drop(world);
    desk.fake.nodes[0].changes.send_modify(|(count, _)| *count = events);
}

#[tokio::test]
async fn an_outage_keeps_no_person_from_typing_and_all_lines_arrive_in_order_once() {
    let desk = Desk::with_servers(1).await;
    desk.fake.session("alice");
    desk.logged_in("bob").await;
    let mut bob = Person::sits_down(&desk);
    bob.types("/msg @alice one");
    bob.sees("sent #1 to @alice", 1).await;
    desk.fake.always(0, Act::LoseAnswer);
    bob.types("two");
    bob.sees("pending: the line waits for a leader", 1).await;
    desk.fake.always(0, Act::NoLeader);
    bob.types("three");
    bob.sees("pending: 2 lines wait for a leader", 1).await;
    bob.sees("bob @alice (2 unsent)> ", 1).await;
    bob.types("/outbox");
    let screen = bob.sees("pending  to @alice: three", 1).await;
    assert!(screen.contains("pending  to @alice: two\npending  to @alice: three"), "{screen}");
    // Meanwhile more than one call gives up.
    bob.types("/wait 1 2");
    bob.sees("only 0 of 1 live messages", 1).await;
    desk.fake.always(0, Act::Serve);
    let screen = bob.sees("sent #", 3).await;
    assert!(screen.contains("sent #2 to @alice") && screen.contains("sent #3 to @alice"));
    assert_eq!(bodies(&desk), ["one", "two", "three"]);
    assert_eq!(request_ids(&desk).len(), 3, "each line under one id");
    bob.types("/quit");
    assert_eq!(bob.leaves().await, Exit::Ok);
    assert_eq!(desk.kept().len(), 1, "only the session is kept: {:?}", desk.kept());
}

#[tokio::test]
async fn who_leaves_with_unsent_lines_is_warned_and_the_next_session_sends_them_first() {
    let desk = Desk::with_servers(1).await;
    desk.fake.session("alice");
    desk.logged_in("bob").await;
    let mut bob = Person::sits_down(&desk);
    bob.sees("logged in as bob", 1).await;
    desk.fake.always(0, Act::LoseAnswer);
    bob.types("/msg @alice perhaps");
    bob.sees("pending", 1).await;
    desk.fake.always(0, Act::NoLeader);
    bob.types("later");
    bob.sees("2 lines wait", 1).await;
    bob.types("/quit");
    bob.sees("2 lines unsent: kept until you log in here again", 1).await;
    bob.types("/quit");
    assert_eq!(bob.leaves().await, Exit::Ok);
    desk.fake.always(0, Act::Serve);
    let mut bob = Person::sits_down(&desk);
    bob.sees("2 lines unsent the last time; sending now", 1).await;
    bob.sees("sent #", 2).await;
    bob.types("/msg @alice and now");
    bob.sees("sent #3", 1).await;
    drop(bob.types);
    assert_eq!(timeout(SOON, bob.session).await.unwrap().unwrap(), Exit::Ok);
    assert_eq!(bodies(&desk), ["perhaps", "later", "and now"]);
    assert_eq!(request_ids(&desk).len(), 3);
}

#[tokio::test]
async fn a_refused_line_is_shown_and_holds_up_no_other() {
    let desk = Desk::with_servers(1).await;
    desk.fake.session("alice");
    desk.logged_in("bob").await;
    let mut bob = Person::sits_down(&desk);
    bob.types("/msg @nobody for nobody");
    bob.sees("; /users lists who there is; not sent to @nobody: for nobody", 1).await;
    bob.types("/msg @alice for alice");
    bob.sees("sent #1 to @alice", 1).await;
    bob.types("/quit");
    assert_eq!(bob.leaves().await, Exit::Ok);
}

#[tokio::test]
async fn an_ended_session_holds_the_lines_until_the_next_login() {
    let desk = Desk::with_servers(1).await;
    desk.fake.session("alice");
    desk.logged_in("bob").await;
    let mut bob = Person::sits_down(&desk);
    bob.types("/msg @alice one");
    bob.sees("sent #1", 1).await;
    desk.fake.world().tokens.clear();
    bob.types("two");
    bob.sees("1 line unsent until you /login again", 1).await;
    bob.types("/login bob");
    bob.types("password");
    bob.sees("sent #2 to @alice", 1).await;
    assert_eq!(bodies(&desk), ["one", "two"]);
    bob.types("/quit");
    assert_eq!(bob.leaves().await, Exit::Ok);
}

#[tokio::test]
async fn the_prompt_counts_what_is_unread_elsewhere_and_writing_in_a_place_reads_it() {
    let desk = Desk::with_servers(1).await;
    desk.fake.session("alice");
    desk.logged_in("bob").await;
    desk.fake.say("alice", "@alice", "before");
    let mut bob = Person::sits_down(&desk);
    bob.sees("1 unread; /inbox shows them", 1).await;
    desk.fake.say("carol", "@carol", "a live one\u{1b}[2J");
    bob.sees("carol: a live one\\u{1b}[2J", 1).await;
    bob.types("/help");
    bob.sees("bob (2 unread)> ", 1).await;
    bob.types("/msg @alice hello");
    bob.sees("bob @alice (1 unread)> ", 1).await;
    let mut reads = desk.fake.nodes[0].changes.subscribe();
    while desk.fake.world().read.get("@alice") != Some(&2) {
        timeout(SOON, reads.changed()).await.unwrap().unwrap();
    }
    bob.types("/quit");
    assert_eq!(bob.leaves().await, Exit::Ok);
}

#[tokio::test]
async fn the_move_of_the_leader_is_told_with_names_and_with_what_is_unsent() {
    let desk = Desk::with_servers(2).await;
    desk.fake.session("alice");
    desk.logged_in("bob").await;
    let mut bob = Person::sits_down(&desk);
    bob.types("/msg @alice one");
    bob.sees("sent #1", 1).await;
    // The look around has asked all servers for their names when it has counted what is unread.
    desk.fake.say("alice", "@alice", "hi");
    bob.sees("alice: hi", 1).await;
    bob.types("/status");
    bob.sees("policy available", 1).await;
    desk.fake.lead(1);
    desk.fake.break_streams();
    let screen = bob.sees("leader moved 1 → 2 in ", 1).await;
    assert!(screen.contains(", nothing unsent\n"), "{screen}");
    bob.types("/quit");
    assert_eq!(bob.leaves().await, Exit::Ok);
}

#[tokio::test]
async fn a_newcomer_is_told_what_can_be_done_next_each_thing_once() {
    let desk = Desk::with_servers(1).await;
    let mut bob = Person::sits_down(&desk);
    bob.sees("/create USER or /login USER to begin", 1).await;
    bob.types("/create bob");
    bob.types("password");
    bob.sees("* /users lists who is here, /rooms what you can join", 1).await;
    bob.types("/rooms");
    bob.sees("no rooms yet\n* /room #ROOM creates one", 1).await;
    bob.types("/room #den private");
    bob.sees("private\n* /invite @USER #ROOM brings others in", 1).await;
    bob.types("/room #attic private");
    bob.types("/help");
    let screen = bob.sees("mentions somebody", 1).await;
    assert_eq!(screen.matches("* /invite @USER").count(), 1, "{screen}");
    bob.types("/logout");
    bob.sees("logged out\n* /login USER or /create USER to go on", 1).await;
    bob.types("/quit");
    assert_eq!(bob.leaves().await, Exit::Ok);
    let piped = desk.run(&[], "/create carol\npassword\n/rooms z*\n").await;
    assert!(!piped.notes.contains("creates one"), "a pipe knows what it does: {piped:?}");
}

#[tokio::test]
async fn where_a_person_cannot_be_is_no_current_conversation() {
    let desk = Desk::with_servers(1).await;
    desk.fake.session("alice");
    desk.logged_in("bob").await;
    let mut bob = Person::sits_down(&desk);
    bob.types("/msg @alice one");
    bob.sees("bob @alice> ", 1).await;
    bob.types("/join #nowhere");
    bob.types("not for alice");
    bob.sees("there is no current conversation", 1).await;
    bob.types("/msg @nobody hello");
    bob.sees("not sent to @nobody: hello", 1).await;
    bob.types("nor this");
    bob.sees("there is no current conversation", 2).await;
    assert_eq!(bodies(&desk), ["one"]);
    bob.types("/quit");
    assert_eq!(bob.leaves().await, Exit::Ok);
}

#[tokio::test]
async fn a_person_who_is_brought_into_a_room_is_told_and_one_who_is_out_has_nothing_unread_there() {
    let desk = Desk::with_servers(1).await;
    desk.logged_in("bob").await;
    let mut bob = Person::sits_down(&desk);
    subscribed(&desk.fake).await;
    bob.comes_to("bob> ").await;
    let change = |member| {
        let (conversation, username) = ("#den".to_owned(), "bob".to_owned());
        Kind::MembershipChanged(MembershipChanged { conversation, username, member })
    };
    happens(&desk, change(true));
    bob.sees("* you are in #den now; /history #den shows what was said", 1).await;
    desk.fake.say("alice", "#den", "welcome");
    bob.sees("alice: welcome", 1).await;
    bob.comes_to("bob (1 unread)> ").await;
    happens(&desk, change(false));
    bob.sees("[#den] bob left", 1).await;
    bob.comes_to("bob> ").await;
    bob.types("/quit");
    assert_eq!(bob.leaves().await, Exit::Ok);
}

#[tokio::test]
async fn what_was_deleted_unread_is_no_longer_counted() {
    let desk = Desk::with_servers(1).await;
    desk.logged_in("bob").await;
    let mut bob = Person::sits_down(&desk);
    subscribed(&desk.fake).await;
    desk.fake.say("alice", "@alice", "kept");
    let slip = desk.fake.say("alice", "@alice", "a slip");
    bob.sees("alice: a slip", 1).await;
    bob.comes_to("bob (2 unread)> ").await;
    desk.fake.world().messages.retain(|message| message.message_id != slip.message_id);
    happens(&desk, Kind::MessageDeleted(slip));
    bob.comes_to("bob (1 unread)> ").await;
    bob.types("/quit");
    assert_eq!(bob.leaves().await, Exit::Ok);
}
