//! No statement of the daily work reads a whole table.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use diesel::{
    Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection,
    connection::InstrumentationEvent, sql_query, sql_types::Text,
};

use super::*;
use crate::{
    chat::{CreateRoom, Glob, RoomId, RoomName, SearchQuery, Topic, UpdateRoom},
    store::Around,
};

pub(super) type Statements = Arc<Mutex<BTreeSet<String>>>;

pub(super) fn listen(connection: &mut SqliteConnection, heard: &Statements) {
    let heard = heard.clone();
    connection.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            let text = query.to_string();
            let statement = text.split(" -- binds").next().unwrap_or(&text).to_owned();
            heard.lock().unwrap().insert(statement);
        }
    });
}

#[test]
fn every_command_and_query_finds_its_rows_by_an_index() {
    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }
    let heard = Statements::default();
    let mut bench = Bench::new();
    listen(&mut bench.writer.connection, &heard);
    let (alice, bob) = (bench.user("alice"), bench.user("bob"));
    let mut winner = bench.copy(Epoch { number: 2, server: ServerId(2) });
    let common = bench.end();
    let login = bench.scribe.login("bob", Proof { account: bob.account, password_version: 1 });
    bench.run(&login).unwrap();
    bench.run(&login).unwrap();
    let message = bench.send(alice, "@bob", "hi");
    let other = bench.send(alice, "@bob", "ho");
    bench.act(bob, send_command("@alice", "re", Some(message.id))).unwrap();
    bench.act(bob, send_command("#room", "hi", None)).unwrap_err();
    bench.act(bob, Command::AcknowledgeMessages(vec![message.id, other.id])).unwrap();
    bench.act(bob, Command::MarkRead { conversation: name("@alice"), seq: 1 }).unwrap();
    bench.act(bob, Command::DeleteMessages(vec![other.id])).unwrap();
    bench.act(alice, Command::DeleteMessages(vec![message.id])).unwrap();
    let (room, username) = (RoomName::parse("room").unwrap(), Username::parse("bob").unwrap());
    let (topic, id) = (Topic::default(), RoomId([1; 16]));
    let create = CreateRoom { room: room.clone(), topic, private: true, id };
    bench.act(alice, Command::CreateRoom(create)).unwrap();
    let add = Command::AddMember { room: room.clone(), username: username.clone() };
    bench.act(alice, add.clone()).unwrap();
    let said = bench.send(alice, "#room", "hi @bob");
    let update = UpdateRoom { room: room.clone(), topic: None, private: Some(false) };
    bench.act(alice, Command::UpdateRoom(update)).unwrap();
    bench.act(bob, Command::LeaveRoom(room.clone())).unwrap();
    bench.act(bob, Command::JoinRoom(room.clone())).unwrap();
    let remove = Command::RemoveMember { room: room.clone(), username: username.clone() };
    bench.act(alice, remove).unwrap();
    bench.act(alice, add).unwrap();
    for body in ["nobody", "@bob"] {
        let body = Body::parse(body).unwrap();
        bench.act(alice, Command::EditMessage { message: said.id, body }).unwrap();
    }
    bench.act(bob, Command::MarkRead { conversation: name("#room"), seq: 1 }).unwrap();
    bench.act(alice, Command::DeleteMessages(vec![said.id])).unwrap();
    bench.send(alice, "#room", "left behind");
    bench.act(alice, Command::TransferRoom { room: room.clone(), username }).unwrap();
    let other = CreateRoom {
        room: RoomName::parse("other").unwrap(),
        topic: Topic::default(),
        private: false,
        id: RoomId([2; 16]),
    };
    bench.act(alice, Command::CreateRoom(other)).unwrap();
    bench.read(|reader| {
        listen(&mut reader.connection, &heard);
        reader.rooms(bob.account, &Glob::parse("r*").unwrap(), 0, "")?.unwrap();
        reader.members(bob.account, &room, 0, "")?.unwrap();
        reader.typing(bob.account, &name("#room"))?.unwrap();
        reader.presence(bob.account, true)?;
        reader.replay(bob.account, 3, 100, 10)
    });
    bench.act(bob, Command::DeleteRoom(room)).unwrap();
    let touch = bench.scribe.call(None, Command::TouchSession(bob.session));
    bench.run(&touch).unwrap();
    bench.user("carol");
    winner.user("carol");
    let lost = bench.read(|reader| {
        listen(&mut reader.connection, &heard);
        reader.merges(common, u64::MAX >> 1, common, 1 << 20)
    });
    listen(&mut winner.writer.connection, &heard);
    for update in lost.updates.iter().chain(&lost.updates) {
        winner.run(&update::decode(update).unwrap()).unwrap();
    }
    let carol = bench.user("dora");
    let phone = accounts::device(&mut bench, carol);
    bench.send(carol, "@carol", "hi");
    accounts::create_room(&mut bench, carol, "third");
    accounts::join(&mut bench, bob, "third");
    let command = accounts::change(&bench, carol, "new");
    let (start, mut rival) = (bench.end(), bench.copy(Epoch { number: 3, server: ServerId(3) }));
    bench.act(carol, command).unwrap();
    bench.act(carol, Command::EndSession(phone.session)).unwrap();
    accounts::delete(&mut bench, carol);
    let lost = bench.read(|reader| {
        listen(&mut reader.connection, &heard);
        reader.merges(start, bench.end(), start, 1 << 20)
    });
    listen(&mut rival.writer.connection, &heard);
    for update in lost.updates.iter().chain(&lost.updates) {
        rival.run(&update::decode(update).unwrap()).unwrap();
    }
    let far = Timestamp(i64::MAX);
    let expire = crate::chat::Expire {
        requests_before: far,
        deleted_before: far,
        idle_before: Timestamp(0),
    };
    let expire = bench.scribe.call(None, Command::Expire(expire));
    bench.run(&expire).unwrap();
    bench.act(alice, Command::Logout).unwrap();
    let mut indexer = bench.store.indexer();
    indexer.hear(|chat| listen(chat, &heard)).unwrap();
    indexer.catch_up().unwrap();
    bench.writer.trim(3).unwrap();
    bench.read(|reader| {
        listen(&mut reader.connection, &heard);
        let (viewer, peer) = (bob.account, name("@alice"));
        reader.credentials(&Username::parse("bob").unwrap())?;
        reader.session_by_token(&TokenHash([0; 32]))?;
        reader.sessions(viewer, 0, "")?.unwrap();
        reader.accounts(&Glob::parse("a*").unwrap(), 0, "")?.unwrap();
        reader.conversations(viewer, 0, "")?.unwrap();
        for around in [Around::Latest, Around::After(1), Around::Before(2), Around::Seq(2)] {
            reader.messages(viewer, &peer, around, 0)?.unwrap();
        }
        reader.message(viewer, message.id)?;
        reader.replay(viewer, 3, 100, 10)?;
        reader.resume(EPOCH, 900)?;
        let query = SearchQuery::parse("left from:alice").unwrap();
        reader.search(viewer, &query, None, 0, "")?.unwrap().unwrap();
        reader.search(viewer, &query, Some(&peer), 0, "")?.unwrap().unwrap();
        reader.entries(1, 9, 1_000)
    });

    let statements = heard.lock().unwrap().clone();
    let planned = |statement: &&String| {
        ["SELECT", "UPDATE", "DELETE"].iter().any(|verb| statement.starts_with(verb))
    };
    // One row, one a lost epoch, and ordered pages of what is oldest.
    let may_scan = ["SCAN meta", "SCAN divergence", "SCAN requests"];
    let mut count = 0;
    for statement in statements.iter().filter(planned) {
        count += 1;
        let plan: Vec<Step> = sql_query(format!("EXPLAIN QUERY PLAN {statement}"))
            .load(&mut bench.writer.connection)
            .unwrap();
        for Step { detail } in plan {
            let fine = !detail.starts_with("SCAN") || may_scan.contains(&detail.as_str());
            assert!(fine, "{detail}\n{statement}");
        }
    }
    assert!(count > 25, "{count} statements were heard");
}
