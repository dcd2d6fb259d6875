//! A deployment file turned into a scene: its own groups, steps, times and deadlines, on a simulated cloud.

use std::collections::BTreeSet;

use super::scene::Scene;
use crate::cloud::sim::{SimGroup, World};
use crate::cloud::{Capability, Scope};
use crate::model::{
    BadName, FleetId, GroupId, Purpose, Revision, RolloutId, Scaling, Sharing, Span, Steps, StrategyName,
    Time,
};
use crate::plan::{Ask, Refusal, draft};
use crate::spec::{Provider, Spec};

/// How long an instance of the simulated cloud takes to come up; a launch on EC2 takes 25 to 30 s, its service as long again.
const LAUNCH: Span = Span::secs(45);
/// How long blue has served when the rehearsal begins.
const AGE: Span = Span::mins(60);
/// The size of a blue whose file names none.
const SIZE: u32 = 2;
/// What the simulated cloud can do, and how quick it is to look at.
const CAPABILITY: Capability = Capability { freeze: true, pace: Span::secs(2), lands: Span::secs(30) };

/// Why a file cannot be rehearsed.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The planner refuses it, even in a world made for it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A name for the simulated world cannot be made.
    #[error("name a part of the simulated world: {0}")]
    Name(#[from] BadName),
}

/// The scene of a deployment file: a blue of an earlier revision carries every declared group, and one more group
/// stands about to which somebody may attach it by mistake.
///
/// # Errors
/// [`Unfit`], before anything is run.
pub fn rehearsal(spec: &Spec, strategy: Option<StrategyName>, begins: Time) -> Result<Scene, Unfit> {
    let mut world = World::new(Time(begins.0.saturating_sub(AGE.0)), LAUNCH);
    let blue = FleetId::new(format!("{}-v1", spec.service))?;
    let Provider::Local(local) = &spec.provider;
    let earlier = local.bootstrap.clone().filter(|revision| *revision != spec.revision);
    let earlier = earlier.map_or_else(|| Revision::new("earlier"), Ok)?;
    world.found(&blue, &earlier, spec.instances.unwrap_or(SIZE), Scaling::Active);
    for (id, declared) in &local.groups {
        let mut group = SimGroup::new(Sharing::Paired, Steps::Any, &declared.listen.to_string());
        group.health_interval = local.health_interval;
        group.deregistration_delay = declared.deregistration_delay;
        world.build(id, group);
        world.attach(&blue, id);
    }
    world.build(&GroupId::new("undeclared")?, SimGroup::new(Sharing::Paired, Steps::Any, "added by hand"));
    world.tick(begins);
    let groups: BTreeSet<_> = spec.groups().into_iter().collect();
    let scope = Scope { service: spec.service.clone(), groups, fleets: BTreeSet::from([blue]) };
    let rollout =
        RolloutId { service: spec.service.clone(), environment: spec.environment.clone(), number: 2 };
    let ask = Ask {
        rollout,
        purpose: Purpose::Deploy,
        revision: None,
        strategy,
        last: &BTreeSet::new(),
        amended: BTreeSet::new(),
        waivers: Vec::new(),
        now: begins,
        capability: CAPABILITY,
    };
    let plan = draft(spec, &world.inventory(&scope), &ask)?.plan;
    Ok(Scene { world, plan })
}
