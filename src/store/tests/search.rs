//! A search finds what its viewer may see, whatever became of the index.

mod index;

use std::{collections::BTreeSet, fs};

use proptest::prelude::*;

use super::*;
use crate::{
    chat::{CreateRoom, Expire, RoomId, RoomName, SearchQuery, Topic, UpdateRoom},
    store::{Indexer, SearchPage},
};

/// A bench with an indexer that is told when to work.
struct Scene {
    bench: Bench,
    indexer: Indexer,
}

impl Scene {
    fn new() -> Scene {
        Scene::of(Bench::new())
    }

    fn of(bench: Bench) -> Scene {
        let indexer = bench.store.indexer();
        Scene { bench, indexer }
    }

    fn page(&self, viewer: User, query: &str, place: &str, size: i32, token: &str) -> SearchPage {
        let query = SearchQuery::parse(query).unwrap();
        let place = (!place.is_empty()).then(|| name(place));
        let page = self
            .bench
            .read(|reader| reader.search(viewer.account, &query, place.as_ref(), size, token));
        page.unwrap().expect("the index is there")
    }

    /// The bodies that a search finds, the best first, as the index is.
    fn stale(&self, viewer: User, query: &str, place: &str) -> Vec<String> {
        let page = self.page(viewer, query, place, 0, "");
        page.found.into_iter().map(|(message, _)| message.body).collect()
    }

    /// The same once the index has caught up.
    fn found(&mut self, viewer: User, query: &str) -> Vec<String> {
        self.indexer.catch_up().unwrap();
        self.stale(viewer, query, "")
    }

    /// Many messages at once.
    fn send_all(&mut self, from: User, to: &str, bodies: impl Iterator<Item = String>) {
        let bench = &mut self.bench;
        let updates: Vec<_> = bodies.map(|body| bench.scribe.send(from, to, &body)).collect();
        let entries: Vec<_> = updates.iter().map(|update| bench.scribe.update(update)).collect();
        bench.digest = bench.writer.store(&entries, LINEAGE).unwrap();
    }

    fn restart(self) -> Scene {
        let Scene { bench, indexer } = self;
        drop(indexer);
        Scene::of(bench.restart())
    }
}

fn room(text: &str) -> RoomName {
    RoomName::parse(text).unwrap()
}

fn create(text: &str, private: bool) -> Command {
    let mut id = [0; 16];
    id[..text.len()].copy_from_slice(text.as_bytes());
    let (room, topic, id) = (room(text), Topic::default(), RoomId(id));
    Command::CreateRoom(CreateRoom { room, topic, private, id })
}

fn edit(message: &Message, body: &str) -> Command {
    Command::EditMessage { message: message.id, body: Body::parse(body).unwrap() }
}

fn add(text: &str, username: &str) -> Command {
    Command::AddMember { room: room(text), username: Username::parse(username).unwrap() }
}

#[test]
fn words_phrases_beginnings_and_authors_find_messages() {
    let mut scene = Scene::new();
    let (alice, bob) = (scene.bench.user("alice"), scene.bench.user("bob"));
    scene.bench.send(alice, "@bob", "Lunch at the Café, on Friday?");
    scene.bench.send(bob, "@alice", "friday is fine; lunch it is");
    scene.bench.send(bob, "@alice", "你好,世界");
    scene.bench.send(bob, "@alice", "cafe\u{301}s");
    let mut bodies = |query: &str| scene.found(alice, query);
    let (first, second) = ("Lunch at the Café, on Friday?", "friday is fine; lunch it is");
    assert_eq!(bodies("friday lunch").len(), 2);
    assert_eq!(bodies("FRIDAY fine"), [second]);
    assert_eq!(bodies("\"on friday\""), [first]);
    assert_eq!(bodies("\"friday on\""), Vec::<String>::new());
    assert_eq!(bodies("cafe"), [first], "accents are folded");
    assert_eq!(bodies("lunch from:alice"), [first]);
    assert_eq!(bodies("from:alice"), [first]);
    assert_eq!(bodies("lunch from:alice from:bob").len(), 2);
    assert_eq!(bodies("lun* fi*"), [second]);
    assert_eq!(bodies("caf*").len(), 2);
    assert_eq!(bodies("世界"), ["你好,世界"]);
    assert_eq!(bodies("界世"), Vec::<String>::new());
    assert_eq!(bodies("lunch dinner"), Vec::<String>::new());
    let query = SearchQuery::parse("from:nobody").unwrap();
    let refused = scene.bench.read(|reader| reader.search(alice.account, &query, None, 0, ""));
    assert_eq!(refused, Err(Refusal::NoSuchAccount));
}

