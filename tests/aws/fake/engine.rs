//! How a `CodeDeploy` deployment goes, step by step.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};

use super::input::{items, text};
use super::world::{Fleet, Ms, Via, World};

/// Events of an instance on which a revision is installed.
const INSTALL: [&str; 7] = [
    "ApplicationStop",
    "DownloadBundle",
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
];
const ALLOW: [&str; 3] = ["BeforeAllowTraffic", "AllowTraffic", "AfterAllowTraffic"];
const BLOCK: [&str; 3] = ["BeforeBlockTraffic", "BlockTraffic", "AfterBlockTraffic"];
/// A deployment's event may take an hour.
const EVENT_SECS_MAX: u64 = 3600;

/// One step of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The fleet is copied, and all of the copy runs.
    Provision,
    /// One lifecycle event on these instances; on all of green where there are none.
    Event(&'static str, Vec<String>),
    /// Somebody must say that traffic may go.
    ReadyWait,
    /// Blue is kept for a while.
    TerminationWait,
    /// Blue goes.
    Terminate,
}

/// One lifecycle event of one instance.
#[derive(Debug, Clone)]
pub struct Event {
    pub name: &'static str,
    pub status: &'static str,
    pub start: Ms,
    pub end: Option<Ms>,
}

/// One deployment.
#[derive(Debug, Clone)]
pub struct Deployment {
    pub id: String,
    pub application: String,
    pub group: String,
    pub description: Option<String>,
    pub creator: &'static str,
    pub revision: Value,
    /// The settings of its group when it began, with its own on top.
    pub settings: Map<String, Value>,
    pub created: Ms,
    pub started: Option<Ms>,
    pub completed: Option<Ms>,
    pub status: &'static str,
    pub error: Option<(&'static str, String)>,
    pub rollback: Value,
    pub script: VecDeque<Step>,
    /// Since when the first step of the script runs.
    pub since: Option<Ms>,
    pub blue_fleet: String,
    pub green_fleet: Option<String>,
    pub blue: Vec<String>,
    pub green: Vec<String>,
    /// What somebody has continued.
    pub ready: bool,
    pub terminate: bool,
    pub termination_wait: bool,
    pub events: BTreeMap<String, Vec<Event>>,
}

impl Deployment {
    pub fn active(&self) -> bool {
        self.completed.is_none()
    }

    pub fn blue_green(&self) -> bool {
        self.settings.get("deploymentStyle").and_then(|style| text(style, "deploymentType"))
            == Some("BLUE_GREEN")
    }

    pub fn option(&self, of: &str, name: &str) -> Option<&Value> {
        self.settings.get("blueGreenDeploymentConfiguration")?.get(of)?.get(name)
    }

    /// Minutes of a wait.
    pub fn wait_mins(&self, of: &str, name: &str) -> u64 {
        self.option(of, name).and_then(Value::as_u64).unwrap_or(0)
    }

    /// What its revision is called.
    pub fn label(&self) -> Option<String> {
        let location = self.revision.get("s3Location").or_else(|| self.revision.get("gitHubLocation"))?;
        text(location, "key").or_else(|| text(location, "commitId")).map(str::to_owned)
    }

    fn script(&self) -> VecDeque<Step> {
        let all = |names: &[&'static str], of: &[String]| -> Vec<Step> {
            names.iter().map(|name| Step::Event(name, of.to_vec())).collect()
        };
        let mut script = Vec::new();
        if !self.blue_green() {
            let config =
                self.settings.get("deploymentConfigName").and_then(Value::as_str).unwrap_or_default();
            let count = self.blue.len().max(1);
            let batch = match config.rsplit('.').next() {
                Some("OneAtATime") => 1,
                Some("HalfAtATime") => count.div_ceil(2),
                _ => count,
            };
            let style = self.settings.get("deploymentStyle");
            let moves =
                style.and_then(|style| text(style, "deploymentOption")) == Some("WITH_TRAFFIC_CONTROL");
            for batch in self.blue.chunks(batch) {
                if moves {
                    script.extend(all(&BLOCK, batch));
                }
                script.extend(all(&INSTALL, batch));
                if moves {
                    script.extend(all(&ALLOW, batch));
                }
            }
            return script.into();
        }
        script.push(Step::Provision);
        script.extend(all(&INSTALL, &[]));
        if self.option("deploymentReadyOption", "actionOnTimeout") == Some(&json!("STOP_DEPLOYMENT")) {
            script.push(Step::ReadyWait);
        }
        script.extend(all(&ALLOW, &[]));
        script.extend(all(&BLOCK, &self.blue));
        if self.option("terminateBlueInstancesOnDeploymentSuccess", "action") == Some(&json!("TERMINATE")) {
            script.extend([Step::TerminationWait, Step::Terminate]);
        }
        script.into()
    }
}

impl World {
    /// A deployment over a fleet begins.
    pub fn begin_deployment(&mut self, mut deployment: Deployment) -> String {
        let n = self.fresh();
        deployment.id = format!("d-FAKE{n:05X}");
        if deployment.script.is_empty() {
            deployment.script = deployment.script();
        }
        let id = deployment.id.clone();
        self.deployments.push(deployment);
        id
    }

