//! Every planted bug.

use deployer::drive::Machine;
use deployer::model::{Hold, Share, Span};

use super::{Flaw, Lie, Mutant, hands, looks, minds};

/// Every planted bug, each with the invariants of which any may show it.
pub fn mutants() -> Vec<Mutant> {
    [looking(), doing(), deciding(), reading(), planning(), writing()].into_iter().flatten().collect()
}

fn looking() -> Vec<Mutant> {
    let lies = |name, shows, look| {
        let mutant = Mutant::new(name, shows);
        Mutant { lie: Lie { look, ..mutant.lie }, ..mutant }
    };
    vec![
        lies("groups that the file does not name are not looked for", &["I2"], looks::undeclared_hidden),
        lies("groups are counted, not compared", &["I2"], looks::counts_compared),
        lies("a target without a verdict is healthy", &["I4", "I1", "I13"], looks::initial_is_healthy),
        lies("a target that fails its checks is healthy", &["I1", "I2", "I4"], looks::unhealthy_is_healthy),
        lies("blue is healthy by itself", &["I1", "I4", "I14"], looks::blue_is_healthy),
        lies("a draining target is gone", &["I2", "I13"], looks::draining_is_gone),
        lies("half of the traffic is all of it", &["I2", "I1"], looks::half_is_all),
        lies("a group that cannot be read is covered", &["I2", "I14", "I1"], looks::unread_is_covered),
        lies("a look of two minutes ago is good enough", &["I1", "I2", "I4", "I13", "I14"], looks::cached),
    ]
}

fn doing() -> Vec<Mutant> {
    let does = |name, shows, change| {
        let mutant = Mutant::new(name, shows);
        Mutant { lie: Lie { look: looks::imagined, change, ..mutant.lie }, ..mutant }
    };
    let retires = |name, shows, retire| {
        let mutant = Mutant::new(name, shows);
        Mutant { lie: Lie { look: looks::imagined, retire, ..mutant.lie }, ..mutant }
    };
    vec![
        does("a fleet is created twice", &["I6"], hands::created_twice),
        does("twice the instances are launched", &["I6"], hands::doubled),
        does("all weights are 0 for a moment", &["I4", "I1"], hands::emptied_first),
        does("whoever leaves takes the other along", &["I1", "I2"], hands::both_leave),
        does("the first step goes all the way", &["I13"], hands::step_skipped),
        does("a shift is believed and never made", &["I2", "I14"], hands::shift_swallowed),
        does("one group is skipped and counted", &["I4"], hands::group_skipped),
        does("scaling is not given back", &["I6"], hands::thaw_swallowed),
        retires("the wrong fleet goes", &["I1", "I2"], hands::other_retired),
        retires("green is left behind", &["I6"], hands::green_leaked),
        retires("blue is left behind", &["I6"], hands::blue_leaked),
    ]
}

fn deciding() -> Vec<Mutant> {
    let decides = |name, shows, decide| Mutant {
        machine: Machine { decide, ..Machine::default() },
        ..Mutant::new(name, shows)
    };
    vec![
        decides("blue goes in the bake", &["I1", "I2", "I13"], minds::retired_in_the_bake),
        decides("blue goes by the clock, unchecked", &["I1", "I2", "I13"], minds::not_rechecked),
        decides("the drain is not awaited", &["I2"], minds::drain_not_awaited),
        decides("blue leaves before the cut-over", &["I1", "I2"], minds::left_before_cut_over),
        decides("blue is given traffic unproved", &["I1", "I4"], minds::restored_unproved),
        decides("green goes before its traffic", &["I1"], minds::withdrawn_first),
        decides("a repeated call has a new token", &["I7"], minds::token_new_each_time),
        decides("every call has the same token", &["I7"], minds::token_always_the_same),
    ]
}

fn reading() -> Vec<Mutant> {
    let reads = |name, shows, evolve| Mutant {
        machine: Machine { evolve, ..Machine::default() },
        ..Mutant::new(name, shows)
    };
    vec![
        reads("an abort is ignored", &["I5"], minds::abort_ignored),
        reads("a pause is ignored", &["I5"], minds::pause_ignored),
        reads("a take-over ends every hold", &["I13"], minds::holds_end_at_a_resume),
        reads("a take-over believes what was on its way", &["I7"], minds::in_flight_is_done),
        reads("a failed call is taken for done", &["I7"], minds::faults_ignored),
    ]
}

fn planning() -> Vec<Mutant> {
    let plans = |name, shows, plan| Mutant { plan, ..Mutant::new(name, shows) };
    vec![
        plans("the settle time is skipped", &["I13"], |plan| plan.settle = Span::ZERO),
        plans("the step's hold is skipped", &["I13"], |plan| plan.steps[0].hold = Hold::For(Span::ZERO)),
        plans("the bake is skipped", &["I13"], |plan| plan.bake = Hold::For(Span::ZERO)),
        plans("the quiet period is skipped", &["I13"], |plan| plan.quiet = Span::ZERO),
        plans("no promotion is awaited", &["I13"], |plan| {
            if plan.bake == Hold::Promote {
                plan.bake = Hold::For(Span::secs(60));
            }
        }),
        plans("a waiver does not expire", &["I2"], |plan| {
            for waiver in &mut plan.waivers {
                waiver.until = waiver.until + Span::mins(60 * 24);
            }
        }),
        plans("one healthy target is enough", &["I2"], |plan| plan.min_healthy = Share::new(1).unwrap()),
        plans("deadlines are ignored", &["I10"], |plan| {
            let never = Span::mins(60 * 24 * 365);
            let late = &mut plan.deadlines;
            late.provision = never;
            late.register = never;
            late.settle = never;
            late.shift = never;
            late.drain = never;
            late.retire = never;
            late.hold = never;
            late.restore = never;
            late.withdraw = never;
        }),
    ]
}

fn writing() -> Vec<Mutant> {
    let writes = |name, shows, flaw| Mutant { flaw: Some(flaw), ..Mutant::new(name, shows) };
    vec![
        writes("calls are made before they are written down", &["I9"], Flaw::Late),
        writes("journal entries can be replaced", &["I9", "I8"], Flaw::Overwrites),
        Mutant { nonce: |_, _| "same".into(), ..Mutant::new("the fence is ignored", &["I8"]) },
    ]
}
