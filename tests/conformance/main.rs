//! One suite that every backend passes: what the machine relies on, said once and held against each cloud.
//!
//! A [`harness::Harness`] brings a cloud with a world in it; a sentence is a test body that knows nothing of the cloud.
//! Where clouds rightly differ, the difference has a name in [`harness::Ways`], and the sentence says what holds on
//! either side of it.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop, and say where")]

mod aws;
mod edas;
mod edas_kube;
#[path = "../edas/fake/mod.rs"]
#[expect(clippy::duplicate_mod, reason = "what both fakes have in common is loaded by each")]
#[expect(dead_code, unused_imports, reason = "the tests of that cloud use the rest of its fake")]
#[expect(clippy::disallowed_methods, reason = "a fake cloud has a clock of its own")]
mod edas_fake;
#[path = "../aws/fake/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the tests of that cloud use the rest of its fake")]
#[expect(clippy::disallowed_methods, reason = "a fake cloud has a clock of its own")]
mod fake;
mod harness;
mod local;
mod sentences;
mod sim;
mod story;

/// Every sentence, as a test of this harness.
macro_rules! conforms {
    ($harness:ty: $($room:ident { $($sentence:ident)+ })+) => {
        $(mod $room {
            $(#[test]
            fn $sentence() {
                <$harness as crate::harness::Harness>::run(crate::sentences::$room::$sentence::<$harness>);
            })+
        })+
    };
}

/// The sentences, once; each harness has them all.
macro_rules! every_sentence {
    ($harness:ty) => {
        conforms! { $harness:
            looks {
                two_looks_at_a_world_at_rest_see_the_same
                a_look_shows_who_stands_where_with_which_share
                blue_attached_by_hand_to_a_group_that_nobody_declared_is_in_the_next_look
            }
            fleets {
                provisioning_once_or_more_makes_one_fleet_as_planned_and_leaves_blue_alone
                a_covered_blue_goes_with_its_instances_and_nobody_else_does
                a_green_that_carries_nothing_goes_again_and_blue_stays_as_it_is
                a_fleet_that_does_not_exist_is_missing_and_what_is_gone_has_left
                a_group_that_does_not_exist_is_missing_and_what_is_gone_was_left
            }
            groups {
                registering_puts_every_instance_into_each_group_and_moves_no_traffic
                in_a_shared_group_to_stand_is_to_share
                nobody_is_called_healthy_before_a_check_could_have_passed
                an_ill_revision_is_seen_unhealthy_and_never_healthy
                a_fleet_that_falls_ill_is_seen_unhealthy_and_healthy_again_when_it_has_recovered
                what_was_taken_out_by_hand_comes_back_by_registering_again
                an_instance_that_comes_later_joins_the_groups_of_its_fleet
            }
            shares {
                a_shift_is_seen_exactly_and_moves_no_other_group
                a_share_that_nobody_takes_the_rest_of_is_invalid
                a_route_that_cannot_divide_takes_all_or_nothing_and_refuses_a_part
                a_shared_group_takes_all_or_nothing_and_refuses_a_part
            }
            leaving {
                a_fleet_that_leaves_drains_goes_and_stays_away_and_can_come_back
                a_fleet_may_come_back_while_it_still_drains
            }
            scaling {
                a_thaw_gives_back_exactly_what_a_freeze_took_however_often
            }
            mishaps {
                a_change_whose_reply_was_lost_is_made_once_however_often_it_is_sent
                a_change_that_was_lost_on_its_way_is_made_when_it_is_sent_again
                a_change_that_was_refused_for_too_many_calls_is_certainly_not_made
            }
            rollouts {
                a_rollout_completes_with_a_receipt_that_covers_every_group
                a_rollout_of_an_ill_revision_goes_back_and_leaves_blue_as_it_was
                a_rollout_that_leaves_out_a_group_of_blue_holds_and_keeps_blue
            }
        }
    };
}

mod on_the_simulated_cloud {
    every_sentence!(crate::sim::Sim);
}

mod on_this_host {
    every_sentence!(crate::local::Local);
}

mod on_aws_with_copied_fleets {
    every_sentence!(crate::aws::Aws<crate::aws::Copied>);
}

mod on_aws_with_a_pair_of_fleets {
    every_sentence!(crate::aws::Aws<crate::aws::Paired>);
}

mod on_alibaba_cloud {
    every_sentence!(crate::edas::Edas);
}

mod on_alibaba_cloud_with_applications_on_kubernetes {
    every_sentence!(crate::edas_kube::EdasKube<crate::edas_kube::Alb>);
}

mod on_kubernetes_behind_twins_of_an_nlb {
    every_sentence!(crate::edas_kube::EdasKube<crate::edas_kube::Nlb>);
}

mod on_kubernetes_behind_twins_of_a_clb {
    every_sentence!(crate::edas_kube::EdasKube<crate::edas_kube::Clb>);
}

mod on_an_alibaba_cloud_that_answers_late {
    every_sentence!(crate::edas::Edas<30>);
}
