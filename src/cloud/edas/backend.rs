//! Alibaba Cloud behind the port to a cloud.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::OnceCell;

use super::client::{Client, Over};
use super::hold::LetGo;
use super::home::{Ecs, Home, Kind};
use super::memory::Memory;
use super::patience::Site;
use super::survey::{Survey, Wish};
use super::twin::Map;
use super::{fleets, freeze, hold, kube, leave, look, preview, shift, traffic, weight_note, weights};
use crate::cloud::{Backend, Capability, Change, Fault, FaultKind, Floor, Leeway, Scope, clock};
use crate::coverage::Retirement;
use crate::model::{FleetId, InstanceId, Inventory, Seen, ServiceName, Span, Token};
use crate::spec::EdasSpec;

/// One service in one region of one account.
#[derive(Debug)]
pub struct EdasBackend {
    home: Home,
    memory: Memory,
    client: OnceCell<Client>,
    /// Instead of what the environment says.
    over: Option<Over>,
}

impl EdasBackend {
    /// The service as its deployment file describes it. Makes no call: credentials are looked for with the first one.
    #[must_use]
    pub fn new(service: ServiceName, spec: EdasSpec) -> Self {
        let home = Home { service, spec };
        Self { home, memory: Memory::default(), client: OnceCell::new(), over: None }
    }

    /// The same over one address and fixed keys, with limits on nothing: a test reaches a fake of its own by it, beside
    /// others in one process.
    #[doc(hidden)]
    #[must_use]
    pub fn over(self, over: Over) -> Self {
        Self { over: Some(over), ..self }
    }

    /// Gives every fleet of the service back the scaling that we held still, whoever of us did so, and says which.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn thaw_all(&self) -> Result<BTreeSet<FleetId>, Fault> {
        self.memory.changed();
        let client = self.client().await?;
        let ecs = match self.home.kind() {
            Kind::Ecs(ecs) => ecs,
            Kind::Kube(kube) => return Box::pin(kube::thaw_all(client, (kube, &self.memory))).await,
        };
        let token = format!("thaw-{}", clock::now().0);
        let held = hold::noted(client, ecs, LetGo::All).await?;
        hold::let_go(client, ecs, &held, &token).await?;
        let mut thawed = freeze::thaw_all(client, ecs).await?;
        thawed.extend(held.fleets(ecs));
        Ok(thawed)
    }

    async fn client(&self) -> Result<&Client, Fault> {
        let connect = || Box::pin(Client::connect(&self.home.spec, self.over.as_ref()));
        self.client.get_or_try_init(connect).await
    }
}

impl Backend for EdasBackend {
    async fn look(&self, scope: &Scope) -> Result<Inventory, Fault> {
        self.look_with(scope, &Leeway::default()).await
    }

    async fn look_with(&self, scope: &Scope, leeway: &Leeway) -> Result<Inventory, Fault> {
        let client = self.client().await?;
        client.hurry(leeway.urgent);
        Box::pin(look::look(client, &self.home, &self.memory, Wish { scope, leeway })).await
    }

    async fn floor(&self, _moved: bool) -> Floor {
        if self.over.is_some() { Floor::default() } else { Client::floor(&self.home.spec).await }
    }

    async fn change(&self, change: &Change, token: &Token) -> Result<(), Fault> {
        let touched = self.home.touched(change);
        self.memory.spared.forget(change, &touched);
        let answer = self.bounded("Change", self.make(change, token)).await;
        self.memory.spared.forget(change, &touched);
        answer
    }

    async fn retire(&self, proof: Retirement, token: &Token) -> Result<(), Fault> {
        self.memory.spared.forget_all();
        let told = AtomicBool::new(false);
        let answer = self.bounded("Retire", self.take_away(proof, token, &told)).await;
        self.memory.spared.forget_all();
        answer.map_err(|fault| if told.load(Ordering::Relaxed) { fault } else { harmless(fault) })
    }

    fn capability(&self) -> Capability {
        let lands = Span(self.home.spec.call_timeout.0 * LANDS);
        Capability { freeze: true, pace: self.home.spec.pace, lands, look: Span::ZERO }
    }
}

/// How many time limits of a call a whole change may take, and after how many of them nothing of it can still come.
const CHANGE: u64 = 3;
const LANDS: u64 = CHANGE + 1;

impl EdasBackend {
    /// A change is several calls, each tried again: without an end to all of it, a driver that is cut off from its journal
    /// could still send one when another has long taken over.
    async fn bounded(
        &self,
        action: &str,
        work: impl Future<Output = Result<(), Fault>>,
    ) -> Result<(), Fault> {
        let most = Span(self.home.spec.call_timeout.0 * CHANGE);
        tokio::time::timeout(most.into(), Box::pin(work)).await.unwrap_or_else(|_| {
            let message = format!("not done after {most}, and given up: a part of it may have been");
            Err(Fault::new(FaultKind::Unreachable, action, message).ambiguous())
        })
    }