#[test]
fn a_snippet_shows_what_was_found() {
    let mut scene = Scene::new();
    let alice = scene.bench.user("alice");
    scene.bench.send(alice, "@alice", "Tea, or tea time?");
    scene.indexer.catch_up().unwrap();
    let page = scene.page(alice, "tea", "", 0, "");
    let parts = page.found[0].1.iter().map(|part| (part.text.as_str(), part.found));
    let expected = [("Tea", true), (", or ", false), ("tea", true), (" time?", false)];
    assert_eq!(parts.collect::<Vec<_>>(), expected);
}

#[test]
fn nobody_finds_what_is_not_for_them() {
    let mut scene = Scene::new();
    let (alice, bob) = (scene.bench.user("alice"), scene.bench.user("bob"));
    let carol = scene.bench.user("carol");
    let hidden = scene.bench.send(alice, "@bob", "secret one");
    scene.bench.send(alice, "@bob", "secret two");
    scene.bench.act(alice, create("cellar", true)).unwrap();
    scene.bench.send(alice, "#cellar", "secret before");
    scene.bench.act(alice, add("cellar", "bob")).unwrap();
    scene.bench.send(alice, "#cellar", "secret after");
    scene.bench.act(alice, create("hall", false)).unwrap();
    scene.bench.send(alice, "#hall", "secret of the hall");
    scene.bench.act(bob, Command::DeleteMessages(vec![hidden.id])).unwrap();
    assert_eq!(scene.found(carol, "secret"), Vec::<String>::new());
    assert_eq!(scene.found(bob, "secret"), ["secret after", "secret two"]);
    assert_eq!(scene.found(alice, "secret").len(), 5);
    assert_eq!(scene.stale(bob, "secret", "#cellar"), ["secret after"]);
    let query = SearchQuery::parse("secret").unwrap();
    let search = |viewer: User, place: &str| {
        let place = name(place);
        scene.bench.read(|reader| reader.search(viewer.account, &query, Some(&place), 0, ""))
    };
    assert_eq!(search(carol, "#cellar"), Err(Refusal::NoSuchRoom));
    assert_eq!(search(carol, "#hall"), Err(Refusal::NotAllowed));
    assert_eq!(search(carol, "@bob"), Ok(Some(SearchPage::default())));

    let bob_name = Username::parse("bob").unwrap();
    let remove = Command::RemoveMember { room: room("cellar"), username: bob_name };
    scene.bench.act(alice, remove).unwrap();
    assert_eq!(scene.stale(bob, "secret", ""), ["secret two"], "whoever left finds nothing there");
    scene.bench.act(carol, Command::JoinRoom(room("hall"))).unwrap();
    assert_eq!(scene.stale(carol, "secret", ""), ["secret of the hall"]);
    scene.bench.act(alice, Command::DeleteRoom(room("hall"))).unwrap();
    assert_eq!(scene.found(carol, "secret"), Vec::<String>::new());
}

