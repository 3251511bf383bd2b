//! The last attempts, looks and words of a delivery, as its record keeps them.

use lubu_channels::{Timestamp, Words};

use super::{Delivery, KEPT};
use crate::model::attempt::{Attempt, Outcome, Told};

/// Closes the open attempt.
pub(super) fn close(
    d: &mut Delivery,
    now: Timestamp,
    outcome: Outcome,
    told: Option<&Told>,
    request_id: Option<&str>,
) {
    let Some(attempt) = d
        .log
        .iter_mut()
        .rev()
        .find(|attempt| attempt.outcome == Outcome::Open)
    else {
        return;
    };
    attempt.ended = Some(now);
    attempt.outcome = outcome;
    attempt.request_id = request_id.map(str::to_owned);
    if let Some(told) = told {
        attempt.code.clone_from(&told.code);
        attempt.request_id.clone_from(&told.request_id);
        attempt.words = Some(told.words.clone());
    }
}

/// Records a look or a person's word.
pub(super) fn decided(
    d: &mut Delivery,
    what: &str,
    outcome: Outcome,
    words: Option<Words>,
    now: Timestamp,
) {
    let again = d.log.last_mut().filter(|last| {
        last.step == what && last.outcome == outcome && last.words == words && what == "look"
    });
    if let Some(last) = again {
        // A look that found nothing new only moves the end of the last one.
        last.ended = Some(now);
        return;
    }
    d.attempts += 1;
    let revision = d.job.as_ref().map_or(0, |job| job.revision);
    push(
        d,
        Attempt {
            number: d.attempts,
            round: d.round,
            revision,
            step: what.to_owned(),
            began: now,
            ended: Some(now),
            outcome,
            code: None,
            request_id: None,
            words,
        },
    );
}

pub(super) fn push(d: &mut Delivery, attempt: Attempt) {
    if d.log.len() >= KEPT {
        d.log.remove(0);
    }
    d.log.push(attempt);
}

impl Delivery {
    /// Runs whose outcome nobody learnt, and after which no other of the same step is known to have
    /// been applied. One that was given up before it left counts too: the log does not tell it apart.
    pub(super) fn unheard(&self) -> impl Iterator<Item = &Attempt> {
        let mut done = Vec::new();
        self.log.iter().rev().filter(move |one| {
            if one.outcome == Outcome::Done {
                done.push(one.step.as_str());
            }
            // A step that only repeats itself is tried again without its outcome being known.
            let unknown = matches!(
                one.outcome,
                Outcome::Unsure | Outcome::Open | Outcome::Again
            );
            unknown && !done.contains(&one.step.as_str())
        })
    }
}