    async fn make(&self, change: &Change, token: &Token) -> Result<(), Fault> {
        let (client, home) = (self.client().await?, &self.home);
        let site = Site { client, home, memory: &self.memory, token: token.as_str() };
        match change {
            Change::Provision { fleet } => match home.kind() {
                Kind::Ecs(ecs) => Box::pin(fleets::provision(site, ecs, fleet, token)).await,
                Kind::Kube(kube) => {
                    Box::pin(kube::provision(client, (kube, &self.memory), fleet, token)).await
                }
            },
            Change::Register { fleet, groups } => Box::pin(traffic::register(site, fleet, groups)).await,
            Change::Shift { group, to, from, share } => {
                Box::pin(shift::shift(site, group, (to, from.as_ref()), *share)).await
            }
            Change::Deregister { fleet, groups } => Box::pin(traffic::deregister(site, fleet, groups)).await,
            Change::Freeze { fleet } => Box::pin(self.freeze(fleet, token)).await,
            Change::Thaw { fleet } => Box::pin(self.thaw(fleet, token)).await,
        }
    }

    async fn freeze(&self, fleet: &FleetId, token: &Token) -> Result<(), Fault> {
        self.memory.changed();
        let client = self.client().await?;
        match self.home.kind() {
            Kind::Ecs(ecs) => {
                freeze::freeze(client, ecs, fleet).await?;
                let instances = fleets::instances(client, ecs, fleet).await?;
                hold::hold(client, ecs, (fleet, &instances), token.as_str()).await
            }
            Kind::Kube(kube) => kube::freeze(client, (kube, &self.memory), fleet).await,
        }
    }

    async fn thaw(&self, fleet: &FleetId, token: &Token) -> Result<(), Fault> {
        self.memory.changed();
        let client = self.client().await?;
        match self.home.kind() {
            Kind::Ecs(ecs) => {
                freeze::thaw(client, ecs, fleet).await?;
                // The other fleet is gone, and its scaling groups would have nobody else who lets them go.
                let held = hold::noted(client, ecs, LetGo::All).await?;
                hold::let_go(client, ecs, &held, token.as_str()).await
            }
            Kind::Kube(kube) => kube::thaw(client, (kube, &self.memory), fleet).await,
        }
    }

    /// Nothing before the fleet is told to go can have harmed it: a fault there is a certain refusal, and leaves the way back
    /// open.
    async fn take_away(&self, proof: Retirement, token: &Token, told: &AtomicBool) -> Result<(), Fault> {
        let (client, home, fleet) = (self.client().await?, &self.home, proof.fleet());
        let site = Site { client, home, memory: &self.memory, token: token.as_str() };
        let (survey, left) = Box::pin(self.ready(site, &proof)).await.map_err(harmless)?;
        match home.kind() {
            Kind::Ecs(ecs) => {
                let known = survey.fleets.all.get(fleet).and_then(Seen::known);
                let searched = known.map(|now| now.members.keys().cloned().collect()).unwrap_or_default();
                let clear = async {
                    told.store(true, Ordering::Relaxed);
                    // Nobody could give it back what was noted.
                    left.clear(site, ecs).await.map_err(Fault::ambiguous)
                };
                let gone = Box::pin(fleets::empty_out(client, ecs, (fleet, &searched), clear)).await;
                let spoilt = told.load(Ordering::Relaxed) && !left.is_empty();
                gone.map_err(|fault| if spoilt { fault.ambiguous() } else { fault })
            }
            Kind::Kube(kube) => {
                told.store(true, Ordering::Relaxed);
                Box::pin(kube::empty_out(client, (kube, &self.memory), fleet)).await
            }
        }
    }

    /// Clears up behind the fleet, and looks for the last time.
    async fn ready(&self, site: Site<'_>, proof: &Retirement) -> Result<(Survey, Left), Fault> {
        // By the look that the proof rests on. It takes its time, and whoever is attached somewhere behind the last look goes
        // unseen: so it comes before.
        let (fleet, groups) = (proof.fleet(), proof.covered().keys().cloned().collect());
        let map = Box::pin(Map::read(site, fleet, &groups)).await?;
        Box::pin(preview::sweep(site, &map.survey)).await?;
        let left = match self.home.kind() {
            Kind::Ecs(ecs) => {
                Box::pin(weights::give_back_others(site, &map.survey, fleet)).await?;
                let others = map.survey.fleets.all.iter().filter(|(id, _)| *id != fleet);
                let staying = others.filter_map(|(_, now)| now.known()).flat_map(|now| now.members.keys());
                let staying = staying.map(InstanceId::to_string).collect();
                Left {
                    weights: weights::noted_of(site, fleet).await?,
                    held: hold::noted(site.client, ecs, LetGo::Without(&staying)).await?,
                }
            }
            Kind::Kube(_) => Left::default(),
        };
        let survey = Box::pin(leave::refuse_standing(site.client, &self.home, &self.memory, proof)).await?;
        Ok((survey, left))
    }
}

/// What is noted of a fleet that goes, and has to be cleared up while somebody knows of it: behind the last look, for until
/// then it may stay.
#[derive(Default)]
struct Left {
    /// The server groups in which its weights are noted.
    weights: Vec<String>,
    held: hold::Held,
}

impl Left {
    fn is_empty(&self) -> bool {
        self.weights.is_empty() && self.held.is_empty()
    }

    async fn clear(&self, site: Site<'_>, ecs: Ecs<'_>) -> Result<(), Fault> {
        for group in &self.weights {
            weight_note::forget(site, group).await?;
        }
        hold::let_go(site.client, ecs, &self.held, site.token).await
    }
}

fn harmless(fault: Fault) -> Fault {
    Fault { ambiguous: false, ..fault }
}
