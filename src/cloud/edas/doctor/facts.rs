//! Everything that the checks go by, read once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::api::application::{self, Described};
use super::super::api::ecs::{self, Entry, Switch, Template};
use super::super::api::edas::{self, ChangeOrder, DeployGroup, Ecu, ScalingRule, Status, Tag};
use super::super::api::{alb, clb, k8s, nlb, pool};
use super::super::classic;
use super::super::client::{Client, Product};
use super::super::fleets::FleetNow;
use super::super::hold::{self, LetGo};
use super::super::home::{Ecs, Home, Kind, Kube};
use super::super::memory::Memory;
use super::super::route::Place;
use super::super::servers::ServerGroup;
use super::super::survey::{self, Survey};
use super::zones::Placed;
use crate::cloud::firewall::Port;
use crate::cloud::notes::Notes;
use crate::cloud::{FaultKind, Finding, Scope};
use crate::model::{FleetId, Seen};
use crate::spec::{Hosts, Spec};

/// The ALBs, as far as rules are counted on them.
#[derive(Debug, Default)]
pub(super) struct Balancing {
    pub listeners: Vec<alb::Listener>,
    pub rules: Vec<alb::Rule>,
    /// `Basic`, `Standard` or `StandardWithWaf`, by the balancer's id.
    pub editions: BTreeMap<String, String>,
}

/// One of two applications on Kubernetes.
pub(super) struct OnKubernetes {
    /// As the file calls it.
    pub label: String,
    pub described: Described,
    pub orders: Vec<ChangeOrder>,
    pub tags: Vec<Tag>,
    pub rules: Vec<k8s::Rule>,
}

/// Everything that the checks go by.
pub(super) struct Facts<'a> {
    pub home: &'a Home,
    pub spec: &'a Spec,
    /// Whether a rollout of the service is open.
    pub open: bool,
    pub survey: Survey,
    /// The applications, where the fleets are applications on Kubernetes; nothing of deploy groups is known then.
    pub applications: Vec<OnKubernetes>,
    pub described: Option<Described>,
    pub deploy_groups: Vec<DeployGroup>,
    pub status: Status,
    pub orders: Vec<ChangeOrder>,
    pub tags: Vec<Tag>,
    /// The fleets for which scaling groups are held still.
    pub held: BTreeSet<FleetId>,
    /// By the deploy group's name.
    pub scaling: BTreeMap<String, Vec<ScalingRule>>,
    /// The settings of every server group of ALB and NLB, by id.
    pub settings: BTreeMap<String, Value>,
    /// Instances of the cluster that run nothing.
    pub idle: Option<Vec<Ecu>>,
    /// What green is bought from, where it could be read.
    pub template: Option<Template>,
    /// The vSwitch that it names, where it could be read.
    pub vswitch: Option<Switch>,
    /// The VPCs of the cluster's instances.
    pub vpcs: BTreeSet<String>,
    /// The security groups of blue's instances and of idle ones, by instance.
    pub networks: BTreeMap<String, Vec<String>>,
    pub security_groups: BTreeMap<String, Vec<Entry>>,
    pub balancing: Balancing,
    /// Ports that listeners and rules of a CLB check in place of the servers' own.
    pub checked: BTreeSet<Port>,
    /// The balancers that lead to a server group of ours, by id.
    pub placed: BTreeMap<String, Placed>,
    /// The zones in which green would come up, or grow, and what says so.
    pub zones_of_green: BTreeMap<String, BTreeSet<String>>,
    /// The zones in which blue is.
    pub zones_of_blue: BTreeSet<String>,
}

