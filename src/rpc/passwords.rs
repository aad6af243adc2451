//! Passwords: Argon2id, on threads of their own, a few at a time.
//!
//! Hashing takes a processor and much memory by design. So it is done by few threads, which give way to
//! everything else that the machine has to do: a flood of log-ins makes log-ins slow, and not the chat.
//! Before them is a queue; whoever finds it full is told to come back.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use tokio::sync::oneshot;

use crate::{chat::Password, config};

/// How far hashing gives way: to the scheduler it counts a tenth of what other threads count.
const NICENESS: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// Hashes and verifies passwords; clones share the threads, which end after the last of them.
#[derive(Clone)]
pub(super) struct Passwords {
    argon2: Argon2<'static>,
    /// Verified against where there is no account, so that both take the same time.
    nobody: Arc<str>,
    queue: SyncSender<Job>,
    #[cfg(test)]
    pub(super) verified: Arc<std::sync::atomic::AtomicUsize>,
}

/// A password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The cost in the configuration is out of Argon2's range.
    #[error("the cost of password hashing is out of range: {0}")]
    Cost(String),
    /// Too many wait already.
    #[error("too many passwords are being checked")]
    Busy,
    /// Hashing failed.
    #[error("hashing failed: {0}")]
    Failed(String),
}

impl Passwords {
    pub(super) fn new(accounts: &config::Accounts) -> Result<Passwords, PasswordError> {
        let params =
            Params::new(accounts.password_memory_kib, accounts.password_iterations, 1, None)
                .map_err(|error| PasswordError::Cost(error.to_string()))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = hash(&argon2, b"nobody's password")?.into();
        let (queue, jobs) = sync_channel(accounts.password_queue);
        let threads = NonZeroUsize::new(accounts.password_concurrency);
        start(threads.unwrap_or(NonZeroUsize::MIN), jobs)?;
        Ok(Passwords {
            argon2,
            nobody,
            queue,
            #[cfg(test)]
            verified: Arc::default(),
        })
    }

    /// The PHC string of a new password.
    pub(super) async fn hash(&self, password: Password) -> Result<String, PasswordError> {
        let argon2 = self.argon2.clone();
        self.run(move || hash(&argon2, password.as_bytes())).await?
    }

    /// Which of these hashes are the password's. All are looked at, also after the right one, and without
    /// any the same work is done once, so that the time does not tell what there is.
    pub(super) async fn verify(
        &self,
        password: Password,
        hashes: Vec<String>,
    ) -> Result<Vec<bool>, PasswordError> {
        let (argon2, nobody) = (self.argon2.clone(), self.nobody.clone());
        #[cfg(test)]
        let verified = self.verified.clone();
        self.run(move || {
            let is_right = |against: &str| {
                #[cfg(test)]
                verified.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                argon2.verify_password(password.as_bytes(), against).is_ok()
            };
            if hashes.is_empty() {
                is_right(&nobody);
            }
            hashes.iter().map(|against| is_right(against)).collect()
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let (done, result) = oneshot::channel();
        let job = move || {
            // Whoever went away while this waited needs no answer.
            if !done.is_closed() {
                let _ = done.send(work());
            }
        };
        self.queue.try_send(Box::new(job)).map_err(|refused| match refused {
            TrySendError::Full(_) => PasswordError::Busy,
            TrySendError::Disconnected(_) => PasswordError::Failed("its threads are gone".into()),
        })?;
        result.await.map_err(|_| PasswordError::Failed("it was not finished".into()))
    }
}

/// Starts the threads. They end when nobody can give them work any more.
fn start(threads: NonZeroUsize, jobs: Receiver<Job>) -> Result<(), PasswordError> {
    let jobs = Arc::new(Mutex::new(jobs));
    for _ in 0..threads.get() {
        let jobs = jobs.clone();
        let work = move || {
            give_way();
            while let Some(job) = next(&jobs) {
                // One that breaks takes its caller's answer with it, and no other's.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            }
        };
        let started = thread::Builder::new().name("passwords".into()).spawn(work);
        started.map_err(|error| PasswordError::Failed(error.to_string()))?;
    }
    Ok(())
}

fn next(jobs: &Mutex<Receiver<Job>>) -> Option<Job> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Has this thread give way to others. Where that cannot be, it does not.
fn give_way() {
    #[cfg(target_os = "linux")]
    {
        let own = rustix::thread::gettid();
        if let Err(error) = rustix::process::setpriority_process(Some(own), NICENESS) {
            tracing::debug!(%error, "password checks have the priority of everything else");
        }
    }
}

fn hash(argon2: &Argon2<'_>, password: &[u8]) -> Result<String, PasswordError> {
    let hashed = argon2.hash_password(password);
    hashed.map(|hash| hash.to_string()).map_err(|error| PasswordError::Failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    fn password(text: &str) -> Password {
        Password::parse(text).expect("a good password")
    }

    fn passwords(password_queue: usize) -> Passwords {
        let accounts = config::Accounts {
            password_memory_kib: 64,
            password_iterations: 1,
            password_concurrency: 1,
            password_queue,
            session_idle: None,
        };
        Passwords::new(&accounts).expect("a good cost")
    }

    #[tokio::test]
    async fn only_the_right_password_is_right_and_nobody_has_one() {
        let passwords = passwords(8);
        let hashed = passwords.hash(password("correct horse")).await.expect("hashed");
        let other = passwords.hash(password("correct house")).await.expect("hashed");
        let both = vec![other, hashed];
        let right = passwords.verify(password("correct horse"), both.clone()).await.unwrap();
        assert_eq!(right, [false, true]);
        assert_eq!(passwords.verify(password("correct mouse"), both).await.unwrap(), [false; 2]);
        let nobody = passwords.verify(password("nobody's password"), Vec::new()).await.unwrap();
        assert!(nobody.is_empty());
    }

    #[tokio::test]
    async fn where_there_is_no_account_the_same_work_is_done() {
        let passwords = passwords(8);
        let hashed = passwords.hash(password("correct horse")).await.expect("hashed");
        for hashes in [Vec::new(), vec![hashed]] {
            let before = passwords.verified.load(Relaxed);
            passwords.verify(password("a wrong one"), hashes.clone()).await.unwrap();
            assert_eq!(passwords.verified.load(Relaxed) - before, 1, "{hashes:?}");
        }
    }

    #[tokio::test]
    async fn whoever_finds_the_queue_full_is_told_so_and_whoever_left_costs_nothing() {
        let passwords = passwords(2);
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (begun, at_work) = oneshot::channel();
        let busy = {
            let passwords = passwords.clone();
            tokio::spawn(async move {
                passwords
                    .run(move || {
                        let _ = begun.send(());
                        let _ = wait.recv();
                    })
                    .await
            })
        };
        at_work.await.expect("the thread is held");
        let mut left = Box::pin(passwords.verify(password("a wrong one"), Vec::new()));
        let mut stays = Box::pin(passwords.verify(password("a wrong one"), Vec::new()));
        for waiting in [&mut left, &mut stays] {
            let polled = std::future::poll_fn(|context| {
                std::task::Poll::Ready(waiting.as_mut().poll(context).is_pending())
            });
            assert!(polled.await, "it waits in the queue");
        }
        let third = passwords.verify(password("a wrong one"), Vec::new()).await;
        assert!(matches!(third, Err(PasswordError::Busy)), "{third:?}");
        drop(left);
        go.send(()).expect("it waits");
        busy.await.unwrap().unwrap();
        stays.await.expect("checked");
        assert_eq!(passwords.verified.load(Relaxed), 1);
    }
}
