//! Known bugs as switches, so that the walker can show that it finds them. Never set in production.
//!
//! Expiry by each server's own clock is not among them: the core knows no expiry, its entries are opaque.
//! That rule (P19) belongs to the store, and its switch would too.

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
    /// What a leader says is committed is believed without comparing hashes.
    BelievesUnseen,
    /// A leader that hears of a greater epoch raises its own instead of stepping down.
    RaisesOwnEpoch,
    /// A batch that the store has not applied yet is not rolled back.
    ForgetsLateBatch,
    /// A new life is fed before the view without its old life is committed.
    FeedsNewLife,
    /// A snapshot is installed whatever the own log has become meanwhile.
    TakesAnySnapshot,
    /// A leader sends a whole batch again that began before the receiver's log.
    ResendsWholeBatch,
    /// An update is answered before the own commit although the others that have it are too few.
    AnswersWithFew,
    /// A batch that is answered and not committed yet is rolled back.
    RollsBackAnswered,
    /// A read does not wait for the commit of what was answered before it came.
    ReadsBeforeCommit,
    /// Whether a promiser may have forgotten something is read from its report alone.
    BelievesReportsAlone,
}

impl Mutant {
    /// All of them, with the names that the walker's command line takes.
    pub const ALL: [(&'static str, Mutant); 22] = [
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
        ("believes-unseen", Mutant::BelievesUnseen),
        ("raises-own-epoch", Mutant::RaisesOwnEpoch),
        ("forgets-late-batch", Mutant::ForgetsLateBatch),
        ("feeds-new-life", Mutant::FeedsNewLife),
        ("takes-any-snapshot", Mutant::TakesAnySnapshot),
        ("resends-whole-batch", Mutant::ResendsWholeBatch),
        ("answers-with-few", Mutant::AnswersWithFew),
        ("rolls-back-answered", Mutant::RollsBackAnswered),
        ("reads-before-commit", Mutant::ReadsBeforeCommit),
        ("believes-reports-alone", Mutant::BelievesReportsAlone),
    ];
}
