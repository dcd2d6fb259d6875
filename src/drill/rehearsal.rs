//! A deployment file turned into a scene: its own groups, steps, times and deadlines, on a simulated cloud.

use std::collections::BTreeSet;

use super::scene::Scene;
use crate::cloud::sim::{SimGroup, World};
use crate::cloud::{Capability, Scope};
use crate::model::{
    BadName, Expect, FleetId, GroupId, Purpose, Revision, RolloutId, Scaling, Sharing, Span, Steps,
    StrategyName, Time,
};
use crate::plan::{Ask, Refusal, draft};
use crate::spec::{AwsGroup, EdasGroup, EdasServers, LocalGroup, Provider, ShareBy, Spec};

/// How long an instance of the simulated cloud takes to come up; a launch on EC2 takes 25 to 30 s, its service as long again.
const LAUNCH: Span = Span::secs(45);
/// How long blue has served when the rehearsal begins.
const AGE: Span = Span::mins(60);
/// The size of a blue whose file names none.
const SIZE: u32 = 2;
/// What AWS checks and waits by default.
const AWS_HEALTH_INTERVAL: Span = Span::secs(30);
const AWS_DEREGISTRATION_DELAY: Span = Span::mins(5);
const ALB_HEALTH_INTERVAL: Span = Span::secs(2);
const ALB_DEREGISTRATION_DELAY: Span = Span::mins(5);
/// What the simulated cloud can do, and how quick it is to look at.
const CAPABILITY: Capability =
    Capability { freeze: true, pace: Span::secs(2), lands: Span::secs(30), look: Span::ZERO };

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

/// The declared groups. What a cloud keeps to itself is taken as it is by default there.
fn groups(spec: &Spec) -> Vec<(GroupId, SimGroup)> {
    let built = |sharing, route: &str, health_interval, deregistration_delay| {
        let steps = match sharing {
            Sharing::Paired | Sharing::Weighed => Steps::Any,
            Sharing::Shared | Sharing::Unproved => Steps::AllOrNothing,
        };
        let mut group = SimGroup::new(sharing, steps, route);
        (group.health_interval, group.deregistration_delay) = (health_interval, deregistration_delay);
        group
    };
    match &spec.provider {
        Provider::Local(local) => {
            let one = |declared: &LocalGroup| {
                let (interval, delay) = (local.health_interval, declared.deregistration_delay);
                built(Sharing::Paired, &declared.listen.to_string(), interval, delay)
            };
            local.groups.iter().map(|(id, declared)| (id.clone(), one(declared))).collect()
        }
        Provider::Aws(aws) => {
            let one = |declared: &AwsGroup| {
                let sharing = match declared {
                    AwsGroup::Shared { .. } => Sharing::Shared,
                    AwsGroup::Twins { .. } => Sharing::Paired,
                };
                built(sharing, "a listener", AWS_HEALTH_INTERVAL, AWS_DEREGISTRATION_DELAY)
            };
            aws.groups.iter().map(|(id, declared)| (id.clone(), one(declared))).collect()
        }
        Provider::Edas(edas) => {
            let one = |declared: &EdasGroup| {
                let sharing = match (&declared.servers, declared.by) {
                    (EdasServers::AlbTwins(_), _) => Sharing::Paired,
                    (EdasServers::NlbTwins(_) | EdasServers::ClbTwins(_), _) => Sharing::Unproved,
                    (_, ShareBy::Weights) => Sharing::Weighed,
                    (_, ShareBy::Membership) => Sharing::Shared,
                };
                built(sharing, "a listener", ALB_HEALTH_INTERVAL, ALB_DEREGISTRATION_DELAY)
            };
            edas.groups.iter().map(|(id, declared)| (id.clone(), one(declared))).collect()
        }
    }
}

/// The scene of a deployment file: a blue of an earlier revision carries every declared group, and one more group
/// stands about to which somebody may attach it by mistake.
///
/// # Errors
/// [`Unfit`], before anything is run.
pub fn rehearsal(spec: &Spec, strategy: Option<StrategyName>, begins: Time) -> Result<Scene, Unfit> {
    let mut world = World::new(Time(begins.0.saturating_sub(AGE.0)), LAUNCH);
    let blue = spec.pair().map_or_else(|| format!("{}-v1", spec.service), |pair| pair[0].clone());
    let blue = FleetId::new(blue)?;
    let earlier = match &spec.provider {
        Provider::Local(local) => local.bootstrap.clone(),
        Provider::Aws(_) | Provider::Edas(_) => None,
    };
    let earlier = earlier.filter(|revision| *revision != spec.revision);
    let earlier = earlier.map_or_else(|| Revision::new("earlier"), Ok)?;
    world.found(&blue, &earlier, spec.instances.unwrap_or(SIZE), Scaling::Active);
    for (id, group) in groups(spec) {
        world.build(&id, group);
        world.attach(&blue, &id);
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
        expect: Expect::default(),
        now: begins,
        capability: CAPABILITY,
    };
    let plan = draft(spec, &world.inventory(&scope), &ask)?.plan;
    Ok(Scene { world, plan })
}