impl<'a> Facts<'a> {
    /// Reads everything; `None` where the service itself cannot be seen.
    pub async fn read(
        client: &Client,
        notes: &mut Notes,
        home: &'a Home,
        spec: &'a Spec,
        open: bool,
    ) -> Option<Self> {
        let ecs = match home.kind() {
            Kind::Ecs(ecs) => ecs,
            Kind::Kube(kube) => return Self::on_kubernetes(client, notes, kube, spec, open).await,
        };
        let id = &ecs.own.application;
        let described = match application::describe(client, id).await {
            Err(fault) if fault.kind == FaultKind::Missing => {
                let what = format!("there is no application `{id}` in {}", home.spec.region);
                let mend = "correct `application` in the file: the id stands in the EDAS console";
                notes.findings.push(Finding::fail("application", what).mend(mend));
                return None;
            }
            answer => notes.heard(answer)?,
        };
        if described.cluster_type.is_some_and(|kind| kind != application::ECS) {
            let what = format!("`{id}` does not run in a cluster of ECS instances");
            let why = "only there are deploy groups that can alternate";
            notes.findings.push(Finding::fail("application", what).why(why));
            return None;
        }
        let scope = Scope { service: home.service.clone(), groups: BTreeSet::new(), fleets: BTreeSet::new() };
        let survey = Box::pin(Survey::read(client, home, &Memory::default(), &scope)).await;
        let survey = notes.heard(survey)?;
        let mut facts = Self {
            described: Some(described),
            deploy_groups: notes.heard(edas::list_deploy_group(client, id).await)?,
            status: notes.heard(edas::query_application_status(client, id).await)?,
            orders: notes.heard(edas::list_recent_change_order(client, id).await).unwrap_or_default(),
            tags: notes.heard(edas::list_tags(client, &home.spec.region, id).await).unwrap_or_default(),
            ..Self::bare(home, spec, open, survey)
        };
        facts.note_gaps(notes);
        facts.read_rules(client, notes, ecs).await;
        facts.read_settings(client, notes).await;
        facts.read_hosts(client, notes, ecs).await;
        facts.read_network(client, notes).await;
        facts.read_balancing(client, notes).await;
        facts.read_zones(client, notes, ecs).await;
        facts.read_checked(client, notes).await;
        Some(facts)
    }

    /// The same of two applications on Kubernetes.
    async fn on_kubernetes(
        client: &Client,
        notes: &mut Notes,
        kube: Kube<'a>,
        spec: &'a Spec,
        open: bool,
    ) -> Option<Self> {
        let home = kube.home;
        let scope = Scope { service: home.service.clone(), groups: BTreeSet::new(), fleets: BTreeSet::new() };
        let memory = Memory::default();
        let ids = match memory.kube.ids(client, kube).await {
            Err(fault) if matches!(fault.kind, FaultKind::Missing | FaultKind::Invalid) => {
                let mend = "correct `applications` in the file: names and ids stand in the EDAS console";
                notes.findings.push(Finding::fail("application", fault.message).mend(mend));
                return None;
            }
            answer => notes.heard(answer)?,
        };
        let survey = notes.heard(Box::pin(Survey::read(client, home, &memory, &scope)).await)?;
        let mut facts = Self::bare(home, spec, open, survey);
        for (label, id) in kube.own.applications.iter().zip(&ids) {
            facts.applications.push(OnKubernetes {
                label: label.clone(),
                described: notes.heard(application::describe(client, id).await)?,
                orders: notes.heard(edas::list_recent_change_order(client, id).await).unwrap_or_default(),
                tags: notes.heard(edas::list_tags(client, &home.spec.region, id).await).unwrap_or_default(),
                rules: notes.heard(k8s::scaling_rules(client, id).await).unwrap_or_default(),
            });
        }
        facts.note_gaps(notes);
        facts.read_settings(client, notes).await;
        facts.read_balancing(client, notes).await;
        Some(facts)
    }

    /// What is known before anything but the survey was read.
    fn bare(home: &'a Home, spec: &'a Spec, open: bool, survey: Survey) -> Self {
        Self {
            home,
            spec,
            open,
            survey,
            applications: Vec::new(),
            described: None,
            deploy_groups: Vec::new(),
            status: Status::default(),
            orders: Vec::new(),
            tags: Vec::new(),
            held: BTreeSet::new(),
            scaling: BTreeMap::new(),
            settings: BTreeMap::new(),
            idle: None,
            template: None,
            vswitch: None,
            vpcs: BTreeSet::new(),
            networks: BTreeMap::new(),
            security_groups: BTreeMap::new(),
            balancing: Balancing::default(),
            checked: BTreeSet::new(),
            placed: BTreeMap::new(),
            zones_of_green: BTreeMap::new(),
            zones_of_blue: BTreeSet::new(),
        }
    }

    /// What the survey could not read.
    fn note_gaps(&self, notes: &mut Notes) {
        for product in [Product::Alb, Product::Nlb, Product::Clb] {
            if let Some(fault) = self.survey.broken(product) {
                notes.note(fault);
            }
        }
        for fault in self.survey.all_servers().filter_map(|(_, answer)| answer.as_ref().err()) {
            notes.note(fault);
        }
        for group in self.server_groups() {
            if let Err(fault) = self.survey.routes_of(group) {
                notes.note(fault);
            }
            if let Some(Err(fault)) = self.survey.checks(&group.id) {
                notes.note(fault);
            }
        }
    }

