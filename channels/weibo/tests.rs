//! What the adapter owes in each of its modes, and the stories of this platform alone.

mod platform;
mod stories;
mod twins;

use std::sync::Arc;

use platform::Platform;

use crate::conformance::Rig;

mod share {
    use super::{Arc, Platform, Rig};

    fn rig() -> Arc<dyn Rig> {
        Arc::new(Platform::in_mode("share"))
    }

    crate::conformance_suite!(
        rig;
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
        an_update_makes_no_second_copy,
        a_withdrawal_is_seen,
        withdrawing_what_is_gone_succeeds,
        a_removal_that_did_not_hold_is_asked_for_again,
        a_withdrawal_at_any_stage_leaves_nothing_public,
        what_a_run_without_record_published_is_not_denied,
        a_survey_lists_what_is_public_and_by_what_it_is_ours,
        what_was_not_sent_is_tried_again,
        a_lost_answer_is_unsure_unless_a_repeat_is_harmless,
        an_unreadable_answer_is_unsure_unless_a_repeat_is_harmless,
        trouble_before_the_change_is_no_doubt,
        a_refusal_under_a_success_status_is_a_failure,
        a_lost_step_is_found_and_goes_on_to_one_copy,
        a_step_that_never_arrived_is_not_taken_for_applied,
        a_crowded_list_is_no_proof_of_absence,
        a_broken_look_is_no_proof_of_absence,
        a_broken_survey_is_no_empty_list,
        secrets_are_in_no_answer,
    );
}

mod article {
    use super::{Arc, Platform, Rig};

    fn rig() -> Arc<dyn Rig> {
        Arc::new(Platform::in_mode("article"))
    }

    crate::conformance_suite!(
        rig;
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
        an_update_makes_no_second_copy,
        a_withdrawal_is_seen,
        withdrawing_what_is_gone_succeeds,
        a_withdrawal_at_any_stage_leaves_nothing_public,
        what_a_run_without_record_published_is_not_denied,
        a_survey_lists_what_is_public_and_by_what_it_is_ours,
        what_was_not_sent_is_tried_again,
        a_lost_answer_is_unsure_unless_a_repeat_is_harmless,
        an_unreadable_answer_is_unsure_unless_a_repeat_is_harmless,
        trouble_before_the_change_is_no_doubt,
        a_refusal_under_a_success_status_is_a_failure,
        a_lost_step_is_found_and_goes_on_to_one_copy,
        a_step_that_never_arrived_is_not_taken_for_applied,
        a_crowded_list_is_no_proof_of_absence,
        a_broken_look_is_no_proof_of_absence,
        a_broken_survey_is_no_empty_list,
        secrets_are_in_no_answer,
    );
}
