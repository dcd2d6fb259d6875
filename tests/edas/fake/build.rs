//! What a test builds its world with, and does to it by hand.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, json};

use super::clb::default_group;
use super::clb::pairs::PAIR;
use super::edas::scale::arrive;
use super::groups::Asked;
use super::orders::{Failure, Kind, Pace, Work};
use super::world::{
    App, Attached, Balancer, Binding, DEFAULT_GROUP, DeployGroup, Ecc, Ecu, Family, Group, Host, Listener,
    Package, Permission, Rule, ScalingGroup, Server, State, Template, Verdict, World,
};

/// How a group of servers is made.
#[derive(Debug, Clone)]
pub struct GroupOptions {
    /// `Instance` or `Ip`.
    pub kind: &'static str,
    pub protocol: &'static str,
    /// The drain of its connections in seconds, where it is on.
    pub drain: Option<u64>,
    pub checked: bool,
    /// How it chooses among its servers.
    pub scheduler: &'static str,
}

impl Default for GroupOptions {
    fn default() -> Self {
        Self { kind: "Instance", protocol: "HTTP", drain: Some(300), checked: true, scheduler: "Wrr" }
    }
}

impl World {
    /// An ECS instance that was bought just now.
    pub fn launch(&mut self, template: Option<(String, String)>, release: bool) -> String {
        let n = self.fresh();
        let id = format!("i-fa4e{n:016x}");
        let ip = format!("10.0.{}.{}", n / 250, n % 250 + 1);
        let security_groups = self.security_groups.keys().take(1).cloned().collect();
        let (launched, zone) =
            (self.now, if template.is_some() { self.vswitch_zone } else { self.zones()[0] });
        let host = Host {
            id: id.clone(),
            ip,
            interfaces: Vec::new(),
            state: "Pending",
            launched,
            security_groups,
            zone,
            template,
            release,
        };
        self.hosts.insert(id.clone(), host);
        id
    }

    /// An ECS instance that has long been there, outside EDAS.
    pub fn host(&mut self) -> String {
        let id = self.launch(None, false);
        if let Some(host) = self.hosts.get_mut(&id) {
            host.state = "Running";
        }
        id
    }

    /// Makes a host known to the cluster: the identity of its ECU.
    pub fn import(&mut self, host: &str) -> String {
        let id = self.uuid();
        self.ecus.push(Ecu { id: id.clone(), host: host.to_owned(), online: true });
        id
    }

    /// Hosts of the cluster that run nothing: their ECUs.
    pub fn idle(&mut self, number: usize) -> Vec<String> {
        (0..number)
            .map(|_| {
                let host = self.host();
                self.import(&host)
            })
            .collect()
    }

    /// An application of the ECS cluster, with its default group and nobody in it: its identity.
    pub fn application(&mut self, name: &str, port: u16) -> String {
        let id = self.uuid();
        let (name, groups, packages) = (name.to_owned(), Vec::new(), Vec::new());
        let (bindings, tags) = ([None, None], BTreeMap::new());
        let app = App { id: id.clone(), name, cluster_type: 2, port, groups, packages, bindings, tags };
        self.apps.push(app);
        self.deploy_group(&id, DEFAULT_GROUP);
        id
    }

    /// A deploy group with nobody in it: its identity.
    pub fn deploy_group(&mut self, app: &str, name: &str) -> String {
        let id = self.uuid();
        let (bound, created) = ([None, None], self.now);
        let rules = BTreeMap::from(
            ["SCALE_IN", "SCALE_OUT"]
                .map(|mode| (mode, Map::from_iter([("Enable".to_owned(), json!(false))]))),
        );
        let group =
            DeployGroup { id: id.clone(), name: name.to_owned(), package: None, bound, rules, created };
        if let Some(app) = self.app_mut(app) {
            app.groups.push(group);
        }
        id
    }

    /// Puts instances into a deploy group that run a version already: their hosts.
    pub fn deployed(&mut self, app: &str, group: &str, version: &str, number: usize) -> Vec<String> {
        let package = self.package(app, version);
        let Some(group) = self.app(app).and_then(|app| app.group_named(group)).map(|group| group.id.clone())
        else {
            return Vec::new();
        };
        let mut hosts = Vec::new();
        for _ in 0..number {
            let host = self.host();
            let (ecu, id) = (self.import(&host), self.uuid());
            let (app, package) = (app.to_owned(), Some(package.clone()));
            let ecc =
                Ecc { id, ecu, app, group: group.clone(), runs: true, task: 2, package, since: self.now };
            self.eccs.push(ecc);
            hosts.push(host);
        }
        let groups = self.app_mut(app).map(|app| app.groups.iter_mut()).into_iter().flatten();
        for own in groups.filter(|own| own.id == group) {
            own.package = Some(package.clone());
        }
        hosts
    }