    pub fn settle_deployments(&mut self) {
        for at in 0..self.deployments.len() {
            let Some(mut deployment) = self.deployments.get(at).cloned().filter(Deployment::active) else {
                continue;
            };
            self.proceed(&mut deployment);
            if let Some(place) = self.deployments.get_mut(at) {
                *place = deployment;
            }
        }
        self.install_on_newcomers();
        self.answer_hooks();
    }

    /// `CodeDeploy` lets an instance go on that waits for its hook, once it has installed what there is.
    fn answer_hooks(&mut self) {
        for group in &self.deployment_groups {
            let hook = super::codedeploy::hook(group);
            let fleets = super::input::list(&Value::Object(group.settings.clone()), "autoScalingGroups");
            let members = self.instances.values_mut().filter_map(|instance| instance.member.as_mut());
            for member in members.filter(|member| fleets.contains(&member.fleet)) {
                if member.lifecycle == "Pending:Wait" {
                    member.hooks_done.insert(hook.clone());
                }
            }
        }
    }

    /// An instance that a group launches by itself gets the revision that was last deployed.
    fn install_on_newcomers(&mut self) {
        let current = self.deployment_groups.iter().flat_map(|group| {
            let fleets =
                group.settings.get("autoScalingGroups").and_then(Value::as_array).into_iter().flatten();
            let label = group.current.as_ref().and_then(Value::as_str);
            fleets
                .filter_map(Value::as_str)
                .filter_map(move |fleet| Some((fleet.to_owned(), label?.to_owned())))
        });
        let current: BTreeMap<String, String> = current.collect();
        for instance in self.instances.values_mut().filter(|instance| instance.revision.is_none()) {
            instance.revision =
                instance.member.as_ref().and_then(|member| current.get(&member.fleet).cloned());
        }
    }

    fn proceed(&mut self, deployment: &mut Deployment) {
        if self.now < deployment.created + self.settings.step {
            return;
        }
        deployment.started.get_or_insert(self.now);
        let Some(step) = deployment.script.front().cloned() else {
            self.succeed(deployment);
            return;
        };
        if deployment.since.is_none() {
            deployment.since = Some(self.now);
            self.begin_step(deployment, &step);
        }
        match self.step_done(deployment, &step) {
            Ok(false) => {}
            Ok(true) => {
                self.end_event(deployment, &step, "Succeeded");
                deployment.script.pop_front();
                deployment.since = None;
            }
            Err(text) => {
                self.end_event(deployment, &step, "Failed");
                let stopped = step == Step::ReadyWait;
                self.finish(deployment, if stopped { "Stopped" } else { "Failed" }, &text);
            }
        }
    }

    fn begin_step(&mut self, deployment: &mut Deployment, step: &Step) {
        deployment.status = if *step == Step::ReadyWait { "Ready" } else { "InProgress" };
        match step {
            Step::Provision => self.copy_fleet(deployment),
            Step::TerminationWait => deployment.termination_wait = true,
            Step::Terminate => self.force_delete(&deployment.blue_fleet.clone()),
            Step::ReadyWait => {}
            Step::Event(name, _) => {
                let groups = self.listed(deployment);
                for id in concerned(deployment, step) {
                    let event = Event { name, status: "InProgress", start: self.now, end: None };
                    deployment.events.entry(id.clone()).or_default().push(event);
                    for group in &groups {
                        match *name {
                            "AllowTraffic" => self.register(group, &id, None),
                            "BlockTraffic" => self.deregister(group, &id, None),
                            _ => {}
                        }
                    }
                }
            }
        }
    }

