//! What callers of this server may do, and have done: the limits of the configuration with their memories.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tonic::Status;

use super::errors;
use crate::{
    chat::{AccountId, Username},
    config,
    limits::{Buckets, Familiar, Guess, Guesses, Origin, Share, UnderWay},
};

/// A call that is too early waits for its turn, but no longer than this.
const LONGEST: Duration = Duration::from_secs(1);
/// A refusal takes so long: whoever repeats at once gains nothing by it.
const REFUSAL: Duration = Duration::from_millis(200);
/// How soon a guess that is too early is looked at again.
const AGAIN: Duration = Duration::from_millis(50);
/// An address has room for so many times the calls of an account, for callers who have shown no session.
const STRANGERS: usize = 4;
/// What the calls of one caller may hold of what they bring. One message is smaller than a quarter of it.
const MOST_BYTES: usize = 16 << 20;
/// What comes at once counts as a call for each so many bytes; the longest message has as many.
const CALL_BYTES: usize = 16 << 10;
/// No request counts for more bytes. That many do not even come.
const MOST_COUNTED: usize = 1 << 20;

/// Who calls, as far as limits are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Who {
    /// By its session, if the server remembers that; otherwise the caller is a stranger.
    pub(super) account: Option<AccountId>,
    pub(super) origin: Origin,
}

/// See the file's header; shared by all services.
pub(super) struct Allowances {
    by_account: Option<Buckets<AccountId>>,
    /// Apart for callers with a session, whom strangers at the same address must not hold up.
    by_origin: Option<Buckets<(Origin, bool)>>,
    new_accounts: Option<Buckets<Origin>>,
    under_way: UnderWay<Key>,
    calls_under_way: usize,
    familiar: Familiar<AccountId>,
    guesses: Guesses,
}

/// Whose calls are counted together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Key {
    Account(AccountId),
    Strangers(Origin),
}

/// A call under way, for its caller.
pub(super) struct Held(Share<Key>);

impl Held {
    /// Notes that the call brought so many bytes more.
    ///
    /// # Errors
    /// Its caller's calls hold too many.
    pub(super) fn takes(&mut self, bytes: usize) -> Result<(), Status> {
        if self.0.holds(bytes) <= MOST_BYTES {
            return Ok(());
        }
        Err(errors::limited("your calls bring too much at once; wait for their answers", REFUSAL))
    }
}

impl Allowances {
    pub(super) fn new(limits: &config::Limits) -> Arc<Allowances> {
        Arc::new(Allowances {
            by_account: limits.account_calls.map(Buckets::new),
            by_origin: limits.address_calls.map(Buckets::new),
            new_accounts: limits.new_accounts.map(Buckets::new),
            under_way: UnderWay::default(),
            calls_under_way: limits.calls_under_way,
            familiar: Familiar::default(),
            guesses: Guesses::new(limits.failed_logins),
        })
    }

    /// A caller's call begins; `None` if too many are under way.
    pub(super) fn hold(&self, who: Who) -> Option<Held> {
        let (key, most) = match who.account {
            Some(account) => (Key::Account(account), self.calls_under_way),
            None => (Key::Strangers(who.origin), self.calls_under_way.saturating_mul(STRANGERS)),
        };
        self.under_way.begin(key, most).map(Held)
    }

    /// Waits for the turn of a call.
    ///
    /// # Errors
    /// It will not be soon; the call is refused, and says when to come back.
    pub(super) async fn turn(&self, who: Who) -> Result<(), Status> {
        let began = Instant::now();
        let mut now = began;
        while let Err(wait) = self.take(who, now) {
            if now + wait > began + LONGEST {
                sleep(REFUSAL).await;
                return Err(errors::limited("too many calls; slow down", wait));
            }
            sleep(wait).await;
            now = Instant::now();
        }
        Ok(())
    }

    fn take(&self, Who { account, origin }: Who, now: Instant) -> Result<(), Duration> {
        let now = now.into_std();
        let of_account = self.by_account.as_ref().zip(account);
        if let Some((buckets, account)) = of_account {
            buckets.take(account, now)?;
        }
        if let Some(buckets) = &self.by_origin {
            buckets.take((origin, account.is_some()), now).inspect_err(|_| {
                if let Some((buckets, account)) = of_account {
                    buckets.give_back(account, now);
                }
            })?;
        }
        Ok(())
    }

