//! What is drilled: a world, a plan for it, and what others will do to it.

use std::collections::BTreeSet;

use crate::cloud::sim::{Outside, SimGroup, Trouble, World};
use crate::model::{GroupId, Plan, Scaling, Span, Time};

/// How long new targets wait for their verdict, and drained ones stay, in a scene made from a plan.
const HEALTH_INTERVAL: Span = Span::secs(10);
const DEREGISTRATION_DELAY: Span = Span::secs(30);
const LAUNCH: Span = Span::secs(45);
/// Others do their harm within this time of the start.
const WEATHER_SPAN_MS: u64 = 900_000;

/// A world and a plan for it.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The world when the rollout begins.
    pub world: World,
    /// What will be done.
    pub plan: Plan,
}

impl Scene {
    /// A world in which the plan's blue carries each of the plan's groups.
    #[must_use]
    pub fn of(plan: Plan, now: Time) -> Self {
        let mut world = World::new(now, LAUNCH);
        if let Some(blue) = &plan.blue {
            world.found(&blue.id, &blue.revision, blue.size, Scaling::Active);
        }
        for (id, planned) in &plan.groups {
            let mut group = SimGroup::new(planned.sharing, planned.steps, &format!("listener {id}"));
            group.health_interval = HEALTH_INTERVAL;
            group.deregistration_delay = DEREGISTRATION_DELAY;
            world.build(id, group);
            if let Some(blue) = &plan.blue {
                world.attach(&blue.id, id);
            }
        }
        // Blue has served for long: its targets were judged long ago.
        let mut world = world.rebased(|time| Time(time.0.saturating_sub(HEALTH_INTERVAL.0)), |_| None);
        world.tick(now);
        Self { world, plan }
    }
}

/// What others will do in one run, drawn from its seed.
#[must_use]
pub fn weather(scene: &Scene, rng: &mut fastrand::Rng, troubles: &BTreeSet<Trouble>) -> Vec<(Time, Outside)> {
    let plan = &scene.plan;
    let green = &plan.green;
    let groups: Vec<&GroupId> = scene.world.groups.keys().collect();
    let mut weather = Vec::new();
    let mut draw = |trouble: Trouble, percent: u64| {
        let (drawn, at) = (rng.u64(0..100) < percent, rng.u64(0..WEATHER_SPAN_MS));
        let group = groups.get(rng.usize(0..groups.len().max(1))).map(|id| (*id).clone());
        (drawn && troubles.contains(&trouble)).then_some((scene.world.now + Span(at), group?))
    };
    let sick: Option<(Time, GroupId)> = draw(Trouble::SickenGreen, 25);
    if let Some((at, group)) = sick {
        weather.push((at, Outside::Sicken(group.clone(), green.revision.clone())));
        if at.0 % 2 == 0 {
            weather.push((at + Span::secs(60), Outside::Recover(group, green.revision.clone())));
        }
    }
    if let Some((at, group)) = draw(Trouble::KillInstance, 25) {
        let outside = if at.0 % 2 == 0 {
            Outside::Kill(green.id.clone())
        } else {
            Outside::Drop(green.id.clone(), group)
        };
        weather.push((at, outside));
    }
    if let Some(blue) = &plan.blue {
        if let Some((at, _)) = draw(Trouble::ScaleBlue, 25) {
            weather.push((at, Outside::Scale(blue.id.clone(), blue.size + 1)));
        }
        let spare = scene
            .world
            .groups
            .iter()
            .find(|(id, group)| !plan.groups.contains_key(*id) && !group.stands(&blue.id));
        if let (Some((at, _)), Some((spare, _))) = (draw(Trouble::AttachBlue, 25), spare) {
            weather.push((at, Outside::Attach(blue.id.clone(), spare.clone())));
        }
    }
    if let Some((at, group)) = draw(Trouble::GroupVanishes, 5) {
        weather.push((at, Outside::Vanish(group)));
    }
    weather.sort_by_key(|(at, _)| *at);
    weather
}