    /// Whether a step is done, or why it never will be.
    fn step_done(&mut self, deployment: &mut Deployment, step: &Step) -> Result<bool, String> {
        let since = deployment.since.unwrap_or(self.now);
        let taken = self.now.saturating_sub(since);
        match step {
            Step::Provision => Ok(self.provisioned(deployment)),
            Step::ReadyWait => {
                let wait = deployment.wait_mins("deploymentReadyOption", "waitTimeInMinutes") * 60;
                let over = !deployment.ready && taken >= self.scaled(wait);
                if over {
                    Err("nobody continued the deployment in time".to_owned())
                } else {
                    Ok(deployment.ready)
                }
            }
            Step::TerminationWait => {
                let of = "terminateBlueInstancesOnDeploymentSuccess";
                let wait = deployment.wait_mins(of, "terminationWaitTimeInMinutes") * 60;
                Ok(deployment.terminate || taken >= self.scaled(wait))
            }
            Step::Terminate => Ok(!self.fleets.contains_key(&deployment.blue_fleet)),
            Step::Event(name, _) => {
                let broken = deployment
                    .label()
                    .is_some_and(|label| self.broken.contains(&((*name).to_owned(), label)));
                if broken {
                    return Err(format!("the event {name} failed"));
                }
                if taken >= self.scaled(EVENT_SECS_MAX) {
                    return Err(format!("the event {name} took longer than an hour"));
                }
                if taken < self.settings.step {
                    return Ok(false);
                }
                let ids = concerned(deployment, step);
                if *name == "Install" {
                    let label = deployment.label();
                    let mine = self.instances.values_mut().filter(|instance| ids.contains(&instance.id));
                    mine.for_each(|instance| instance.revision.clone_from(&label));
                }
                let groups = self.listed(deployment);
                let every = |test: &dyn Fn(&str, &str) -> bool| {
                    groups.iter().all(|group| ids.iter().all(|id| test(group, id)))
                };
                Ok(match *name {
                    "AllowTraffic" => every(&|group, id| self.well(group, id)),
                    "BlockTraffic" => every(&|group, id| !self.stands(group, id)),
                    _ => true,
                })
            }
        }
    }

    fn well(&self, group: &str, id: &str) -> bool {
        use super::world::Verdict;
        let targets = self.groups.get(group).map(|group| group.targets.as_slice()).unwrap_or_default();
        targets.iter().any(|one| one.id == id && one.draining.is_none() && one.verdict == Verdict::Healthy)
    }

    fn end_event(&mut self, deployment: &mut Deployment, step: &Step, status: &'static str) {
        let now = self.now;
        for id in concerned(deployment, step) {
            let events = deployment.events.entry(id).or_default();
            if let Some(event) = events.last_mut().filter(|event| event.end.is_none()) {
                (event.status, event.end) = (status, Some(now));
            }
        }
    }

    /// The target groups that the deployment group lists; those only.
    fn listed(&self, deployment: &Deployment) -> Vec<String> {
        let info = deployment.settings.get("loadBalancerInfo").unwrap_or(&Value::Null);
        let names = items(info, "targetGroupInfoList").iter().filter_map(|one| text(one, "name"));
        names.filter_map(|name| self.group_by_name(name)).map(|group| group.arn.clone()).collect()
    }

    /// Copies blue: as many instances as are healthy there now, and what the service may read and write of it.
    fn copy_fleet(&mut self, deployment: &mut Deployment) {
        let name = format!("CodeDeploy_{}_{}", deployment.group, deployment.id);
        let well = self
            .members(&deployment.blue_fleet)
            .filter(|(_, one)| one.healthy && one.lifecycle == "InService");
        let size = (well.count() as u64).saturating_sub(self.settings.copy_short_by);
        let Some(blue) = self.fleets.get(&deployment.blue_fleet).cloned() else { return };
        let mut green = Fleet { name: name.clone(), created: self.now, activities: Vec::new(), ..blue };
        green.arn = green.arn.replace(&deployment.blue_fleet, &name);
        (green.desired, green.min, green.max) = (size, green.min.min(size), green.max.max(size));
        // What the service's role may not attach does not come along.
        green.attachments.retain(|one| one.via == Via::TargetGroups && one.state != "Removing");
        if self.settings.copy_loses_attachments {
            green.attachments.clear();
        }
        for attachment in &mut green.attachments {
            (attachment.state, attachment.since) = ("InService", self.now);
        }
        self.fleets.insert(name.clone(), green);
        deployment.green_fleet = Some(name);
    }