    /// Counts a message of so many bytes that came over an account's stream, as several if it is large; returns
    /// when to read the next one.
    pub(super) fn after_message(&self, account: AccountId, bytes: usize) -> Option<Instant> {
        let now = Instant::now();
        let tokens = u32::try_from(1 + bytes.saturating_sub(1) / CALL_BYTES).unwrap_or(u32::MAX);
        let wait = self.by_account.as_ref()?.charge(account, tokens, now.into_std());
        (!wait.is_zero()).then(|| now + wait)
    }

    /// A request in one piece says that it has so many bytes: counts it as several calls if it is large, beside the
    /// one that it began as. It need not come to cost this server something.
    pub(super) fn after_request(&self, Who { account, origin }: Who, bytes: usize) {
        let more = bytes.min(MOST_COUNTED).saturating_sub(CALL_BYTES) / CALL_BYTES;
        let Ok(tokens @ 1..) = u32::try_from(more) else { return };
        let now = Instant::now().into_std();
        match (account, &self.by_account, &self.by_origin) {
            (Some(account), Some(calls), _) => _ = calls.charge(account, tokens, now),
            (None, _, Some(calls)) => _ = calls.charge((origin, false), tokens, now),
            _ => {}
        }
    }

    /// The owner of an account is there.
    pub(super) fn is_at_home(&self, account: AccountId, origin: Origin) {
        self.familiar.note(account, origin, Instant::now().into_std());
    }

    /// Refuses early who would be refused in any case, before anything is looked up.
    pub(super) async fn may_guess(&self, name: &Username, origin: Origin) -> Result<(), Status> {
        let waits = self.guesses.stranger_waits(name.as_str(), origin, Instant::now().into_std());
        if waits <= LONGEST || self.familiar.is_to_anybody(origin) {
            return Ok(());
        }
        Err(too_many_guesses(waits).await)
    }

    /// A password is tried for a name, which means these accounts.
    pub(super) async fn guess(
        &self,
        name: &Username,
        accounts: impl IntoIterator<Item = AccountId>,
        origin: Origin,
    ) -> Result<Guess, Status> {
        let now = Instant::now().into_std();
        let is_familiar =
            accounts.into_iter().any(|account| self.familiar.is(account, origin, now));
        self.begin_guess(name.as_str(), origin, is_familiar).await
    }

    /// Many devices may log in at once, and all with the right password: so one that is too early waits
    /// a moment for those before it to be right.
    async fn begin_guess(
        &self,
        name: &str,
        origin: Origin,
        is_familiar: bool,
    ) -> Result<Guess, Status> {
        let end = Instant::now() + LONGEST;
        loop {
            let now = Instant::now();
            match self.guesses.begin(name, origin, is_familiar, now.into_std()) {
                Ok(guess) => return Ok(guess),
                Err(wait) if now >= end || wait > LONGEST => {
                    return Err(too_many_guesses(wait).await);
                }
                Err(wait) => sleep(wait.min(AGAIN)).await,
            }
        }
    }

    /// A session's owner tries the own account's password: for somebody may have found the device open.
    pub(super) async fn guess_own(
        &self,
        account: AccountId,
        origin: Origin,
    ) -> Result<Guess, Status> {
        // No name has a space, so this one is nobody else's.
        self.begin_guess(&format!("own {account}"), origin, false).await
    }

    /// An account is to be made, for somebody there.
    pub(super) async fn new_account(&self, origin: Origin) -> Result<(), Status> {
        let Some(new_accounts) = &self.new_accounts else { return Ok(()) };
        let taken = new_accounts.take(origin, Instant::now().into_std());
        let Err(wait) = taken else { return Ok(()) };
        sleep(REFUSAL).await;
        Err(errors::limited("too many new accounts from your address; try again later", wait))
    }
}

async fn too_many_guesses(wait: Duration) -> Status {
    sleep(REFUSAL).await;
    let seconds = wait.as_secs_f64().ceil();
    errors::limited(format!("too many wrong passwords; try again in {seconds} s"), wait)
}

/// That a guess was right.
pub(super) fn was_right(guess: Guess) {
    guess.was_right(Instant::now().into_std());
}

/// That a guess was not looked at.
pub(super) fn was_none(guess: Guess) {
    guess.was_none(Instant::now().into_std());
}
