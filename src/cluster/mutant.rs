//! Known bugs as switches, so that the walker can show that it finds them. Never set in production.

/// A rule left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[doc(hidden)]
pub enum Mutant {
    /// A restarted leader goes on in the epoch that it led before.
    ResumesOldEpoch,
    /// Silence excludes a member although the rest is below the policy's minimum.
    ExcludesOnSilence,
    /// A candidate leads with its own log, though a promiser has a longer one.
    SkipsFetch,
    /// A member has authority before it knows that its join is committed.
    JoinCountsEarly,
    /// A restarted server keeps the standing that it had.
    RestartKeepsStanding,
    /// Updates for an earlier life are taken.
    TakesOthersUpdates,
    /// A Recovering server leads without those that it promised before.
    ForgetsPromisedTo,
    /// A Resign that keeps the standing counts as a death.
    ResignIsDeath,
    /// DEAD evidence outlives the peer's next life.
    StaleEvidence,
    /// A read is served after an answer to a heartbeat that was sent before it.
    OldAnswerServesRead,
    /// A wiped server under `majority` accepts and promises at once.
    ForgetsPromise,
    /// What one side of a partition stored alone is not merged.
    SkipsReconcile,
}

impl Mutant {
    /// All of them, with the names that the walker's command line takes.
    pub const ALL: [(&'static str, Mutant); 12] = [
        ("resumes-old-epoch", Mutant::ResumesOldEpoch),
        ("excludes-on-silence", Mutant::ExcludesOnSilence),
        ("skips-fetch", Mutant::SkipsFetch),
        ("join-counts-early", Mutant::JoinCountsEarly),
        ("restart-keeps-standing", Mutant::RestartKeepsStanding),
        ("takes-others-updates", Mutant::TakesOthersUpdates),
        ("forgets-promised-to", Mutant::ForgetsPromisedTo),
        ("resign-is-death", Mutant::ResignIsDeath),
        ("stale-evidence", Mutant::StaleEvidence),
        ("old-answer-serves-read", Mutant::OldAnswerServesRead),
        ("forgets-promise", Mutant::ForgetsPromise),
        ("skips-reconcile", Mutant::SkipsReconcile),
    ];
}
