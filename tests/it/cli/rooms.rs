//! Rooms by lines and by commands, good and bad.

use super::Person;
use crate::harness::Cluster;

const UNKNOWN: (i32, &str, &str) = (1, "NO_SUCH_ROOM", "; /rooms lists those that you can see");
const NO_MEMBER: (i32, &str, &str) = (1, "NOT_ALLOWED", "/join #hall brings you in");
const NO_OWNER: (i32, &str, &str) = (1, "NOT_ALLOWED", "/rooms shows who owns a room");
const NOBODY: (i32, &str, &str) = (1, "NO_SUCH_ACCOUNT", "/users lists who there is");

type Answer = (i32, &'static str, &'static str);

/// Every line gets the same answer.
async fn all_fail(person: &Person, lines: &[&str], (exit, reason, words): Answer) {
    let cases: Vec<_> = lines.iter().map(|line| (*line, exit, reason, words)).collect();
    person.fails(&cases).await;
}

/// alice, who owns the private #den with bob in it, and the public #hall; bob; carol.
async fn people(cluster: &Cluster) -> [Person; 3] {
    let names = ["alice", "bob", "carol"];
    let people = names.map(|name| Person::new(cluster, name));
    for (person, name) in people.iter().zip(names) {
        person.creates(name).await;
    }
    let said = people[0]
        .says(
            "/room #den private plans for May\n/room #hall chess and go\n/invite @bob #den\n\
             /msg #den hello @bob\n",
        )
        .await;
    said.tells(&[
        "created #den  of alice, private  plans for May",
        "created #hall  of alice  chess and go",
        "bob is in #den",
        "sent #1 to #den",
    ]);
    people
}

#[tokio::test]
async fn lines_lead_through_the_life_of_a_room() {
    let cluster = Cluster::start().await;
    let [alice, bob, carol] = people(&cluster).await;
    let lines = "/inbox\n/history #den\nhere I am\n/who\n/read #den\n/inbox\n/join hall\n\
                 /rooms\n/rooms d*\n/leave #den\n/rooms\n/who\n";
    let said = bob.says(lines).await;
    said.tells(&[
        "#den  1 unread, 1 mentions you",
        "alice: hello @bob",
        "sent #2 to #den",
        "alice  since ",
        "bob  since ",
        "read #den up to #2",
        "#den  nothing unread, 2 in all",
        "joined #hall  of alice  chess and go",
        "left #den",
    ]);
    assert_eq!(said.stdout.matches("#den  of alice, private").count(), 2, "{}", said.stdout);
    let lines = "/topic #hall only go\n/topic #hall\n/kick @bob #hall\n/invite carol hall\n\
                 /transfer #hall @carol\n/leave #hall\n/who #den\n";
    alice.says(lines).await.tells(&[
        "changed #hall  of alice  only go\n",
        "changed #hall  of alice\n",
        "bob is no longer in #hall",
        "carol is in #hall",
        "carol owns #hall now",
        "left #hall",
        "alice  since ",
    ]);
    carol.says("/rooms\n/close-room #hall\n/rooms\n").await.tells(&[
        "#hall  of carol\n",
        "closed #hall\n",
        "no rooms yet",
    ]);
}

#[tokio::test]
async fn lines_about_rooms_of_others_are_refused_and_say_what_to_do() {
    let cluster = Cluster::start().await;
    let [alice, bob, carol] = people(&cluster).await;
    for room in ["#den", "#nowhere"] {
        let lines = [
            "/join #R",
            "/leave #R",
            "/msg #R hi",
            "/history #R",
            "/read #R",
            "/who #R",
            "/search in:#R words",
            "/invite @carol #R",
            "/kick @bob #R",
            "/topic #R mine",
            "/transfer #R @carol",
            "/close-room #R",
        ]
        .map(|line| line.replace("#R", room));
        all_fail(&carol, &lines.each_ref().map(String::as_str), UNKNOWN).await;
    }
    let lines = [
        "/leave #hall",
        "/invite @carol #hall",
        "/kick @alice #hall",
        "/topic #hall mine",
        "/transfer #hall @bob",
        "/close-room #hall",
    ];
    all_fail(&bob, &lines, (1, "NOT_ALLOWED", "members only; ")).await;
    let lines =
        ["/msg #hall hi", "/history #hall", "/read #hall", "/who #hall", "/search in:#hall words"];
    all_fail(&bob, &lines, NO_MEMBER).await;
    bob.says("/join #hall\n").await;
    let lines =
        ["/kick @alice #hall", "/topic #hall mine", "/transfer #hall @bob", "/close-room #hall"];
    all_fail(&bob, &lines, NO_OWNER).await;
    bob.fails(&[("/invite @carol #den", 1, "NOT_ALLOWED", "its owner alone brings others")]).await;
    let lines = ["/invite @nobody #hall", "/kick @nobody #hall", "/transfer #hall @nobody"];
    all_fail(&alice, &lines, NOBODY).await;
    alice
        .fails(&[
            ("/room #hall", 1, "NAME_TAKEN", "/join #hall if you meant that one"),
            (
                "/leave #hall",
                1,
                "NOT_ALLOWED",
                "by /transfer #hall @USER, or closes it by /close-room #hall",
            ),
            ("/kick @alice #hall", 1, "NOT_ALLOWED", "the owner stays"),
            ("/transfer #hall @carol", 1, "NOT_ALLOWED", "/invite @carol #hall adds a member"),
            ("/room #no+room", 65, "BAD_FIELD", "room"),
            (&format!("/topic #hall {}", "x".repeat(2_000)), 65, "BAD_FIELD", "topic"),
            ("/room", 2, "", "write it so: /room #ROOM [private] [TOPIC]"),
            ("/join", 2, "", "write it so: /join #ROOM"),
            ("/join @bob", 2, "", "write #ROOM"),
            ("/invite @bob", 2, "", "write it so: /invite @USER #ROOM"),
            ("/kick", 2, "", "write it so: /kick @USER #ROOM"),
            ("/topic", 2, "", "write it so: /topic #ROOM [TOPIC]"),
            ("/transfer #hall", 2, "", "write it so: /transfer #ROOM @USER"),
            ("/close-room", 2, "", "write it so: /close-room #ROOM"),
            ("/who @bob", 2, "", "write #ROOM"),
            ("/leave", 2, "", "write it so: /leave #ROOM"),
        ])
        .await;
    let rooms = carol.says("/rooms\n").await;
    assert!(
        !rooms.stdout.contains("#den"),
        "a private room shows itself to nobody: {}",
        rooms.stdout
    );
    alice.says("/who #hall\n/rooms\n").await.tells(&["bob", "#hall  of alice  chess and go"]);
}

