//! AWS behind the port to a cloud.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_config::SdkConfig;
use tokio::sync::OnceCell;

use super::api::Api;
use super::asgs::Home;
use super::limit::{Family, Limits};
use super::memory::Memory;
use super::survey::Wish;
use super::{codedeploy, fleet, freeze, look, traffic};
use crate::cloud::{Backend, Capability, Change, Fault, FaultKind, Floor, Leeway, Scope};
use crate::coverage::Retirement;
use crate::model::{EnvironmentName, FleetId, Inventory, ServiceName, Span, Token};
use crate::spec::{AwsFleets, AwsSpec};

/// One service in one region of one account.
#[derive(Debug)]
pub struct AwsBackend {
    home: Home,
    memory: Memory,
    api: OnceCell<Api>,
    /// Instead of what the environment and the file say.
    sdk: Option<SdkConfig>,
}

impl AwsBackend {
    /// The service as its deployment file describes it. Makes no call: credentials are looked for with the first one.
    #[must_use]
    pub fn new(service: ServiceName, environment: EnvironmentName, spec: AwsSpec) -> Self {
        let home = Home { service, environment, spec };
        Self { home, memory: Memory::default(), api: OnceCell::new(), sdk: None }
    }

    /// The same over these settings of the SDK, with limits on nothing: a test reaches a fake of its own by it, beside
    /// others in one process.
    #[doc(hidden)]
    #[must_use]
    pub fn over(self, sdk: SdkConfig) -> Self {
        Self { sdk: Some(sdk), ..self }
    }

    /// Gives every fleet of the service back the scaling that we held still, whoever of us did so, and says which.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn thaw_all(&self) -> Result<BTreeSet<FleetId>, Fault> {
        freeze::thaw_all(self.api().await?, &self.home).await
    }

    async fn api(&self) -> Result<&Api, Fault> {
        self.api.get_or_try_init(|| Box::pin(Api::connect(&self.home.spec, self.sdk.as_ref()))).await
    }

    fn managed(&self) -> bool {
        self.home.spec.fleets == AwsFleets::Managed
    }
}

impl Backend for AwsBackend {
    async fn look(&self, scope: &Scope) -> Result<Inventory, Fault> {
        self.look_with(scope, &Leeway::default()).await
    }

    async fn look_with(&self, scope: &Scope, leeway: &Leeway) -> Result<Inventory, Fault> {
        let (api, home) = (self.api().await?, &self.home);
        api.hurry(leeway.urgent);
        // What CodeDeploy moves comes and goes by its hand.
        let none = Leeway { urgent: leeway.urgent, ..Leeway::default() };
        let wish = Wish { scope, leeway: if self.managed() { &none } else { leeway } };
        let mut seen = Box::pin(look::look(api, home, &self.memory, wish)).await?;
        // Nobody else watches CodeDeploy's clock while a rollout is held.
        if self.managed()
            && let Err(fault) = codedeploy::managed::shield(api).await
        {
            seen.unread
                .insert(format!("how long CodeDeploy lets blue live, which could not be stopped: {fault}"));
        }
        Ok(seen)
    }

    async fn floor(&self, moved: bool) -> Floor {
        match self.limits() {
            Some(limits) => limits.floor(moved).await,
            None => Floor::default(),
        }
    }

    async fn change(&self, change: &Change, token: &Token) -> Result<(), Fault> {
        let answer = self.bounded("Change", self.make(change, token)).await;
        // Weights of twins leave the fleets as they are; a share by membership forgets them itself.
        if !matches!(change, Change::Shift { .. }) {
            self.memory.fleets_changed();
        }
        answer
    }

    async fn retire(&self, proof: Retirement, token: &Token) -> Result<(), Fault> {
        let answer = self.bounded("Retire", self.take_away(proof, token)).await;
        self.memory.fleets_changed();
        answer
    }

    fn capability(&self) -> Capability {
        let look = self.sweep();
        let lands = Span(self.home.spec.call_timeout.0 * LANDS + look.0 * SWEEPS_LAND);
        Capability { freeze: true, pace: self.home.spec.pace, lands, look }
    }
}

/// How many time limits of a call a whole change may take, and after how many of them nothing of it can still come.
const CHANGE: u64 = 3;
const LANDS: u64 = CHANGE + 1;
/// The same for what a last search of every target group takes at least. Others take their turn in between; and by the time
/// that a fleet goes there may be more groups than when its rollout was planned.
const SWEEPS: u64 = 2;
const SWEEPS_LAND: u64 = SWEEPS + 1;

impl AwsBackend {
    /// What is shared with every other service of the account and region in this process; nothing over a client that is
    /// given.
    fn limits(&self) -> Option<Arc<Limits>> {
        let spec = &self.home.spec;
        self.sdk.is_none().then(|| Limits::of(&spec.account, &spec.region, spec.reads_per_second))
    }

    /// How long a search of every target group that the last look knew of takes at least.
    fn sweep(&self) -> Span {
        let groups = self.memory.guess().map_or(0, |last| last.groups.len());
        self.limits().map_or(Span::ZERO, |limits| limits.lasts(Family::ElbRead, groups))
    }

    /// A change is several calls, each tried again by the SDK: without an end to all of it, a driver that is cut off from
    /// its journal could still send one when another has long taken over.
    async fn bounded(
        &self,
        action: &str,
        work: impl Future<Output = Result<(), Fault>>,
    ) -> Result<(), Fault> {
        let most = Span(self.home.spec.call_timeout.0 * CHANGE + self.sweep().0 * SWEEPS);
        tokio::time::timeout(most.into(), Box::pin(work)).await.unwrap_or_else(|_| {
            let message = format!("not done after {most}, and given up: a part of it may have been");
            Err(Fault::new(FaultKind::Unreachable, action, message).ambiguous())
        })
    }

    async fn make(&self, change: &Change, token: &Token) -> Result<(), Fault> {
        let (api, home) = (self.api().await?, &self.home);
        let site = codedeploy::managed::Site { api, home, memory: &self.memory };
        match change {
            _ if self.managed() => Box::pin(codedeploy::managed::change(site, change, token)).await,
            Change::Provision { fleet } => {
                let answer = Box::pin(fleet::provision(api, home, &self.memory, fleet, token)).await;
                answer.inspect_err(|_| self.memory.forget_fleets())
            }
            Change::Register { fleet, groups } => {
                let answer = Box::pin(traffic::register(api, home, &self.memory, fleet, groups)).await;
                self.memory.forget_groups();
                answer
            }
            Change::Shift { group, to, from, share } => {
                Box::pin(traffic::shift(api, home, &self.memory, group, (to, from.as_ref()), *share)).await
            }
            Change::Deregister { fleet, groups } => {
                Box::pin(traffic::deregister(api, home, &self.memory, fleet, groups)).await
            }
            Change::Freeze { fleet } => Box::pin(freeze::freeze(api, home, &self.memory, fleet)).await,
            Change::Thaw { fleet } => Box::pin(freeze::thaw(api, home, &self.memory, fleet)).await,
        }
    }

    async fn take_away(&self, proof: Retirement, token: &Token) -> Result<(), Fault> {
        let (api, home) = (self.api().await?, &self.home);
        if self.managed() {
            Box::pin(codedeploy::managed::retire(api, home, proof, token)).await
        } else {
            Box::pin(fleet::retire(api, home, proof)).await
        }
    }
}