    async fn read_rules(&mut self, client: &Client, notes: &mut Notes, ecs: Ecs<'_>) {
        let id = &ecs.own.application;
        let held = notes.heard(hold::noted(client, ecs, LetGo::All).await).unwrap_or_default();
        self.held = held.fleets(ecs);
        for group in self.deploy_groups.iter().filter(|group| ecs.own.pair.contains(&group.group_name)) {
            if let Some(rules) = notes.heard(edas::get_scaling_rules(client, id, &group.group_id).await) {
                self.scaling.insert(group.group_name.clone(), rules);
            }
        }
    }

    async fn read_settings(&mut self, client: &Client, notes: &mut Notes) {
        for product in [Product::Alb, Product::Nlb] {
            let all = notes.heard(pool::groups::<Value>(client, product).await).unwrap_or_default();
            let named = all.into_iter().filter_map(|group| {
                let id = group["ServerGroupId"].as_str()?.to_owned();
                Some((id, group))
            });
            self.settings.extend(named);
        }
    }

    /// Where green would come from.
    async fn read_hosts(&mut self, client: &Client, notes: &mut Notes, ecs: Ecs<'_>) {
        match &ecs.own.hosts {
            Hosts::Idle => {
                let green =
                    self.deploy_groups.iter().find(|group| Some(group.group_name.as_str()) == self.green());
                let Some(green) = green.or(self.deploy_groups.first()) else { return };
                let idle = edas::list_scale_out_ecu(client, &ecs.own.application, &green.group_id).await;
                self.idle = notes.heard(idle);
            }
            Hosts::Template { id, version } => match ecs::template(client, id, version.as_deref()).await {
                Ok(Some(template)) => self.template = Some(template),
                Ok(None) => notes.findings.push(absent(id, version.as_deref())),
                Err(fault) if matches!(fault.kind, FaultKind::Missing | FaultKind::Invalid) => {
                    notes.findings.push(absent(id, version.as_deref()));
                }
                Err(fault) => notes.note(&fault),
            },
        }
    }

    async fn read_network(&mut self, client: &Client, notes: &mut Notes) {
        let members = self.known().flat_map(|(_, now)| now.members.keys().map(ToString::to_string));
        let idle = self.idle.iter().flatten().map(|ecu| ecu.instance_id.clone());
        let all: Vec<String> = members.chain(idle).collect::<BTreeSet<_>>().into_iter().collect();
        for some in all.chunks(ecs::ASKED_MAX) {
            let found = notes.heard(ecs::instances(client, some).await).unwrap_or_default();
            self.networks.extend(found.iter().map(|own| (own.instance_id.clone(), own.security_groups())));
            self.vpcs.extend(found.iter().filter_map(|own| own.vpc().map(str::to_owned)));
            for (own, zone) in found.iter().filter_map(|own| Some((own, own.zone_id.clone()?))) {
                let idle = self.idle.iter().flatten().any(|ecu| ecu.instance_id == own.instance_id);
                if idle {
                    self.zones_of_green.entry(zone).or_default().insert(format!("`{}`", own.instance_id));
                } else {
                    self.zones_of_blue.insert(zone);
                }
            }
        }
        let of_template = self.template.iter().flat_map(|template| template.security_groups.iter());
        let ids: BTreeSet<String> = self.networks.values().flatten().chain(of_template).cloned().collect();
        for id in ids {
            if let Some(group) = notes.heard(ecs::security_group(client, &id).await) {
                self.security_groups.insert(id, group);
            }
        }
    }

    async fn read_balancing(&mut self, client: &Client, notes: &mut Notes) {
        let editions = notes.heard(alb::balancers(client).await).unwrap_or_default();
        self.balancing = Balancing {
            listeners: notes.heard(alb::listeners(client, &[]).await).unwrap_or_default(),
            rules: notes.heard(alb::rules(client, alb::Which::All).await).unwrap_or_default(),
            editions: editions
                .into_iter()
                .filter_map(|own| Some((own.load_balancer_id, own.load_balancer_edition?)))
                .collect(),
        };
    }

