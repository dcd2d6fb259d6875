//! What a look could not read is taken for no answer, whichever one would be convenient.

use deployer::coverage::Why;
use deployer::model::{Inventory, Scaling, Seen, Span};
use deployer::rollout::{Next, Order, Phase, Verdict};

use crate::common::{blue, green, group, world_with_blue};
use crate::rig::{blind, both, forgotten};

fn without_blue(look: &mut Inventory) {
    look.fleets.insert(blue(), Seen::Unknown("throttled".into()));
}

fn without_green(look: &mut Inventory) {
    look.fleets.insert(green(), Seen::Unknown("throttled".into()));
}

fn without_anything(look: &mut Inventory) {
    *look = Inventory { looked_at: look.looked_at, ..Inventory::default() };
    look.unread.insert("denied".into());
}

#[test]
fn a_green_that_could_not_be_read_is_not_called_sick() {
    for blur in [without_green as fn(&mut Inventory), without_anything] {
        for phase in ["shift", "bake", "drain", "retire"] {
            let mut rig = both(|_| {});
            rig.until_phase(phase);
            rig.blur = blur;
            rig.look();
            assert!(rig.phase().forward(), "{phase}: {:?}", rig.phase());
            rig.blur = |_| {};
            rig.run_out();
            assert_eq!(*rig.phase(), Phase::Ended(Verdict::Completed), "{phase}");
        }
    }
}

#[test]
fn a_blue_that_could_not_be_read_is_not_drained_and_not_retired() {
    let unread = blind(Why::Unread("fleet `api-1`: throttled".into()));
    for phase in ["bake", "drain", "retire"] {
        let mut rig = both(|_| {});
        rig.until_phase(phase);
        let changes = rig.changes.len();
        rig.blur = without_blue;
        rig.look();
        assert_eq!(rig.held_by(), std::slice::from_ref(&unread), "{phase}");
        assert_eq!((rig.changes.len(), rig.retired.len()), (changes, 0), "{phase}");
        rig.blur = |_| {};
        rig.run_out();
        assert_eq!(*rig.phase(), Phase::Ended(Verdict::Completed), "{phase}");
    }
}

#[test]
fn a_blue_that_could_not_be_read_does_not_count_as_held_still() {
    for blur in [without_blue as fn(&mut Inventory), without_anything] {
        let mut rig = both(|_| {});
        rig.blur = blur;
        rig.until(|rig| rig.now() >= crate::common::NOW + Span::mins(1));
        assert_eq!((rig.phase(), rig.changes.len()), (&Phase::Provision, 0));
        rig.blur = |_| {};
        rig.until_phase("register");
        assert_eq!(rig.world.fleets[&blue()].scaling, Scaling::Frozen);
    }
}

#[test]
fn a_group_that_could_not_be_read_is_not_called_sick_and_not_given_back() {
    let mut rig = both(|_| {});
    rig.until_phase("bake");
    rig.blur = |look| {
        look.groups.insert(group("internal"), Seen::Unknown("throttled".into()));
    };
    rig.look();
    assert_eq!(rig.phase().name(), "bake");
    rig.order(Order::Abort);
    let asked = rig.now();
    rig.until(|rig| rig.now() >= asked + Span::mins(1));
    assert_eq!(rig.phase().name(), "restore");
    assert_eq!((rig.share("internal", &green()), rig.share("public", &blue())), (100, 100));
}

#[test]
fn a_group_amended_while_it_cannot_be_read_is_taken_up_when_it_can() {
    let mut rig = forgotten();
    rig.held_by();
    rig.blur = |look| {
        look.groups.insert(group("internal"), Seen::Unknown("throttled".into()));
    };
    rig.look();
    rig.order(Order::Amend { group: group("internal") });
    rig.look();
    assert_eq!(rig.phase().name(), "bake");
    rig.blur = |_| {};
    rig.look();
    assert_eq!(*rig.phase(), Phase::Register);
    rig.run_out();
    assert_eq!(*rig.phase(), Phase::Ended(Verdict::Completed));
}

#[test]
fn without_a_look_nothing_is_decided() {
    let rig = both(|_| {});
    assert_eq!(rig.next(), Next::Look);
    assert_eq!(world_with_blue(1).fleets.len(), 1);
}