#[test]
fn pages_hold_every_hit_once_whatever_happens_between_them() {
    let mut scene = Scene::new();
    let (alice, bob) = (scene.bench.user("alice"), scene.bench.user("bob"));
    let long = " and more of it".repeat(100);
    let body = |n: usize| match n % 3 {
        0 => format!("tea {n}"),
        1 => format!("tea tea {n}"),
        _ => format!("tea {n}{long}"),
    };
    scene.send_all(alice, "@bob", (0..700).map(body));
    scene.send_all(alice, "@alice", (700..1_100).map(body));
    scene.indexer.catch_up().unwrap();
    let (mut token, mut seen, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let page = scene.page(alice, "tea", "", 170, &token);
        seen.extend(page.found.into_iter().map(|(message, _)| message));
        token = page.next_page_token;
        pages += 1;
        assert!(pages < 30, "it comes to an end");
        if token.is_empty() {
            break;
        }
        // A new one, one that is gone, and one that is another now.
        scene.bench.send(bob, "@alice", "tea, later");
        let gone = seen.swap_remove(0);
        scene.bench.act(alice, Command::DeleteMessages(vec![gone.id])).unwrap();
        scene.bench.act(alice, edit(&seen[0], "coffee")).unwrap();
        scene.indexer.catch_up().unwrap();
        seen.push(gone);
    }
    let ids: BTreeSet<MessageId> = seen.iter().map(|message| message.id).collect();
    assert_eq!((ids.len(), seen.len()), (1_100, 1_100), "none missing, none twice");
    assert!(pages >= 7, "{pages} pages");
    let best = scene.page(bob, "tea from:alice", "@alice", 10, "");
    assert!(best.found.iter().all(|(message, _)| message.body.starts_with("tea tea")));
    let newest = best.found.windows(2).all(|pair| pair[0].0.seq > pair[1].0.seq);
    assert!(newest, "of equals, the newest comes first");
}

#[test]
fn a_page_token_that_was_made_up_shows_nothing_that_is_not_the_callers() {
    let mut scene = Scene::new();
    let (alice, bob) = (scene.bench.user("alice"), scene.bench.user("bob"));
    scene.send_all(alice, "@alice", (0..1_500).map(|n| format!("tea {n}")));
    scene.indexer.catch_up().unwrap();
    let query = SearchQuery::parse("tea").unwrap();
    let search = |viewer: User, token: &str| {
        scene.bench.read(|reader| reader.search(viewer.account, &query, None, 200, token))
    };
    let made_up = |numbers: [i64; 4]| {
        numbers.iter().flat_map(|n| n.to_be_bytes()).map(|b| format!("{b:02x}")).collect::<String>()
    };
    let extremes = [i64::MIN, -1, 0, 1, 700, i64::MAX];
    for top in extremes {
        for bottom in extremes {
            let token = made_up([top, bottom, i64::MAX, i64::MAX]);
            let (at_bob, at_alice) = (search(bob, &token), search(alice, &token));
            if bottom < 0 || top < bottom {
                assert!(matches!(at_alice, Err(Refusal::BadField { field: "page_token", .. })));
            } else {
                assert_eq!(at_bob.unwrap().unwrap().found, []);
                at_alice.unwrap().unwrap();
            }
        }
    }
    assert!(matches!(search(alice, "12"), Err(Refusal::BadField { field: "page_token", .. })));
}

#[test]
fn what_a_merge_brings_is_found_and_former_names_mean_their_owners() {
    let epoch = Epoch { number: 2, server: ServerId(2) };
    let mut loser = Bench::new();
    let alice = loser.user("alice");
    let old = loser.send(alice, "@alice", "before the split");
    let (winner, common) = (loser.copy(epoch), loser.end());
    let mut winner = Scene::of(winner);
    winner.bench.user("bob");
    let bob = loser.user("bob");
    loser.send(bob, "@alice", "lost and found");
    loser.act(alice, edit(&old, "edited meanwhile")).unwrap();
    assert_eq!(winner.found(alice, "split").len(), 1);
    merges::take_over(&mut winner.bench, &merges::stream(&loser, common));
    assert_eq!(winner.found(alice, "lost found"), ["lost and found"]);
    assert_eq!(winner.found(alice, "edited"), ["edited meanwhile"]);
    assert_eq!(winner.found(alice, "split"), Vec::<String>::new());
    assert_eq!(winner.found(alice, "from:bob"), ["lost and found"], "by the name that he had");
}

