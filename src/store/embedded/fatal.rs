//! The way out: once what is on disk is not known, the process ends, and restart is recovery.

use std::fmt;
use std::io;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use super::options::OnFatal;

pub(super) struct Fatal {
    hook: OnFatal,
    dead: AtomicBool,
}

impl fmt::Debug for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fatal(dead: {})", self.is_dead())
    }
}

impl Fatal {
    pub(super) fn new(hook: OnFatal) -> Arc<Self> {
        Arc::new(Self {
            hook,
            dead: AtomicBool::new(false),
        })
    }

    /// Ends the process, or whatever the hook does instead. Only the first reason counts.
    pub(super) fn raise(&self, reason: &str) {
        if !self.dead.swap(true, Ordering::SeqCst) {
            (self.hook)(reason);
        }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }
}

/// A panic on one of sled's own threads leaves a database that waits for ever. Takes the process's panic
/// hook, which is the only place that hears of it, and passes everything on to the one before.
pub(super) fn end_on_sled_panic(fatal: &Arc<Fatal>) {
    let fatal: Weak<Fatal> = Arc::downgrade(fatal);
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        before(info);
        let ours = thread::current()
            .name()
            .is_some_and(|name| name.starts_with("sled-"));
        if let Some(fatal) = fatal.upgrade().filter(|_| ours) {
            fatal.raise("a thread of the state database panicked");
        }
    }));
}

/// Does the work, and says so when it takes too long. After a write that failed, sled can wait for ever
/// for a turn that never comes; nobody else watches while the store opens or closes.
pub(super) fn within<T>(
    limit: Duration,
    late: impl FnOnce() + Send + 'static,
    work: impl FnOnce() -> T,
) -> io::Result<T> {
    let (done, wait) = channel::<()>();
    thread::Builder::new()
        .name("lubu-deadline".to_owned())
        .spawn(move || {
            if wait.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                late();
            }
        })?;
    let came = work();
    drop(done);
    Ok(came)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn panic_on(name: &str) {
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(|| panic!("asked to"));
        assert!(thread.unwrap().join().is_err());
    }

    #[test]
    fn work_that_never_ends_is_told_of_and_work_that_ends_is_not() {
        let (told, hears) = channel();
        // It ends only because somebody was told that it does not.
        let late = move || told.send(()).unwrap();
        within(Duration::ZERO, late, || hears.recv().unwrap()).unwrap();
        let (told, hears) = channel::<()>();
        let late = move || told.send(()).unwrap();
        within(Duration::from_hours(1), late, || ()).unwrap();
        assert!(hears.recv().is_err());
    }

    #[test]
    fn a_panic_on_a_thread_of_sled_ends_the_process_and_one_elsewhere_does_not() {
        let reasons = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&reasons);
        let fatal = Fatal::new(Arc::new(move |why| {
            told.lock().unwrap().push(why.to_owned());
        }));
        end_on_sled_panic(&fatal);
        panic_on("some-task");
        assert!(!fatal.is_dead());
        panic_on("sled-io-7");
        panic_on("sled-io-8");
        assert_eq!(reasons.lock().unwrap().len(), 1);
    }
}