    /// Where green comes up that is bought, and where the balancers of our server groups are.
    async fn read_zones(&mut self, client: &Client, notes: &mut Notes, ecs: Ecs<'_>) {
        self.read_vswitch(client, notes, ecs).await;
        self.read_scaled_zones(client, notes).await;
        let families: BTreeSet<_> = self.server_groups().iter().map(|group| group.family.product()).collect();
        if families.contains(&Product::Alb) {
            let ids: BTreeSet<_> =
                self.balancing.listeners.iter().filter_map(|own| own.load_balancer_id.clone()).collect();
            for id in ids {
                let Some(zones) = notes.heard(alb::zones(client, &id).await) else { continue };
                let listeners =
                    self.balancing.listeners.iter().filter(|own| own.load_balancer_id.as_ref() == Some(&id));
                let listeners = listeners.map(|own| own.listener_id.clone()).collect();
                let zones = zones.into_iter().filter_map(|zone| zone.zone_id).collect();
                self.placed.insert(id, Placed { zones, crosses: true, listeners });
            }
        }
        if families.contains(&Product::Nlb) {
            let all = notes.heard(nlb::listeners(client).await).unwrap_or_default();
            for own in notes.heard(nlb::balancers(client).await).unwrap_or_default() {
                let id = own.load_balancer_id;
                let listeners = all.iter().filter(|listener| listener.load_balancer_id.as_ref() == Some(&id));
                let listeners = listeners.map(|listener| listener.listener_id.clone()).collect();
                let zones = own.zone_mappings.into_iter().filter_map(|zone| zone.zone_id).collect();
                self.placed
                    .insert(id, Placed { zones, crosses: own.cross_zone_enabled != Some(false), listeners });
            }
        }
        if families.contains(&Product::Clb) {
            for own in notes.heard(clb::balancers(client, None).await).unwrap_or_default() {
                let zones = [own.master_zone_id, own.slave_zone_id].into_iter().flatten();
                let zones = zones.filter(|zone| !zone.is_empty()).collect();
                let placed = Placed { zones, crosses: true, listeners: BTreeSet::new() };
                self.placed.insert(own.load_balancer_id, placed);
            }
        }
    }

    /// Where the launch template's instances come up.
    async fn read_vswitch(&mut self, client: &Client, notes: &mut Notes, ecs: Ecs<'_>) {
        let (Some(template), Hosts::Template { id, .. }) = (&self.template, &ecs.own.hosts) else { return };
        if let Some(own) = &template.vswitch {
            match notes.heard(ecs::vswitch(client, own).await) {
                Some(Some(found)) => self.vswitch = Some(found),
                Some(None) => notes.findings.push(gone(id, own)),
                None => {}
            }
        }
        let zone = template.zone.clone().or_else(|| self.vswitch.as_ref()?.zone_id.clone());
        if let Some(zone) = zone {
            self.zones_of_green.entry(zone).or_default().insert(format!("`{id}`"));
        }
    }

    /// Where Auto Scaling, and rules of EDAS that are on, bring up more of the instances that are there.
    async fn read_scaled_zones(&mut self, client: &Client, notes: &mut Notes) {
        let instances: Vec<String> = self.networks.keys().cloned().collect();
        let scaling = notes.heard(survey::scaling_groups(client, &instances).await).unwrap_or_default();
        let mut scalers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for group in scaling.values() {
            let who = format!("the scaling group `{}`", group.scaling_group_id);
            for vswitch in group.vswitches() {
                scalers.entry(vswitch.clone()).or_default().insert(who.clone());
            }
        }
        for (group, rules) in &self.scaling {
            let on = rules.iter().filter(|rule| rule.enable == Some(true));
            let vswitches = on.filter_map(|rule| rule.v_switch_ids.as_deref()).flat_map(|all| all.split(','));
            for vswitch in vswitches.map(str::trim).filter(|id| !id.is_empty()) {
                let who = format!("a scaling rule of `{group}`");
                scalers.entry(vswitch.to_owned()).or_default().insert(who);
            }
        }
        for (vswitch, who) in scalers {
            let found = notes.heard(ecs::vswitch(client, &vswitch).await).flatten();
            if let Some(zone) = found.and_then(|own| own.zone_id) {
                self.zones_of_green.entry(zone).or_default().extend(who);
            }
        }
    }