#[tokio::test]
async fn commands_do_the_same() {
    let cluster = Cluster::start().await;
    let [alice, bob, carol] = people(&cluster).await;
    carol
        .fails_at_once(&[
            (&["join", "den"], 1, "NO_SUCH_ROOM", "client rooms lists"),
            (&["leave", "den"], 1, "NO_SUCH_ROOM", "client room ROOM creates one"),
            (&["send", "#den", "hi"], 1, "NO_SUCH_ROOM", "client rooms lists"),
            (&["history", "#nowhere"], 1, "NO_SUCH_ROOM", "client rooms lists"),
            (&["read", "#hall"], 1, "NOT_ALLOWED", "client join hall brings you in"),
            (&["who", "hall"], 1, "NOT_ALLOWED", "client join hall brings you in"),
            (&["invite", "bob", "hall"], 1, "NOT_ALLOWED", "client join hall brings you in"),
            (&["search", "--in", "#hall", "x"], 1, "NOT_ALLOWED", "client join hall brings you in"),
            (&["room", "hall"], 1, "NAME_TAKEN", "client join hall if you meant"),
            (&["room", "no+room"], 65, "BAD_FIELD", "room"),
            (&["who", "@bob"], 2, "", "write #ROOM"),
        ])
        .await;
    bob.does(&["join", "hall"]).await.tells(&["joined #hall"]);
    bob.fails_at_once(&[
        (&["kick", "alice", "hall"], 1, "NOT_ALLOWED", "client rooms shows who owns a room"),
        (&["topic", "hall", "mine"], 1, "NOT_ALLOWED", "client rooms shows who owns a room"),
        (&["transfer", "hall", "bob"], 1, "NOT_ALLOWED", "client rooms shows who owns a room"),
        (&["close-room", "hall"], 1, "NOT_ALLOWED", "client rooms shows who owns a room"),
    ])
    .await;
    alice
        .fails_at_once(&[
            (&["leave", "hall"], 1, "NOT_ALLOWED", "first by client transfer hall @USER"),
            (&["invite", "nobody", "hall"], 1, "NO_SUCH_ACCOUNT", "client users lists"),
        ])
        .await;
    alice.does(&["send", "#hall", "hello", "@bob"]).await.tells(&["sent #1 to #hall"]);
    bob.does(&["read", "#hall"]).await.tells(&["read #hall up to #1"]);
    alice.does(&["topic", "hall", "only", "go"]).await.tells(&["of alice  only go"]);
    alice.does(&["invite", "carol", "#hall"]).await.tells(&["carol is in #hall"]);
    alice.does(&["kick", "carol", "hall"]).await.tells(&["carol is no longer in #hall"]);
    alice.does(&["transfer", "hall", "bob"]).await.tells(&["bob owns #hall now"]);
    alice.does(&["leave", "hall"]).await.tells(&["left #hall"]);
    bob.does(&["who", "hall"]).await.tells(&["bob  since "]);
    bob.does(&["who"]).await.tells(&["you are bob"]);
    bob.does(&["close-room", "hall"]).await.tells(&["closed #hall"]);
    alice.does(&["room", "--private", "attic", "old", "things"]).await.tells(&["#attic"]);
    let said = alice.does(&["--json", "rooms", "a*"]).await;
    let rooms = said.objects();
    assert_eq!(rooms.len(), 1, "{}", said.stdout);
    assert_eq!((&rooms[0]["type"], &rooms[0]["private"]), (&"room".into(), &true.into()));
}
