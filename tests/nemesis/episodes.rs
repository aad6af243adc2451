//! What the nemesis does. Each episode begins with all servers in sync and ends so; the load goes on.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    harness::Dice,
    net::{Way, both_ways},
    times::Kind,
    world::World,
};

/// Something that the nemesis can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Episode {
    /// SIGKILL of the leader.
    CrashLeader,
    /// SIGKILL of a follower.
    CrashFollower,
    /// SIGKILL of the leader, and of the next one as soon as it leads.
    CrashTwo,
    /// SIGKILL of the leader, and of the next one while it takes over.
    CrashHeir,
    /// SIGKILL of all.
    CrashAll,
    /// SIGTERM to the leader.
    StopLeader,
    /// SIGSTOP of the leader until another one leads, and a while longer.
    FreezeLeader,
    /// SIGSTOP of any server, for a while that may or may not be noticed.
    FreezeShortly,
    /// A follower loses its disk.
    Wipe,
    /// The leader dies, and its disk with it.
    WipeLeader,
    /// Any server's syncs fail.
    FailDisk,
    /// Any server's syncs take long.
    SlowDisk,
    /// The small disk is full.
    FillDisk,
    /// Nothing comes from or to the leader and those who are cut off with it.
    CutLeader,
    /// Nothing comes from the leader, or nothing comes to it.
    CutLeaderOneWay,
    /// Nothing comes from or to a follower.
    CutFollower,
    /// Two servers don't reach each other, one way or both.
    CutPair,
    /// One thing after the other, whether or not anybody has recovered.
    Storm,
}

use Episode::*;

/// How often each is drawn, of their sum.
const WEIGHTS: &[(Episode, u64)] = &[
    (CrashLeader, 30),
    (CrashFollower, 5),
    (CrashTwo, 7),
    (CrashHeir, 7),
    (CrashAll, 2),
    (StopLeader, 5),
    (FreezeLeader, 9),
    (FreezeShortly, 5),
    (Wipe, 4),
    (WipeLeader, 3),
    (FailDisk, 5),
    (SlowDisk, 3),
    (FillDisk, 3),
    (CutLeader, 7),
    (CutLeaderOneWay, 5),
    (CutFollower, 3),
    (CutPair, 3),
    (Storm, 4),
];

impl Episode {
    /// Draws one that this world allows.
    pub(crate) fn draw(world: &World, dice: &mut Dice) -> Episode {
        let allowed = |episode: Episode| match episode {
            FailDisk | SlowDisk => world.shim,
            FillDisk => world.small_disk.is_some(),
            _ => true,
        };
        let weights: Vec<(Episode, u64)> =
            WEIGHTS.iter().copied().filter(|(episode, _)| allowed(*episode)).collect();
        let mut drawn = dice.draw(weights.iter().map(|(_, weight)| weight).sum());
        for (episode, weight) in weights {
            if drawn < weight {
                return episode;
            }
            drawn -= weight;
        }
        unreachable!("less than the sum was drawn")
    }
}

/// The nemesis at work.
pub(crate) struct Nemesis<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) dice: &'a mut Dice,
    pub(crate) majority: bool,
}