    /// Where listeners and rules of a CLB that lead to one of our groups look for the servers' health.
    async fn read_checked(&mut self, client: &Client, notes: &mut Notes) {
        let groups = self.server_groups();
        let balancers: BTreeSet<_> = groups.iter().filter_map(|group| group.balancer.clone()).collect();
        let balancers: Vec<_> = balancers.into_iter().collect();
        let mut all = Vec::new();
        for some in balancers.chunks(clb::BALANCERS_MAX) {
            all.extend(notes.heard(clb::listeners(client, some).await).unwrap_or_default());
        }
        let mut checked = BTreeSet::new();
        for group in groups {
            let leading = all.iter().filter(|own| group_of(own) == group.id);
            checked.extend(leading.filter_map(checked_by));
            for route in self.survey.routes_of(group).unwrap_or_default() {
                let Place::ClassicRule(id) = &route.place else { continue };
                let Some(rule) = notes.heard(clb::rule(client, id).await) else { continue };
                if rule.listener_sync.as_deref() == Some("off") {
                    checked.extend(rule.checked_port().map(|number| Port { number, udp: false }));
                    continue;
                }
                let own = all.iter().filter(|own| {
                    group.balancer.as_ref() == Some(&own.load_balancer_id)
                        && own.listener_port == rule.listener_port
                });
                checked.extend(own.filter_map(checked_by));
            }
        }
        self.checked = checked;
    }

    /// The fleets of which EDAS says who is in them.
    pub fn known(&self) -> impl Iterator<Item = (&FleetId, &FleetNow)> {
        self.survey.fleets.all.iter().filter_map(|(id, seen)| Some((id, Seen::known(seen)?)))
    }

    /// The fleets whose instances stand in some server group.
    pub fn serving(&self) -> BTreeSet<FleetId> {
        let answered = self.survey.all_servers().filter_map(|(_, answer)| answer.as_ref().ok()).flatten();
        answered.filter_map(|server| Some(self.survey.owners.of_server(server)?.0.clone())).collect()
    }

    /// The one of the pair that would be green.
    pub fn green(&self) -> Option<&str> {
        let serving = self.serving();
        let mut rests =
            self.home.spec.pair().iter().filter(|name| !serving.iter().any(|own| own.as_str() == *name));
        rests.next().map(String::as_str)
    }

    /// How many instances green would have.
    pub fn size(&self) -> usize {
        let blue = self
            .known()
            .filter(|(id, _)| self.serving().contains(*id))
            .map(|(_, now)| now.members.len())
            .max();
        self.spec.instances.and_then(|size| usize::try_from(size).ok()).or(blue).unwrap_or(0)
    }

    /// The server groups that matter: declared, or with one of our instances in it.
    pub fn server_groups(&self) -> Vec<&ServerGroup> {
        let standing = self.survey.standing();
        let declared = self.home.spec.groups.values().flat_map(|group| group.servers.ids());
        let ids: BTreeSet<&String> = standing.iter().chain(declared).collect();
        ids.into_iter().filter_map(|id| self.survey.group(id)).collect()
    }

    /// How people call a server group.
    pub fn title(&self, id: &str) -> String {
        match self.settings.get(id).and_then(|own| own["ServerGroupName"].as_str()) {
            Some(name) if !name.is_empty() => format!("`{name}` ({id})"),
            _ => format!("`{id}`"),
        }
    }
}

/// The group that a listener of a CLB leads to: one that names none leads to its balancer's default one.
fn group_of(listener: &clb::Listener) -> String {
    let pairs = [&listener.tcp, &listener.udp].into_iter().flatten();
    let pairs = pairs.map(|own| &own.master_slave_server_group_id);
    let mut named = std::iter::once(&listener.group).chain(pairs).flatten().filter(|id| !id.is_empty());
    named.next().cloned().unwrap_or_else(|| classic::default_of(&listener.load_balancer_id))
}

/// The port that a listener of a CLB checks in place of the servers' own.
fn checked_by(listener: &clb::Listener) -> Option<Port> {
    let udp = listener.udp.is_some();
    let mut settings = [&listener.tcp, &listener.udp, &listener.http, &listener.https].into_iter().flatten();
    let number = settings.find_map(clb::Settings::checked_port)?;
    Some(Port { number, udp })
}

fn absent(id: &str, version: Option<&str>) -> Finding {
    let which = version.map_or_else(String::new, |version| format!("version {version} of "));
    Finding::fail("launch template", format!("there is no {which}launch template `{id}` in this region"))
        .why("green's instances cannot be bought")
        .mend("correct `template` and `template_version` under `hosts`")
}

fn gone(id: &str, vswitch: &str) -> Finding {
    let what = format!("`{id}` names the vSwitch `{vswitch}`, which is not in this region");
    Finding::fail("launch template", what)
        .why("green's instances cannot be bought")
        .mend("name a vSwitch of the cluster's VPC in a new version")
}
