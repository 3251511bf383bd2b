//! An access token that can vanish at any time.
//!
//! Held in memory only. One refresher at a time: whoever comes second waits and takes what the
//! first one got. A refused token is dropped by comparing, so that a late complaint about an old
//! token does not throw away the new one.

use std::fmt;

use tokio::sync::{Mutex, MutexGuard};

use crate::contract::{Secret, Timestamp};

/// One account's token.
#[derive(Default)]
pub struct TokenCache {
    held: Mutex<Option<Held>>,
}

#[derive(Clone)]
pub struct Held {
    pub token: Secret,
    /// Not used from then on.
    pub until: Timestamp,
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenCache(hidden)")
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held(hidden, until {})", self.until)
    }
}

impl TokenCache {
    /// The token if it is still good, else what `fetch` brings. `refused` names a token that the
    /// platform just turned down: it is not handed out again unless someone has replaced it.
    pub async fn get<E>(
        &self,
        now: Timestamp,
        refused: Option<&Secret>,
        fetch: impl AsyncFnOnce() -> Result<Held, E>,
    ) -> Result<Secret, E> {
        let mut held = self.held.lock().await;
        if let Some(token) = usable(&held, now, refused) {
            return Ok(token);
        }
        *held = None;
        let fresh = fetch().await?;
        let token = fresh.token.clone();
        *held = Some(fresh);
        Ok(token)
    }

    /// Takes a token that came about in another way, such as by force.
    pub async fn replace(&self, fresh: Held) {
        *self.held.lock().await = Some(fresh);
    }
}

fn usable(
    held: &MutexGuard<'_, Option<Held>>,
    now: Timestamp,
    refused: Option<&Secret>,
) -> Option<Secret> {
    let held = held.as_ref()?;
    let good = now < held.until && refused != Some(&held.token);
    good.then(|| held.token.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Clock, Manual};
    use chrono::TimeDelta;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Platform(AtomicU32);

    impl Platform {
        async fn issue(&self, now: Timestamp) -> Result<Held, ()> {
            let count = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::task::yield_now().await;
            Ok(Held {
                token: Secret::new(format!("token-{count}")),
                until: now + TimeDelta::hours(1),
            })
        }
    }

    #[tokio::test]
    async fn many_callers_cause_one_refresh() {
        let (cache, platform) = (TokenCache::default(), Platform(AtomicU32::new(0)));
        let now = Manual::default().now();
        let get = || cache.get(now, None, async || platform.issue(now).await);
        let (a, b, c) = tokio::join!(get(), get(), get());
        assert!(a == b && b == c);
        assert_eq!(platform.0.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_late_complaint_about_an_old_token_keeps_the_new_one() {
        let (cache, platform) = (TokenCache::default(), Platform(AtomicU32::new(0)));
        let now = Manual::default().now();
        let old = cache
            .get(now, None, async || platform.issue(now).await)
            .await
            .unwrap();
        let new = cache
            .get(now, Some(&old), async || platform.issue(now).await)
            .await
            .unwrap();
        assert_ne!(old, new);
        let again = cache
            .get(now, Some(&old), async || platform.issue(now).await)
            .await
            .unwrap();
        assert_eq!(again, new);
        assert_eq!(platform.0.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn an_expired_token_is_not_used() {
        let (cache, platform) = (TokenCache::default(), Platform(AtomicU32::new(0)));
        let now = Manual::default().now();
        let old = cache
            .get(now, None, async || platform.issue(now).await)
            .await
            .unwrap();
        let later = now + TimeDelta::hours(1);
        let new = cache
            .get(later, None, async || platform.issue(later).await)
            .await
            .unwrap();
        assert_ne!(old, new);
        assert!(!format!("{cache:?}").contains("token-"));
    }
}