    fn provisioned(&self, deployment: &mut Deployment) -> bool {
        let Some((name, fleet)) =
            deployment.green_fleet.clone().and_then(|name| Some((name.clone(), self.fleets.get(&name)?)))
        else {
            return false;
        };
        deployment.green = self.in_service(&name);
        deployment.green.len() as u64 >= fleet.desired
    }

    fn succeed(&mut self, deployment: &mut Deployment) {
        (deployment.status, deployment.completed) = ("Succeeded", Some(self.now));
        let of = |group: &&mut super::world::DeploymentGroup| {
            group.application == deployment.application && group.name == deployment.group
        };
        if let Some(group) = self.deployment_groups.iter_mut().find(of) {
            group.current = deployment.label().map(Value::String);
            if let Some(green) = &deployment.green_fleet {
                group.settings.insert("autoScalingGroups".to_owned(), json!([green]));
            }
        }
    }

    /// Ends a deployment before its time, and rolls back where its group says so.
    pub fn finish(&mut self, deployment: &mut Deployment, status: &'static str, why: &str) {
        let (code, event) = match status {
            "Stopped" => ("MANUAL_STOP", "DEPLOYMENT_STOP_ON_REQUEST"),
            _ => ("HEALTH_CONSTRAINTS", "DEPLOYMENT_FAILURE"),
        };
        (deployment.status, deployment.completed) = (status, Some(self.now));
        deployment.error = Some((code, why.to_owned()));
        let config = deployment.settings.get("autoRollbackConfiguration").unwrap_or(&Value::Null);
        let enabled = config.get("enabled") == Some(&Value::Bool(true));
        if enabled
            && deployment.creator == "user"
            && super::input::list(config, "events").iter().any(|one| one == event)
        {
            self.roll_back(deployment);
        }
    }

    /// Starts the deployment that takes this one back.
    pub fn roll_back(&mut self, deployment: &mut Deployment) {
        let mut back = Deployment {
            creator: "codeDeployRollback",
            description: None,
            created: self.now,
            started: None,
            completed: None,
            status: "Created",
            error: None,
            script: VecDeque::new(),
            since: None,
            events: BTreeMap::new(),
            ready: false,
            terminate: false,
            termination_wait: false,
            rollback: json!({ "rollbackTriggeringDeploymentId": deployment.id }),
            ..deployment.clone()
        };
        let of = |one: &&super::world::DeploymentGroup| {
            one.application == deployment.application && one.name == deployment.group
        };
        let last = self.deployment_groups.iter().find(of).and_then(|group| group.current.clone());
        let last = last.unwrap_or_else(|| json!("none"));
        back.revision = json!({ "revisionType": "S3", "s3Location": { "bucket": "revisions", "key": last } });
        if deployment.blue_green() && self.fleets.contains_key(&deployment.blue_fleet) {
            // Blue gets the traffic back first, and then green loses it.
            let of =
                |names: [&'static str; 3], ids: &[String]| names.map(|name| Step::Event(name, ids.to_vec()));
            back.script.extend(of(ALLOW, &deployment.blue));
            if !deployment.green.is_empty() {
                back.script.extend(of(BLOCK, &deployment.green));
            }
            back.green_fleet = None;
        }
        let id = self.begin_deployment(back);
        deployment.rollback = json!({ "rollbackDeploymentId": id });
    }
}

/// On which instances a step has an event.
fn concerned(deployment: &Deployment, step: &Step) -> Vec<String> {
    match step {
        Step::Event(_, ids) if ids.is_empty() => deployment.green.clone(),
        Step::Event(_, ids) => ids.clone(),
        Step::Provision | Step::ReadyWait | Step::TerminationWait | Step::Terminate => Vec::new(),
    }
}
