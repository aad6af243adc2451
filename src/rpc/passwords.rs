//! Passwords: Argon2id, off the async threads, a few at a time.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use tokio::sync::Semaphore;

use crate::chat::Password;

/// Hashes and verifies passwords.
#[derive(Clone)]
pub(super) struct Passwords {
    argon2: Argon2<'static>,
    /// Verified against where there is no account, so that both take the same time.
    nobody: Arc<str>,
    /// Argon2 takes memory by design; more than a few at once would take it from everybody.
    room: Arc<Semaphore>,
}

/// A password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The cost in the configuration is out of Argon2's range.
    #[error("the cost of password hashing is out of range: {0}")]
    Cost(String),
    /// Hashing failed.
    #[error("hashing failed: {0}")]
    Failed(String),
}

impl Passwords {
    pub(super) fn new(
        memory_kib: u32,
        iterations: u32,
        concurrency: usize,
    ) -> Result<Passwords, PasswordError> {
        let params = Params::new(memory_kib, iterations, 1, None)
            .map_err(|error| PasswordError::Cost(error.to_string()))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = hash(&argon2, b"nobody's password")?.into();
        Ok(Passwords { argon2, nobody, room: Arc::new(Semaphore::new(concurrency)) })
    }

    /// The PHC string of a new password.
    pub(super) async fn hash(&self, password: Password) -> Result<String, PasswordError> {
        let argon2 = self.argon2.clone();
        self.run(move || hash(&argon2, password.as_bytes())).await?
    }

    /// Whether the password is the one that was hashed; without a hash it never is, after the same work.
    pub(super) async fn verify(
        &self,
        password: Password,
        hashed: Option<String>,
    ) -> Result<bool, PasswordError> {
        let (argon2, nobody) = (self.argon2.clone(), self.nobody.clone());
        self.run(move || {
            let against = hashed.as_deref().unwrap_or(&nobody);
            let right = argon2.verify_password(password.as_bytes(), against).is_ok();
            right && hashed.is_some()
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let failed = |error: &dyn std::fmt::Display| PasswordError::Failed(error.to_string());
        let permit = self.room.clone().acquire_owned().await.map_err(|e| failed(&e))?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        done.await.map_err(|error| failed(&error))
    }
}

fn hash(argon2: &Argon2<'_>, password: &[u8]) -> Result<String, PasswordError> {
    let hashed = argon2.hash_password(password);
    hashed.map(|hash| hash.to_string()).map_err(|error| PasswordError::Failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::parse(text).expect("a good password")
    }

    #[tokio::test]
    async fn only_the_right_password_is_right_and_nobody_has_one() {
        let passwords = Passwords::new(64, 1, 2).expect("a good cost");
        let hashed = passwords.hash(password("correct horse")).await.expect("hashed");
        assert!(passwords.verify(password("correct horse"), Some(hashed.clone())).await.unwrap());
        assert!(!passwords.verify(password("correct house"), Some(hashed)).await.unwrap());
        assert!(!passwords.verify(password("nobody's password"), None).await.unwrap());
    }
}
