//! A few threads of the store's own for what waits for the disk.
//!
//! Not the runtime's: that one starts a thread for whatever finds none idle, and each keeps memory of its own, the more
//! the longer what it read is kept.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

type Errand = Box<dyn FnOnce() + Send>;

/// They end when the last handle is gone, each after what it is at.
#[derive(Clone, Debug)]
pub(super) struct Hands(Sender<Errand>);

/// What was asked for ended by a panic.
#[derive(Debug)]
pub(super) struct Dropped;

impl Hands {
    pub(super) fn start(name: &str, count: usize) -> io::Result<Self> {
        let (tell, told) = channel();
        let told = Arc::new(Mutex::new(told));
        for _ in 0..count {
            let told = Arc::clone(&told);
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || work(&told))?;
        }
        Ok(Self(tell))
    }

    /// Once begun it runs to its end; it is not begun where nobody waits for it any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Dropped> {
        let (say, said) = oneshot::channel();
        let errand: Errand = Box::new(move || {
            if !say.is_closed() {
                drop(say.send(f()));
            }
        });
        self.0.send(errand).map_err(|_| Dropped)?;
        said.await.map_err(|_| Dropped)
    }
}

fn work(told: &Mutex<Receiver<Errand>>) {
    loop {
        let errand = told.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(errand) = errand else { return };
        // Whoever waits for it finds its answer dropped.
        drop(catch_unwind(AssertUnwindSafe(errand)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer_and_costs_no_hand() {
        let hands = Hands::start("test", 1).unwrap();
        let failed = hands.run(|| -> u8 { panic!("planned") }).await;
        assert!(failed.is_err());
        assert_eq!(hands.run(|| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_begun() {
        let hands = Hands::start("test", 1).unwrap();
        let (go, gone) = channel::<()>();
        let (tell, told) = channel();
        let busy = tokio::spawn({
            let hands = hands.clone();
            async move { hands.run(move || gone.recv()).await }
        });
        let abandoned = tokio::spawn({
            let hands = hands.clone();
            async move { hands.run(move || tell.send(7)).await }
        });
        tokio::task::yield_now().await;
        abandoned.abort();
        assert!(abandoned.await.unwrap_err().is_cancelled());
        go.send(()).unwrap();
        assert_eq!(busy.await.unwrap().unwrap(), Ok(()));
        assert_eq!(hands.run(move || told.recv()).await.unwrap().ok(), None);
    }
}