    /// A version that was deployed once: its identity.
    fn package(&mut self, app: &str, version: &str) -> String {
        let known =
            self.app(app).and_then(|app| app.packages.iter().find(|package| package.version == version));
        if let Some(package) = known {
            return package.id.clone();
        }
        let (id, at) = (self.uuid(), self.now);
        let url = format!("https://bucket.oss-cn-hongkong.aliyuncs.com/api-{version}.jar");
        let package = Package { id: id.clone(), version: version.to_owned(), url, at };
        if let Some(app) = self.app_mut(app) {
            app.packages.push(package);
        }
        id
    }

    /// Who may come in: from where, and from which to which port.
    pub fn security_group(&mut self, id: &str, ingress: &[(&str, u16, u16)]) {
        self.security_groups.insert(id.to_owned(), Vec::new());
        for (source, low, high) in ingress {
            self.permission(id, ("Accept", 1), source, (*low, *high));
        }
    }

    /// One more rule of a security group, with its number.
    pub fn permission(
        &mut self,
        group: &str,
        (policy, priority): (&'static str, u64),
        source: &str,
        ports: (u16, u16),
    ) {
        let permission = Permission { protocol: "TCP", source: source.to_owned(), ports, policy, priority };
        self.security_groups.entry(group.to_owned()).or_default().push(permission);
    }

    /// One more rule of a security group: datagrams may come in.
    pub fn datagrams(&mut self, group: &str, source: &str, ports: (u16, u16)) {
        self.permission(group, ("Accept", 1), source, ports);
        if let Some(last) = self.security_groups.get_mut(group).and_then(|all| all.last_mut()) {
            last.protocol = "UDP";
        }
    }

    /// A launch template: for each version whether it names a vSwitch of the cluster's VPC. The first is the default.
    pub fn launch_template(&mut self, id: &str, versions: &[bool]) {
        let (versions, vswitch) = (versions.to_vec(), super::ecs::VSWITCH);
        let template = Template { id: id.to_owned(), default: 1, versions, vswitch };
        self.templates.insert(id.to_owned(), template);
    }

    fn load_balancer(&mut self, name: &str, family: Family, prefix: &str) -> String {
        let n = self.fresh();
        let id = format!("{prefix}-fa4e{n:012x}");
        let address = match family {
            Family::Alb | Family::Nlb => format!("{id}.{}.example.com", self.settings.region),
            Family::Clb => format!("192.168.0.{}", n % 250 + 1),
        };
        let (name, scheme) = (name.to_owned(), "Intranet");
        let (zones, cross_zone) = (self.zones().to_vec(), true);
        self.balancers.push(Balancer {
            id: id.clone(),
            name,
            family,
            address,
            scheme,
            zones,
            cross_zone,
            busy_until: 0,
        });
        id
    }

    pub fn alb(&mut self, name: &str) -> String {
        self.load_balancer(name, Family::Alb, "alb")
    }

    pub fn nlb(&mut self, name: &str) -> String {
        self.load_balancer(name, Family::Nlb, "nlb")
    }

    /// With its default server group, `<id>/default`.
    pub fn clb(&mut self, name: &str) -> String {
        let id = self.load_balancer(name, Family::Clb, "lb");
        let options = GroupOptions { drain: None, ..GroupOptions::default() };
        self.any_group(default_group(&id), (&default_group(&id), Family::Clb), Some(&id), &options);
        id
    }

    fn any_group(
        &mut self,
        id: String,
        of: (&str, Family),
        balancer: Option<&str>,
        options: &GroupOptions,
    ) -> String {
        let group = Group {
            id: id.clone(),
            name: of.0.to_owned(),
            family: of.1,
            balancer: balancer.map(str::to_owned),
            kind: options.kind.to_owned(),
            protocol: options.protocol.to_owned(),
            drain: options.drain,
            checked: options.checked,
            scheduler: options.scheduler,
            cross_zone: true,
            servers: Vec::new(),
            busy_until: 0,
            created: self.now,
            tags: BTreeMap::new(),
        };
        self.groups.insert(id.clone(), group);
        id
    }

    /// A server group of ALBs.
    pub fn alb_group(&mut self, name: &str, options: &GroupOptions) -> String {
        let id = format!("sgp-fa4e{:012x}", self.fresh());
        self.any_group(id, (name, Family::Alb), None, options)
    }

    /// A server group of NLBs.
    pub fn nlb_group(&mut self, name: &str, options: &GroupOptions) -> String {
        let id = format!("sgp-fa4e{:012x}", self.fresh());
        self.any_group(id, (name, Family::Nlb), None, options)
    }

    /// A vServer group of a CLB.
    pub fn vserver_group(&mut self, clb: &str, name: &str) -> String {
        let id = format!("rsp-fa4e{:08x}", self.fresh());
        let options = GroupOptions { drain: None, ..GroupOptions::default() };
        self.any_group(id, (name, Family::Clb), Some(clb), &options)
    }

    /// A group of a master and a slave of a CLB.
    pub fn master_slave_group(&mut self, clb: &str, name: &str) -> String {
        let id = format!("rsp-fa4e{:08x}", self.fresh());
        let options = GroupOptions { drain: None, kind: PAIR, ..GroupOptions::default() };
        self.any_group(id, (name, Family::Clb), Some(clb), &options)
    }

    /// A listener of an ALB or NLB, whose default action sends everything to one group.
    pub fn listener(&mut self, balancer: &str, port: u16, group: &str) -> String {
        let id = format!("lsn-fa4e{:012x}", self.fresh());
        let alb = self.balancer(balancer).is_some_and(|balancer| balancer.family == Family::Alb);
        self.listeners.push(Listener {
            id: id.clone(),
            balancer: balancer.to_owned(),
            port,
            protocol: if alb { "HTTP" } else { "TCP" }.to_owned(),
            shares: vec![(group.to_owned(), 100)],
            wanted: None,
            settings: Map::new(),
        });
        id
    }

    /// A listener of a CLB, `tcp`, `udp`, `http` or `https`; without a group its default server group serves.
    pub fn clb_listener(&mut self, clb: &str, protocol: &str, port: u16, group: Option<&str>) -> String {
        let id = format!("{clb}:{protocol}:{port}");
        let group = group.map_or_else(|| default_group(clb), str::to_owned);
        self.listeners.push(Listener {
            id: id.clone(),
            balancer: clb.to_owned(),
            port,
            protocol: protocol.to_owned(),
            shares: vec![(group, 100)],
            wanted: None,
            settings: Map::new(),
        });
        id
    }

    /// A listener of a CLB keeps connections to a server that goes; it takes no time here.
    pub fn clb_drains(&mut self, listener: &str) {
        for own in self.listeners.iter_mut().filter(|own| own.id == listener) {
            own.settings.insert("ConnectionDrain".to_owned(), json!("on"));
            own.settings.insert("ConnectionDrainTimeout".to_owned(), json!(0));
        }
    }

    /// A rule of an ALB's listener, for a path: groups with their weights.
    pub fn rule(&mut self, listener: &str, priority: u64, shares: &[(&str, u64)]) -> String {
        let id = format!("rule-fa4e{:012x}", self.fresh());
        let tuples: Vec<_> = shares
            .iter()
            .map(|(id, weight)| json!({ "ServerGroupId": id, "Weight": weight.to_string() }))
            .collect();
        let action = json!({ "Order": "1", "Type": "ForwardGroup", "ForwardGroupConfig": { "ServerGroupTuples": tuples } });
        let condition = json!({ "Type": "Path", "PathConfig": { "Values": ["/*"] } });
        self.rules.push(Rule {
            id: id.clone(),
            listener: listener.to_owned(),
            priority,
            name: format!("rule-{priority}"),
            conditions: vec![condition],
            actions: vec![action],
            shares: shares.iter().map(|(id, weight)| ((*id).to_owned(), *weight)).collect(),
            wanted: None,
            deleting: None,
        });
        id
    }

    /// Puts a server into any group, as if it had stood there for long.
    pub fn stand(&mut self, group: &str, host: &str, port: u16, weight: u64) {
        let Some(found) = self.groups.get_mut(group) else { return };
        let kind = super::ess::kind(found.family);
        found.servers.push(Server {
            id: host.to_owned(),
            port,
            weight,
            kind,
            description: String::new(),
            state: State::Available,
            until: 0,
            verdict: Verdict::Healthy,
            turning: None,
        });
    }

    /// Adds a server to a group as somebody does it in the console.
    pub fn add(&mut self, group: &str, host: &str, port: u16) {
        let Some(family) = self.groups.get(group).map(|group| group.family) else { return };
        let (kind, until) = (super::ess::kind(family), self.now + self.settings.job);
        self.put(
            group,
            Asked { id: host.to_owned(), port, weight: 100, kind, description: String::new() },
            until,
        );
    }

    /// Removes a server from a group, at any port, as somebody does it in the console.
    pub fn remove(&mut self, group: &str, host: &str) {
        let servers = self.groups.get(group).map(|group| group.servers.clone()).unwrap_or_default();
        for server in servers.iter().filter(|server| server.id == host) {
            self.take(group, host, server.port, self.now);
        }
    }

    /// A scaling group of ESS with instances in service.
    pub fn scaling_group(&mut self, name: &str, hosts: &[String]) -> String {
        let id = format!("asg-fa4e{:08x}", self.fresh());
        let instances = hosts.iter().map(|host| (host.clone(), ("InService".to_owned(), false))).collect();
        self.scaling_groups.push(ScalingGroup {
            id: id.clone(),
            name: name.to_owned(),
            instances,
            suspended: BTreeSet::new(),
            attached: Vec::new(),
            tags: BTreeMap::new(),
            activities: Vec::new(),
            vswitches: vec![format!("vsw-of-{}", self.zones()[0])],
        });
        id
    }

    /// EDAS keeps a whole application in step with a vServer group.
    pub fn bind(&mut self, app: &str, balancer: &str, group: &str) {
        let (balancer, group) = (balancer.to_owned(), group.to_owned());
        if let Some(app) = self.app_mut(app) {
            app.bindings[0] = Some(Binding { balancer, group, port: None });
        }
    }

    /// Declares a group of servers on a scaling group.
    pub fn attach(&mut self, scaling_group: &str, group: &str, port: u16) {
        let Some(family) = self.groups.get(group).map(|group| group.family) else { return };
        let attached =
            Attached { group: group.to_owned(), family, old: family != Family::Nlb, port, weight: 100 };
        for own in self.scaling_groups.iter_mut().filter(|own| own.id == scaling_group) {
            own.attached.push(attached.clone());
        }
    }

    /// Scaling rules of a deploy group are on, with these numbers.
    pub fn scaling_rules(&mut self, app: &str, group: &str, inwards: bool, outwards: bool) {
        let groups = self.app_mut(app).map(|app| app.groups.iter_mut()).into_iter().flatten();
        for own in groups.filter(|own| own.name == group) {
            for (mode, on) in [("SCALE_IN", inwards), ("SCALE_OUT", outwards)] {
                let rule = json!({
                    "Enable": on, "Cpu": 70, "LoadNum": 5, "Rt": 1000, "Duration": 3, "Step": 1, "InstNum": 2, "Cond": "OR",
                });
                own.rules.insert(mode, rule.as_object().cloned().unwrap_or_default());
            }
        }
    }

    /// The scaling rule of a deploy group finds it busy: one more instance, unless the rule is off or a change is under
    /// way. Says whether it came.
    pub fn rule_scales_out(&mut self, app: &str, group: &str) -> bool {
        let found = self.app(app).and_then(|app| app.group_named(group));
        let on = found.and_then(|group| group.rules.get("SCALE_OUT")?.get("Enable")) == Some(&json!(true));
        let Some(group) = found.map(|group| group.id.clone()).filter(|_| on && self.busy_with(app).is_none())
        else {
            return false;
        };
        let host = self.launch(Some(("lt-scaling".to_owned(), "1".to_owned())), true);
        let ecu = self.import(&host);
        let eccs = vec![arrive(self, app, &group, &ecu)];
        self.order(Kind::ScaleOut, (app, &group), Work::Arrive, &[eccs], Pace::default());
        true
    }

    /// A scaling group finds itself busy: one more instance, which stands wherever the group is attached, unless scaling
    /// out is suspended.
    pub fn ess_scales_out(&mut self, scaling_group: &str) -> Option<String> {
        let own = self.scaling_groups.iter().find(|group| group.id == scaling_group)?;
        if own.suspended.contains("ScaleOut") {
            return None;
        }
        let (attached, host) = (own.attached.clone(), self.host());
        for own in self.scaling_groups.iter_mut().filter(|group| group.id == scaling_group) {
            own.instances.insert(host.clone(), ("InService".to_owned(), false));
        }
        let until = self.now + self.settings.job;
        for one in attached {
            let (kind, description) = (super::ess::kind(one.family), String::new());
            let asked = Asked { id: host.clone(), port: one.port, weight: one.weight, kind, description };
            self.put(&one.group, asked, until);
        }
        Some(host)
    }

    /// Its checks fail in a group, or in all (`*`): a version, or an instance.
    pub fn sicken(&mut self, group: &str, what: &str) {
        self.sick.insert((group.to_owned(), what.to_owned()));
    }

    /// Its checks pass again.
    pub fn recover(&mut self, group: &str, what: &str) {
        self.sick.remove(&(group.to_owned(), what.to_owned()));
    }

    /// An instance stops, or is gone (`released`).
    pub fn kill(&mut self, host: &str, state: &'static str) {
        if state == "released" {
            self.hosts.remove(host);
            let ecus: Vec<String> =
                self.ecus.iter().filter(|ecu| ecu.host == host).map(|ecu| ecu.id.clone()).collect();
            self.eccs.retain(|ecc| !ecus.contains(&ecc.ecu));
            self.ecus.retain(|ecu| ecu.host != host);
        } else if let Some(host) = self.hosts.get_mut(host) {
            host.state = state;
        }
    }

    /// An instance is gone right behind the next answer of an operation: who asks somebody else about it then asks too late.
    pub fn release_behind(&mut self, action: &str, host: &str) {
        self.leavers.push((action.to_owned(), host.to_owned()));
    }

    /// The agent of a host answers, or does not.
    pub fn agent(&mut self, host: &str, online: bool) {
        for ecu in self.ecus.iter_mut().filter(|ecu| ecu.host == host) {
            ecu.online = online;
        }
    }

    /// The next change order of a kind ends so.
    pub fn fail_order(&mut self, kind: Kind, failure: Failure) {
        self.failures.push((kind, failure));
    }

    /// EDAS refuses the next call of an operation, inside an answer that looks like a success.
    pub fn refuse(&mut self, action: &str, code: u64, message: &str) {
        self.refusals.push((action.to_owned(), code, message.to_owned()));
    }

    /// The next job of an operation of ALB or NLB fails.
    pub fn fail_job(&mut self, action: &str, code: &str) {
        self.failing_jobs.push((action.to_owned(), code.to_owned()));
    }

    /// The groups that a rule or listener sends traffic to, by name, with their weights.
    pub fn weights(&self, route: &str) -> BTreeMap<String, u64> {
        let rules = self.rules.iter().filter(|rule| rule.id == route).map(|rule| &rule.shares);
        let listeners = self.listeners.iter().filter(|one| one.id == route).map(|one| &one.shares);
        let shares = rules.chain(listeners).flatten();
        shares.filter_map(|(id, weight)| Some((self.groups.get(id)?.name.clone(), *weight))).collect()
    }

    /// The servers of a group with their ports: how each does.
    pub fn server_states(&self, group: &str) -> BTreeMap<(String, u16), String> {
        let word = |server: &Server| match (server.state, server.verdict) {
            (State::Removing, _) => "removing",
            (State::Adding, _) => "adding",
            (_, Verdict::Healthy) => "healthy",
            (_, Verdict::Unhealthy) => "unhealthy",
            (_, Verdict::Initial) => "initial",
            (_, Verdict::Unused) => "unused",
            (_, Verdict::Unavailable) => "unavailable",
        };
        let servers = self.groups.get(group).map(|group| group.servers.iter()).into_iter().flatten();
        servers.map(|server| ((server.id.clone(), server.port), word(server).to_owned())).collect()
    }

    /// The hosts of a deploy group whose instances run: those with a version, or all.
    pub fn running(&self, app: &str, group: &str, version: Option<&str>) -> Vec<String> {
        let Some(app) = self.app(app) else { return Vec::new() };
        let Some(group) = app.group_named(group) else { return Vec::new() };
        let fits = |ecc: &&Ecc| {
            let package = ecc.package.as_ref().and_then(|package| app.package(package));
            let same =
                version.is_none_or(|version| package.is_some_and(|package| package.version == version));
            ecc.group == group.id && ecc.runs && same
        };
        let hosts = self.eccs.iter().filter(fits).filter_map(|ecc| self.host_of(ecc));
        hosts.filter(|host| host.state == "Running").map(|host| host.id.clone()).collect()
    }
}
