//! What a portal adapter owes, in each of the ways a portal may be configured.

mod known;
mod platform;
mod settings;
mod twins;
mod unnamed;

use std::sync::Arc;

use self::platform::Platform;
use crate::conformance::Rig;

/// The example of the documentation: REST, Standard Webhooks, no word on repeats.
fn plain() -> Arc<dyn Rig> {
    Platform::rig("")
}

/// The manual promises to drop repeats.
fn keyed() -> Arc<dyn Rig> {
    Platform::rig("deduplicates = '24h'")
}

/// Files first, a form, sorted parameters in the query, and the public page read.
fn homely() -> Arc<dyn Rig> {
    Platform::rig(
        "read_page = true\n[signing]\nkind = 'sorted-parameters'\nalgorithm = 'sm3'\n\
         place = 'query'\napp_id = 'app1'\nsecret = 'k3y-of-the-portal'\n\
         [files]\nurl = 'https://portal.example.gov.cn/api/files'",
    )
}

/// Takes in, tells what became of it, and changes nothing: a person takes down over there.
fn one_way() -> Arc<dyn Rig> {
    Platform::rig(
        "calls = 'push'\n[status]\nenabled = true\n[lookup]\nenabled = true\n\
         [limits]\ntitle = 60\nbody = 5000",
    )
}

macro_rules! suites {
    ($($suite:ident: $($more:ident),*;)*) => {
        $(mod $suite {
            use super::$suite as make;
            crate::conformance_suite!(make;
                caps_hang_together,
                a_draft_is_pure_and_its_hash_is_stable,
                a_draft_refuses_what_is_beyond_each_limit,
                unknown_settings_are_refused_by_name,
                next_is_pure_and_its_steps_are_finite_and_named_once,
                a_publication_is_done_and_then_seen_live_once,
                a_step_changes_the_platform_at_most_once,
                a_crash_after_any_step_makes_no_second_copy,
                checks_and_looks_change_nothing,
                public_steps_use_a_connection_of_their_own,
                a_withdrawal_is_seen,
                withdrawing_what_is_gone_succeeds,
                a_withdrawal_at_any_stage_leaves_nothing_public,
                what_a_run_without_record_published_is_not_denied,
                what_was_not_sent_is_tried_again,
                a_lost_answer_is_unsure_unless_a_repeat_is_harmless,
                an_unreadable_answer_is_unsure_unless_a_repeat_is_harmless,
                trouble_before_the_change_is_no_doubt,
                a_refusal_under_a_success_status_is_a_failure,
                a_lost_step_is_found_and_goes_on_to_one_copy,
                a_step_that_never_arrived_is_not_taken_for_applied,
                a_broken_look_is_no_proof_of_absence,
                secrets_are_in_no_answer,
                $($more),*
            );
        })*
    };
}

suites! {
    plain: an_update_keeps_the_address, a_removal_that_did_not_hold_is_asked_for_again;
    keyed: an_update_keeps_the_address, a_removal_that_did_not_hold_is_asked_for_again;
    homely: an_update_keeps_the_address, a_removal_that_did_not_hold_is_asked_for_again;
    one_way: an_update_makes_no_second_copy;
}

mod calls;
