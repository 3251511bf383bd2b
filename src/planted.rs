//! Bugs planted on purpose; see `lubu_channels::planted`, where those of the adapters' kit stand too.

pub use lubu_channels::planted::{Bug, bug};

use lubu_channels::{Failure, Job, Receipt, Step};

/// B3: what the answer says is not waited for.
pub fn believed(
    outcome: Result<Receipt, Failure>,
    job: &Job,
    step: &Step,
) -> Result<Receipt, Failure> {
    if !bug(Bug::B3) {
        return outcome;
    }
    let draft = job.sole().map(|sole| sole.draft_hash.clone());
    let did = format!("did/{}", step.name);
    Ok(Receipt {
        progress: job.progress.clone().with(did, draft.unwrap_or_default()),
        ..Receipt::default()
    })
}
