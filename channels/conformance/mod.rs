//! What every adapter owes, checked offline.
//!
//! Each promise of [`crate::Channel`] is one case with a claim for a name. Which cases are owed
//! follows from the caps, the same data that the engine reads, so an adapter cannot promise the
//! engine one thing and the tests another. An adapter brings a [`Rig`]: its channel, a document and
//! its platform in memory. [`crate::conformance_suite`] makes one test of each case, and one more
//! that fails when the list and the debts differ.
//!
//! Cases return what is wrong instead of panicking, so that an adapter outside this crate can run
//! them from any harness.

mod life;
mod paper;
mod peer;
mod rig;
pub mod sample;
mod tally;
mod trouble;
mod world;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::contract::{Caps, UpdateBy, WithdrawBy};

pub use peer::{Answer, ECHO, Matching, Peer, Trick, reply};
pub use rig::{Album, Literal, Rig, stretched};
pub use tally::Tally;
pub use world::{Broken, Ended, Outcome, World, claim};

/// Makes a fresh rig with an empty platform.
pub type Make<'a> = &'a (dyn Fn() -> Arc<dyn Rig> + Sync);

macro_rules! cases {
    ($($case:ident $name:ident $home:ident;)*) => {
        /// One promise.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Case {
            $($case,)*
        }

        impl Case {
            const ALL: &[Self] = &[$(Self::$case),*];

            /// The claim, which is also the name of its test.
            pub fn claim(self) -> &'static str {
                match self {
                    $(Self::$case => stringify!($name),)*
                }
            }

            /// Checks it, on as many fresh rigs as it takes.
            pub async fn check(self, make: Make<'_>) -> Outcome {
                match self {
                    $(Self::$case => $home::$name(make).await,)*
                }
            }
        }
    };
}

cases! {
    CapsHold caps_hang_together paper;
    DraftPure a_draft_is_pure_and_its_hash_is_stable paper;
    DraftLimits a_draft_refuses_what_is_beyond_each_limit paper;
    Settings unknown_settings_are_refused_by_name paper;
    NextPure next_is_pure_and_its_steps_are_finite_and_named_once paper;
    Publish a_publication_is_done_and_then_seen_live_once life;
    OneChange a_step_changes_the_platform_at_most_once life;
    Crash a_crash_after_any_step_makes_no_second_copy life;
    Looking checks_and_looks_change_nothing life;
    Fresh public_steps_use_a_connection_of_their_own life;
    UpdateInPlace an_update_keeps_the_address life;
    UpdateElse an_update_makes_no_second_copy life;
    Withdraw a_withdrawal_is_seen life;
    WithdrawGone withdrawing_what_is_gone_succeeds life;
    WithdrawUndone a_removal_that_did_not_hold_is_asked_for_again life;
    WithdrawStaged a_withdrawal_at_any_stage_leaves_nothing_public life;
    Unrecorded what_a_run_without_record_published_is_not_denied life;
    Survey a_survey_lists_what_is_public_and_by_what_it_is_ours life;
    Unsent what_was_not_sent_is_tried_again trouble;
    Lost a_lost_answer_is_unsure_unless_a_repeat_is_harmless trouble;
    Unreadable an_unreadable_answer_is_unsure_unless_a_repeat_is_harmless trouble;
    Before trouble_before_the_change_is_no_doubt trouble;
    Refusal a_refusal_under_a_success_status_is_a_failure trouble;
    Found a_lost_step_is_found_and_goes_on_to_one_copy trouble;
    NotGuessed a_step_that_never_arrived_is_not_taken_for_applied trouble;
    Crowd a_crowded_list_is_no_proof_of_absence trouble;
    BrokenLook a_broken_look_is_no_proof_of_absence trouble;
    BrokenSurvey a_broken_survey_is_no_empty_list trouble;
    Secrets secrets_are_in_no_answer trouble;
}

impl Case {
    pub fn named(claim: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|case| case.claim() == claim)
    }
}

/// What an adapter with these caps owes.
pub fn owed(caps: &Caps) -> Vec<Case> {
    let in_place = caps.update == UpdateBy::InPlace;
    Case::ALL
        .iter()
        .copied()
        .filter(|case| match case {
            Case::UpdateInPlace => in_place,
            Case::UpdateElse => !in_place,
            Case::WithdrawUndone => caps.withdraw != WithdrawBy::Person,
            Case::Survey | Case::BrokenSurvey => caps.survey.is_some(),
            Case::Crowd => caps.look.rows.is_some(),
            _ => true,
        })
        .collect()
}

/// One test for each listed case, and one that fails unless the list is what the caps owe.
///
/// `conformance_suite!(make_rig; caps_hang_together, …)`, where `make_rig` is a function that
/// returns `Arc<dyn Rig>`.
#[macro_export]
macro_rules! conformance_suite {
    ($make:path; $($claim:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $claim() {
                let case = $crate::conformance::Case::named(stringify!($claim))
                    .expect("the suite has a case of this name");
                case.check(&$make).await.unwrap();
            }
        )*

        #[test]
        fn every_case_that_the_caps_owe_is_run() {
            let channel = $make().build(toml::Table::new()).unwrap();
            let owed: std::collections::BTreeSet<&str> =
                $crate::conformance::owed(channel.caps())
                    .into_iter()
                    .map($crate::conformance::Case::claim)
                    .collect();
            let listed = std::collections::BTreeSet::from([$(stringify!($claim)),*]);
            assert_eq!(listed, owed);
        }
    };
}
