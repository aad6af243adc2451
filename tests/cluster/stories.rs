//! Stories about the protocol, as text files under `tests/scripts/cluster/`. Each opens with the fact it
//! tells. Every line is one act or one expectation; acts happen at once, `run` lets time go by without
//! faults. When a line fails, the story's trace is printed.

#![allow(clippy::print_stdout, reason = "a failing story shows its trace")]

mod show;
mod two_processes;
mod world;

use std::{
    collections::{BTreeSet, VecDeque},
    fs,
    path::PathBuf,
    time::Duration,
};

use chinwag::cluster::{Core, Event, Mode, Mutant, Policy, ServerId, Time, Timing};
use world::World;

const SCRIPTS: &str = "tests/scripts/cluster";

fn scripts() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(SCRIPTS);
    let files = fs::read_dir(folder).expect("the stories' folder");
    let mut paths: Vec<PathBuf> =
        files.map(|file| file.expect("a readable folder").path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_story_comes_out_as_told() {
    let mut failures = Vec::new();
    for path in scripts() {
        let text = fs::read_to_string(&path).expect("a story is text");
        if let Err(what) = tell(&text, None).and_then(|()| tell_without_its_rule(&text)) {
            failures.push(format!("{}: {what}", path.display()));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn every_rule_has_a_story() {
    let names: Vec<String> = scripts()
        .iter()
        .map(|path| path.file_name().expect("a file").to_string_lossy().into_owned())
        .collect();
    let rules = (1..=22).chain([24]).map(|rule| format!("p{rule:02}-"));
    let untold: Vec<String> =
        rules.filter(|rule| !names.iter().any(|name| name.starts_with(rule))).collect();
    assert!(untold.is_empty(), "no story for {untold:?}");
}

#[test]
fn a_wrong_expectation_fails() {
    let story =
        "# Nobody serves.\nservers 3 majority\nstart 1 2 3\nrun 1000\nexpect serving nobody\n";
    assert!(tell(story, None).is_err());
}

/// `# Without NAME: I3.` names a mutant under which the story breaks that invariant.
fn tell_without_its_rule(text: &str) -> Result<(), String> {
    for line in text.lines() {
        let Some(claim) = line.strip_prefix("# Without ") else { continue };
        let (name, invariant) =
            claim.trim_end_matches('.').split_once(": ").ok_or("'# Without NAME: INVARIANT.'")?;
        let mutant = Mutant::ALL.iter().find(|(own, _)| *own == name).ok_or("a mutant's name")?.1;
        let Err(what) = tell(text, Some(mutant)) else {
            return Err(format!("nothing breaks without {name}"));
        };
        if !what.contains(&format!(": {invariant}: ")) {
            return Err(format!("without {name}: {what}"));
        }
    }
    Ok(())
}

#[test]
fn every_mutant_is_caught() {
    let told: Vec<String> = scripts()
        .iter()
        .map(|path| fs::read_to_string(path).expect("a story is text"))
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let walker = include_str!("walker.rs");
    for (name, mutant) in Mutant::ALL {
        let by_story = told.iter().any(|line| line.starts_with(&format!("# Without {name}: ")));
        let by_walk = walker.contains(&format!("(Mutant::{mutant:?}, "));
        assert!(by_story || by_walk, "nothing shows that {name} is wrong");
    }
}

fn tell(text: &str, mutant: Option<Mutant>) -> Result<(), String> {
    let opening = text.lines().next().unwrap_or_default();
    if !opening.starts_with("# ") || !opening.ends_with('.') {
        return Err("a story opens with a sentence: '# … .'".to_owned());
    }
    let mut world = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let result = play(&mut world, line, mutant);
        let violated = world.as_ref().and_then(|world: &World| world.failed.clone());
        // Under a mutant only what must never be counts, not what the story expects.
        let unmet = result.err().filter(|_| mutant.is_none());
        if let Some(what) = violated.or(unmet) {
            let lines = world.and_then(|mut world| world.trace.take()).unwrap_or_default();
            for line in lines.into_iter().filter(|_| mutant.is_none()) {
                println!("{line}");
            }
            return Err(format!("line {}: {line}: {what}", index + 1));
        }
    }
    Ok(())
}

fn play(world: &mut Option<World>, line: &str, mutant: Option<Mutant>) -> Result<(), String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if let ["servers", count, policy, ref seed @ ..] = words[..] {
        let policy = match policy {
            "available" => Policy::Available,
            "majority" => Policy::Majority,
            _ => return Err("a policy".to_owned()),
        };
        // What the servers draw, such as their first epochs' numbers.
        let seed = match seed {
            [] => 1,
            ["seed", seed] => number(seed)?,
            _ => return Err("servers COUNT POLICY [seed N]".to_owned()),
        };
        let mut new = World::new(number(count)? as u32, policy, Timing::default(), seed, mutant);
        new.trace = Some(Vec::new());
        *world = Some(new);
        return Ok(());
    }
    let world = world.as_mut().ok_or("servers come first")?;
    match words[..] {
        ["expect", ..] => expect(world, &words[1..]),
        ["within", millis, "expect", ..] => expect_within(world, number(millis)?, &words[3..]),
        ["run", millis] => {
            world.run_for(Duration::from_millis(number(millis)?));
            Ok(())
        }
        [act, ref rest @ ..] => do_act(world, act, rest),
        [] => Ok(()),
    }
}

/// Messages and disks take no time here: what passes is what the servers wait for a timer.
fn expect_within(world: &mut World, millis: u64, words: &[&str]) -> Result<(), String> {
    let end = world.now + Duration::from_millis(millis);
    loop {
        world.settle();
        let result = expect(world, words);
        if result.is_ok() || world.failed.is_some() || world.now >= end {
            return result;
        }
        world.run_for(Duration::from_millis(1));
    }
}

/// What one server said to another arrives, and nothing else happens.
fn deliver_between(world: &mut World, from: ServerId, to: ServerId) {
    let network = std::mem::take(&mut world.network);
    let (now, later): (VecDeque<_>, VecDeque<_>) =
        network.into_iter().partition(|one| one.message.from == from && one.message.to == to);
    world.network = later;
    for flight in now {
        world.deliver(flight);
    }
}

/// For a while the leader stores four batches in the time in which the other one stores what reached it
/// before them.
fn outrun(world: &mut World, leader: ServerId, behind: ServerId, millis: u64) {
    for _ in 0..millis {
        deliver_between(world, leader, behind);
        for _ in 0..4 {
            world.submit(leader);
            store_all(world, leader);
        }
        store_all(world, behind);
        deliver_between(world, behind, leader);
        store_all(world, leader);
        world.now += Duration::from_millis(1);
        world.tick();
    }
}

fn store_all(world: &mut World, id: ServerId) {
    while world.has_store_work(id) {
        world.run_store(id);
    }
}

fn do_act(world: &mut World, act: &str, rest: &[&str]) -> Result<(), String> {
    if matches!(act, "start" | "crash" | "pause" | "resume" | "stall" | "shutdown" | "force") {
        for word in rest {
            act_on(world, act, server(word)?);
        }
        return Ok(());
    }
    match (act, rest) {
        ("settle", []) => world.settle(),
        ("heal", []) => world.cut.clear(),
        ("lose", []) => {
            world.loses = true;
            world.network.clear();
        }
        ("fail-store", [id, durable]) => world.fail_store(server(id)?, *durable == "durable"),
        ("deliver", [from, to]) => deliver_between(world, server(from)?, server(to)?),
        ("store", [id]) => store_all(world, server(id)?),
        ("store-one", [id]) => world.run_store(server(id)?),
        ("outrun", [leader, behind, millis]) => {
            outrun(world, server(leader)?, server(behind)?, number(millis)?);
        }
        ("schema", [id, version]) => {
            world.node(server(id)?).schema = number(version)? as u32;
        }
        ("spoil", [id]) => world.node(server(id)?).spoiled = true,
        ("wipe", [id]) => world.wipe(server(id)?, false),
        ("reset", [id]) => world.wipe(server(id)?, true),
        ("probed", [id, peer]) => {
            let (id, peer) = (server(id)?, server(peer)?);
            if world.next_probe(id) != Some(peer) {
                return Err("it probes somebody else".to_owned());
            }
            world.end_probe(id);
        }
        ("copy", [id]) => world.keep_copy(server(id)?),
        ("put-back", [id]) => world.put_copy_back(server(id)?).ok_or("there is no copy")?,
        ("restore", [id]) => world.restore_copy(server(id)?).ok_or("there is no copy")?,
        ("vanish", [id]) => world.vanish(server(id)?),
        ("ended", [id, peer]) => {
            let peer = server(peer)?;
            world.step(server(id)?, Event::StreamEnded { peer });
        }
        ("cut", [from, to]) => {
            let (from, to) = (server(from)?, server(to)?);
            world.loses = true;
            world.cut.extend([(from, to), (to, from)]);
        }
        ("cut-way", [from, to]) => {
            world.loses = true;
            world.cut.insert((server(from)?, server(to)?));
        }
        ("submit", [id]) => world.submit(server(id)?).map(drop).ok_or("takes no updates")?,
        ("submit", [id, count]) => {
            world.submit_many(server(id)?, number(count)?).map(drop).ok_or("takes no updates")?;
        }
        ("read", [id]) => world.read(server(id)?).map(drop).ok_or("does not serve")?,
        ("disk", [id, state]) => world.step(server(id)?, Event::DiskLow(*state == "low")),
        ("hand-over", [id, to]) => {
            let to = server(to)?;
            world.step(server(id)?, Event::HandOver { to });
        }
        ("fail", [id]) => {
            let reason = "the disk failed".to_owned();
            world.step(server(id)?, Event::StoreFailed { reason });
        }
        _ => return Err("no such act".to_owned()),
    }
    Ok(())
}

fn act_on(world: &mut World, act: &str, id: ServerId) {
    match act {
        "start" => world.start(id),
        "crash" => world.crash(id),
        "pause" => {
            world.loses = true;
            world.node(id).paused = true;
        }
        "resume" => world.node(id).paused = false,
        "stall" => world.node(id).stalled = true,
        "shutdown" => world.step(id, Event::Shutdown),
        _ => {
            world.forced = true;
            world.step(id, Event::ForceLead);
        }
    }
}

fn expect(world: &World, words: &[&str]) -> Result<(), String> {
    let now = Time(world.now);
    let status = |id: ServerId| world.core(id).map(|core| core.status(now));
    match words {
        ["serving", "nobody"] => same(&world.leaders(), &Vec::new()),
        ["serving", ids @ ..] => {
            let wanted: Result<Vec<ServerId>, String> = ids.iter().map(|id| server(id)).collect();
            same(&world.leaders(), &wanted?)
        }
        ["in-sync", id, ids @ ..] => {
            let status = status(server(id)?).ok_or("it is down")?;
            same(&status.in_sync, &servers(ids)?)
        }
        ["waits", id, ids @ ..] => {
            let status = status(server(id)?).ok_or("it is down")?;
            same(&status.waiting_for, &servers(ids)?)
        }
        ["mode", id, mode] => {
            let core = world.core(server(id)?).ok_or("it is down")?;
            same(&mode_word(core.mode()), mode)
        }
        ["answered", count] => same(&(world.acknowledged.len() as u64), &number(count)?),
        ["reads", count] => same(&(world.served_reads.len() as u64), &number(count)?),
        ["ends", id, seq] => {
            let log = world.nodes[&server(id)?].disk.log.as_ref();
            same(&log.map_or(0, |log| log.last().seq), &number(seq)?)
        }
        ["aside", id, count] => {
            same(&(world.nodes[&server(id)?].disk.aside.len() as u64), &number(count)?)
        }
        ["trimmed", id] => {
            let trimmed = world.nodes[&server(id)?].trimmed;
            if trimmed > 0 { Ok(()) } else { Err("nothing is trimmed".to_owned()) }
        }
        ["untrimmed", id] => same(&world.nodes[&server(id)?].trimmed, &0),
        ["joining", id] => same(&world.is_joining(server(id)?), &true),
        ["everything"] => {
            let there = world.leaders().first().map(|id| world.nodes[id].updates());
            let there = there.ok_or("nobody serves")?;
            let gone = world.acknowledged.iter().find(|one| !there.contains(&one.payload));
            gone.map_or(Ok(()), |one| Err(format!("update {} is gone", one.waiter)))
        }
        ["same", "logs"] => {
            let ends =
                world.nodes.values().map(|node| node.disk.log.as_ref().map(|log| log.last()));
            let ends: Vec<_> = ends.collect();
            if ends.windows(2).all(|pair| pair[0] == pair[1]) {
                Ok(())
            } else {
                Err(format!("{ends:?}"))
            }
        }
        ["takes", id] => same(&world.core(server(id)?).is_some_and(Core::takes_updates), &true),
        ["refuses", id] => same(&world.core(server(id)?).is_some_and(Core::takes_updates), &false),
        ["read-only", id] => {
            let core = world.core(server(id)?);
            same(&core.is_some_and(Core::writes_refused_for_disk), &true)
        }
        ["forced", id] => {
            let status = status(server(id)?).ok_or("it is down")?;
            if status.forced.is_empty() { Err("no forced view".to_owned()) } else { Ok(()) }
        }
        ["exit", id, "clean"] => same(&world.nodes[&server(id)?].exit, &Some(None)),
        ["exit", id, "failed"] => {
            same(&matches!(world.nodes[&server(id)?].exit, Some(Some(_))), &true)
        }
        ["note", id, text @ ..] => {
            let note = status(server(id)?).ok_or("it is down")?.note;
            contains(&note, &text.join(" "))
        }
        ["said", id, text @ ..] => {
            contains(&world.nodes[&server(id)?].told.join("\n"), &text.join(" "))
        }
        _ => Err("no such expectation".to_owned()),
    }
}

fn same<T: PartialEq<U> + std::fmt::Debug, U: std::fmt::Debug>(
    is: &T,
    wanted: &U,
) -> Result<(), String> {
    if is == wanted { Ok(()) } else { Err(format!("it is {is:?}, not {wanted:?}")) }
}

fn contains(text: &str, part: &str) -> Result<(), String> {
    if text.contains(part) { Ok(()) } else { Err(format!("it is '{text}'")) }
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("'{word}' is not a number"))
}

fn server(word: &str) -> Result<ServerId, String> {
    number(word).map(|id| ServerId(id as u32))
}

fn servers(words: &[&str]) -> Result<BTreeSet<ServerId>, String> {
    let named = words.iter().filter(|word| **word != "nobody");
    named.map(|word| server(word)).collect()
}

fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Blank => "blank",
        Mode::Recovering => "recovering",
        Mode::Follower(_) => "follower",
        Mode::Candidate(_) => "candidate",
        Mode::Leader(_) => "leader",
        Mode::Reconciling => "reconciling",
    }
}
