//! The way out: once what is on disk is not known, the process ends, and restart is recovery.

use std::fmt;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;

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