#[test]
fn making_a_room_public_does_not_show_what_came_before() {
    let mut scene = Scene::new();
    let (alice, bob) = (scene.bench.user("alice"), scene.bench.user("bob"));
    scene.bench.act(alice, create("den", true)).unwrap();
    scene.bench.send(alice, "#den", "secret");
    let update = UpdateRoom { room: room("den"), topic: None, private: Some(false) };
    scene.bench.act(alice, Command::UpdateRoom(update)).unwrap();
    scene.bench.act(bob, Command::JoinRoom(room("den"))).unwrap();
    scene.bench.send(alice, "#den", "no secret");
    assert_eq!(scene.found(bob, "secret"), ["no secret"]);
}

/// What happens in a random scene.
#[derive(Clone, Debug)]
enum Event {
    Send { to: usize, words: Vec<usize> },
    Edit { which: usize, words: Vec<usize> },
    Delete { which: usize },
    Index,
}

const WORDS: [&str; 6] = ["tea", "teapot", "Été", "it's", "茶", "a1"];

fn text(words: &[usize]) -> String {
    words.iter().map(|word| WORDS[*word]).collect::<Vec<_>>().join(" ")
}

fn event() -> impl Strategy<Value = Event> {
    let words = || prop::collection::vec(0..WORDS.len(), 1..5);
    prop_oneof![
        4 => (0..2_usize, words()).prop_map(|(to, words)| Event::Send { to, words }),
        2 => (any::<usize>(), words()).prop_map(|(which, words)| Event::Edit { which, words }),
        1 => any::<usize>().prop_map(|which| Event::Delete { which }),
        2 => Just(Event::Index),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_search_finds_what_a_look_at_every_message_finds(
        events in prop::collection::vec(event(), 1..30),
        asked in prop::collection::vec(0..WORDS.len(), 1..3),
    ) {
        let mut scene = Scene::new();
        let alice = scene.bench.user("alice");
        scene.bench.user("bob");
        let mut sent: Vec<(Message, Vec<usize>)> = Vec::new();
        for event in events {
            match event {
                Event::Send { to, words } => {
                    let to = ["@alice", "@bob"][to];
                    sent.push((scene.bench.send(alice, to, &text(&words)), words));
                }
                Event::Edit { which, words } if !sent.is_empty() => {
                    let which = which % sent.len();
                    scene.bench.act(alice, edit(&sent[which].0, &text(&words))).unwrap();
                    sent[which].1 = words;
                }
                Event::Delete { which } if !sent.is_empty() => {
                    let (gone, _) = sent.swap_remove(which % sent.len());
                    scene.bench.act(alice, Command::DeleteMessages(vec![gone.id])).unwrap();
                }
                Event::Index => { scene.indexer.step().unwrap(); }
                _ => {}
            }
        }
        let mut found = scene.found(alice, &text(&asked));
        let holds = |words: &[usize]| asked.iter().all(|word| words.contains(word));
        let mut expected: Vec<String> =
            sent.iter().filter(|(_, words)| holds(words)).map(|(_, words)| text(words)).collect();
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected);
    }
}

proptest! {
    #[test]
    fn no_query_that_is_read_fails_in_the_index(text in "(\\PC|[\"*: (){}^+-]|from:|AND|NEAR){0,40}") {
        let Ok(query) = SearchQuery::parse(&text) else { return Ok(()) };
        SCENE.with(|(scene, alice)| {
            let found = scene.bench.store.read_now(|reader| {
                let without = SearchQuery { from: Vec::new(), ..query.clone() };
                let query = if without.phrases.is_empty() { &query } else { &without };
                reader.search(alice.account, query, None, 0, "")
            });
            prop_assert!(matches!(found, Ok(Ok(Some(_)) | Err(Refusal::NoSuchAccount))), "{found:?}");
            Ok(())
        })?;
    }
}

thread_local! {
    static SCENE: (Scene, User) = {
        let mut scene = Scene::new();
        let alice = scene.bench.user("alice");
        scene.bench.send(alice, "@alice", "something");
        scene.indexer.catch_up().unwrap();
        (scene, alice)
    };
}
