//! Bugs planted on purpose, to see that the tests find them (reliability F17).
//!
//! Each stands at the line where somebody could really make it. Without the feature `planted` every
//! one of them is a constant `false`; with it the choice is read once from `LUBU_PLANTED`. Such a
//! build is never released.

#[cfg(all(feature = "planted", not(debug_assertions)))]
compile_error!("planted bugs are for tests only");

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Nothing is synced.
    B1,
    /// The intent is written after the call.
    B2,
    /// The outcome is written before the answer is understood.
    B3,
    /// No answer counts as not applied.
    B4,
    /// A status of 200 counts as done, whatever the body says.
    B5,
    /// Sent again after one absence.
    B6,
    /// No settle time.
    B7,
    /// A list that does not reach back proves absence.
    B8,
    /// Nobody asks whether an act read the newest version.
    B9,
    /// A withdrawal does not stop what is due.
    B10,
    /// The approval is asked for when work is claimed, and not again.
    B11,
    /// The count of tries does not survive.
    B12,
    /// Redirects are followed.
    B13,
    /// What belongs to a channel that is no longer configured is dropped.
    B14,
}

#[cfg(not(feature = "planted"))]
#[inline]
pub const fn bug(_which: Bug) -> bool {
    false
}

#[cfg(feature = "planted")]
pub fn bug(which: Bug) -> bool {
    static CHOSEN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| std::env::var("LUBU_PLANTED").unwrap_or_default());
    *chosen == format!("{which:?}")
}