impl Nemesis<'_> {
    /// Plays one episode; everybody is in sync before and after.
    pub(crate) async fn play(&mut self, episode: Episode) {
        let leader = self.world.cluster.in_sync(self.world.cluster.ids()).await;
        self.world.load.more(20).await;
        self.pause(300).await;
        self.world.tell(format!("{episode:?}; server {leader} leads"));
        match episode {
            CrashLeader => {
                self.crash(leader).await;
            }
            CrashFollower => {
                let id = self.follower(leader);
                self.world.kill(id).await;
                self.world.load.more(20).await;
            }
            CrashTwo => self.crash_two(leader).await,
            CrashHeir => self.crash_heir(leader).await,
            CrashAll => self.crash_all().await,
            StopLeader => {
                let began = Instant::now();
                self.world.stop(leader).await;
                self.world.measure(Kind::HandOver, began, &[leader]).await;
            }
            FreezeLeader => {
                let began = Instant::now();
                self.world.freeze(leader);
                self.world.measure(Kind::Frozen, began, &[leader]).await;
                self.pause(1_500).await;
            }
            FreezeShortly => {
                let id = self.anybody();
                self.world.freeze(id);
                self.pause(1_400).await;
            }
            Wipe => self.wipe(leader).await,
            WipeLeader => {
                self.crash(leader).await;
                self.world.wipe(leader);
            }
            FailDisk => self.fail_disk(leader).await,
            SlowDisk => {
                let id = self.anybody();
                let how = *self.dice.pick(&["slow 30", "slow 300", "slow 1500"]);
                self.world.tell(format!("    server {id}: {how}"));
                self.world.disturb_syncs(id, Some(how));
                self.world.load.more(10).await;
                self.pause(2_000).await;
            }
            FillDisk => self.fill_disk().await,
            CutLeader => self.cut_off(leader).await,
            CutLeaderOneWay => self.cut_one_way(leader).await,
            CutFollower => {
                let id = self.follower(leader);
                self.hold(&both_ways(id, self.others(id)));
                self.world.load.more(20).await;
                self.pause(2_000).await;
                self.break_perhaps(id);
            }
            CutPair => self.cut_pair().await,
            Storm => self.storm().await,
        }
        self.pause(600).await;
        self.world.heal().await;
    }

    async fn pause(&mut self, most_ms: u64) {
        sleep(Duration::from_millis(self.dice.draw(most_ms))).await;
    }

    fn anybody(&mut self) -> u32 {
        let ids: Vec<u32> = self.world.cluster.ids().collect();
        *self.dice.pick(&ids)
    }

    fn others(&self, id: u32) -> Vec<u32> {
        self.world.cluster.ids().filter(|other| *other != id).collect()
    }

    /// Whether those who are left after two crashes may not lead.
    fn two_are_too_many(&self) -> bool {
        let servers = self.world.cluster.ids().count();
        self.majority && servers - 2 <= servers / 2
    }

    fn follower(&mut self, leader: u32) -> u32 {
        *self.dice.pick(&self.others(leader))
    }

    /// Kills the leader; returns the next one.
    async fn crash(&mut self, leader: u32) -> u32 {
        let began = Instant::now();
        self.world.kill(leader).await;
        self.world.measure(Kind::Crash, began, &[leader]).await
    }

    async fn crash_two(&mut self, leader: u32) {
        let next = self.crash(leader).await;
        let began = Instant::now();
        self.world.kill(next).await;
        if self.two_are_too_many() {
            // The first comes back.
            self.world.start(leader).await;
            let (time, by) = self.world.outage(began, &[next]).await;
            self.world.tell(format!("    server {by} answers after {} ms", time.as_millis()));
        } else {
            self.world.measure(Kind::SecondCrashAfter, began, &[leader, next]).await;
        }
    }

    async fn crash_heir(&mut self, leader: u32) {
        let heir = self.others(leader)[0];
        self.world.kill(leader).await;
        sleep(Duration::from_millis(self.dice.draw(40))).await;
        let began = Instant::now();
        self.world.kill(heir).await;
        if self.two_are_too_many() {
            self.world.start(leader).await;
            let (time, by) = self.world.outage(began, &[heir]).await;
            self.world.tell(format!("    server {by} answers after {} ms", time.as_millis()));
        } else {
            self.world.measure(Kind::SecondCrashDuring, began, &[leader, heir]).await;
        }
    }

    async fn crash_all(&mut self) {
        let mut ids: Vec<u32> = self.world.cluster.ids().collect();
        for id in &ids {
            self.world.kill(*id).await;
        }
        while !ids.is_empty() {
            let at = usize::try_from(self.dice.draw(ids.len() as u64)).expect("small");
            let id = ids.remove(at);
            self.world.start(id).await;
            self.pause(500).await;
        }
    }

    async fn wipe(&mut self, leader: u32) {
        let id = self.follower(leader);
        self.world.kill(id).await;
        self.world.load.more(20).await;
        if self.dice.percent(50) {
            self.world.start_reset(id).await;
        } else {
            self.world.wipe(id);
        }
    }

    async fn fail_disk(&mut self, leader: u32) {
        let id = self.anybody();
        self.world.tell(format!("    server {id}"));
        let began = Instant::now();
        self.world.disturb_syncs(id, Some("fail"));
        let exit = self.world.cluster.died(id, Duration::from_secs(10)).await;
        let exit = exit.expect("a server ends when its disk fails");
        assert_eq!(exit.status.code(), Some(1), "it says so:\n{}", exit.log);
        self.world.gone(id).await;
        if id == leader {
            self.world.measure(Kind::DiskFailed, began, &[leader]).await;
        } else {
            self.world.load.more(20).await;
        }
    }

    async fn fill_disk(&mut self) {
        let wholly = self.dice.percent(30);
        let Some((id, disk)) = &self.world.small_disk else { return };
        let (id, words) = (*id, if wholly { "full" } else { "nearly full" });
        disk.fill(wholly);
        self.world.tell(format!("    server {id}: {words}"));
        self.world.load.more(30).await;
        self.pause(2_500).await;
        self.world.load.more(30).await;
    }

    fn hold(&mut self, ways: &[Way]) {
        self.world.tell(format!("    nothing flows {ways:?}"));
        self.world.net.hold(ways.iter().copied());
    }

    /// What was held arrives late, or never.
    fn break_perhaps(&mut self, id: u32) {
        if self.dice.percent(50) {
            self.world.net.break_off(id);
        }
    }

    /// Where there are many servers, the leader may keep some followers, but no majority.
    async fn cut_off(&mut self, leader: u32) {
        let mut rest = self.others(leader);
        let most = rest.len() / 2;
        let mut side = vec![leader];
        while side.len() < most && self.dice.percent(70) {
            let at = usize::try_from(self.dice.draw(rest.len() as u64)).expect("small");
            side.push(rest.remove(at));
        }
        let ways: Vec<Way> =
            side.iter().flat_map(|id| both_ways(*id, rest.iter().copied())).collect();
        self.cut(Kind::Cut, &side, &ways).await;
    }

    /// The first of the side leads.
    async fn cut(&mut self, kind: Kind, side: &[u32], ways: &[Way]) {
        let began = Instant::now();
        self.hold(ways);
        self.world.measure(kind, began, side).await;
        self.pause(1_500).await;
        self.break_perhaps(side[0]);
    }

    async fn cut_one_way(&mut self, leader: u32) {
        let mute = self.dice.percent(50);
        let ways: Vec<Way> = self
            .others(leader)
            .into_iter()
            .map(|other| if mute { (leader, other) } else { (other, leader) })
            .collect();
        if mute || self.majority {
            self.cut(Kind::CutOneWay, &[leader], &ways).await;
            return;
        }
        // It hears nobody, and tells them that it goes on alone: nobody else may answer then.
        self.hold(&ways);
        self.world.load.more(20).await;
        self.pause(1_500).await;
        self.break_perhaps(leader);
    }

    /// With one server that reaches everybody, the cluster goes on.
    async fn cut_pair(&mut self) {
        let id = self.anybody();
        let other = *self.dice.pick(&self.others(id));
        let ways = both_ways(id, [other]);
        let ways = if self.dice.percent(50) { &ways[..1] } else { &ways[..] };
        self.hold(ways);
        self.world.load.more(20).await;
        self.pause(2_500).await;
        self.world.load.more(20).await;
        self.break_perhaps(id);
    }

    async fn storm(&mut self) {
        for _ in 0..4 + self.dice.draw(5) {
            let id = self.anybody();
            let up = self.world.cluster.is_up(id);
            match self.dice.draw(10) {
                0..=2 if up => {
                    self.world.tell(format!("    kill {id}"));
                    self.world.kill(id).await;
                }
                0..=2 => {
                    self.world.tell(format!("    start {id}"));
                    self.world.start(id).await;
                }
                3 if up && !self.world.is_frozen(id) => {
                    self.world.tell(format!("    stop {id}"));
                    self.world.stop(id).await;
                }
                4 if !up => self.world.start(id).await,
                5..=6 if self.world.is_frozen(id) => {
                    self.world.tell(format!("    thaw {id}"));
                    self.world.thaw(id);
                }
                5..=6 if up => {
                    self.world.tell(format!("    freeze {id}"));
                    self.world.freeze(id);
                }
                7..=8 => {
                    let other = *self.dice.pick(&self.others(id));
                    self.hold(&[(id, other)]);
                }
                9 => self.world.net.heal(),
                _ => {}
            }
            self.pause(600).await;
        }
    }
}
