//! How a test builds the world and does to it what others would do.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::elb::describe_group;
use super::service::ApiError;
use super::world::{
    ACCOUNT, Attachment, Balancer, DeploymentGroup, Fleet, Listener, REGION, Rule, SecurityGroup, Template,
    TemplateVersion, Via, World,
};

/// What a test says of a target group.
#[derive(Debug, Clone)]
pub struct TargetGroupSettings {
    pub port: u16,
    pub protocol: &'static str,
    pub deregistration_delay_secs: u32,
}

impl Default for TargetGroupSettings {
    fn default() -> Self {
        Self { port: 80, protocol: "HTTP", deregistration_delay_secs: 30 }
    }
}

/// What a test says of a `CodeDeploy` deployment group.
#[derive(Debug, Clone)]
pub struct CodeDeployOptions {
    pub blue_green: bool,
    /// Minutes until a deployment that is ready stops by itself; `None` continues at once.
    pub ready_wait_mins: Option<u64>,
    /// Minutes until blue is terminated; `None` keeps it.
    pub termination_wait_mins: Option<u64>,
    pub rollback: bool,
}

impl Default for CodeDeployOptions {
    fn default() -> Self {
        Self { blue_green: true, ready_wait_mins: Some(60), termination_wait_mins: Some(60), rollback: false }
    }
}

impl World {
    /// Two subnets in two zones, and a security group that lets everybody in.
    pub fn network(&mut self) {
        self.subnets.insert("subnet-0fa4e00000000000a".to_owned(), format!("{REGION}a"));
        self.subnets.insert("subnet-0fa4e00000000000b".to_owned(), format!("{REGION}b"));
        self.security_group("default", &[("0.0.0.0/0", 0, u16::MAX)]);
    }

    /// A security group that lets in whom it names, from one port to another.
    pub fn security_group(&mut self, name: &str, ingress: &[(&str, u16, u16)]) -> String {
        let id = format!("sg-0{:016x}", self.fresh());
        let ingress = ingress.iter().map(|(source, low, high)| ((*source).to_owned(), *low, *high)).collect();
        self.security_groups
            .insert(id.clone(), SecurityGroup { id: id.clone(), name: name.to_owned(), ingress });
        id
    }

    /// A launch template whose versions have these images. Its identity is returned.
    pub fn launch_template(&mut self, name: &str, images: &[&str]) -> String {
        let id = format!("lt-0{:016x}", self.fresh());
        let group = self.security_groups.keys().next().cloned().unwrap_or_default();
        let version = |image: &&str| TemplateVersion {
            data: json!({ "ImageId": image, "InstanceType": "t3.micro", "SecurityGroupId": [group.as_str()] }),
            description: None,
            client_token: None,
        };
        let template = Template {
            id: id.clone(),
            name: name.to_owned(),
            default: 1,
            versions: images.iter().map(version).collect(),
            tags: BTreeMap::new(),
        };
        self.templates.insert(id.clone(), template);
        id
    }

    /// A fleet that already runs, in the groups, with tags.
    pub fn asg(
        &mut self,
        name: &str,
        template: (&str, u64),
        size: u64,
        groups: &[&str],
        tags: &[(&str, &str)],
    ) {
        let n = self.fresh();
        let (template, version) = template;
        let subnets: Vec<&str> = self.subnets.keys().map(String::as_str).collect();
        let settings = json!({
            "LaunchTemplate": { "LaunchTemplateName": template, "Version": version.to_string() },
            "VPCZoneIdentifier": subnets.join(","),
            "HealthCheckType": "ELB", "HealthCheckGracePeriod": "300",
        });
        let attachment = |id: &&str| Attachment {
            id: (*id).to_owned(),
            kind: "elbv2".to_owned(),
            via: Via::TargetGroups,
            state: "InService",
            since: self.now,
        };
        let fleet = Fleet {
            arn: format!(
                "arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:{n:08x}:autoScalingGroupName/{name}"
            ),
            created: self.now,
            min: size.min(1),
            max: (size * 2).max(4),
            desired: size,
            settings: settings.as_object().cloned().unwrap_or_default(),
            attachments: groups.iter().map(attachment).collect(),
            tags: tags.iter().map(|(key, value)| ((*key).to_owned(), ((*value).to_owned(), true))).collect(),
            ..Fleet::named(name)
        };
        self.fleets.insert(name.to_owned(), fleet);
        self.settle_fleets();
        self.run_now(name);
    }

    /// Whoever was launched runs and is healthy already.
    fn run_now(&mut self, name: &str) {
        let launch = self.settings.launch;
        let ids: Vec<String> = self.members(name).map(|(instance, _)| instance.id.clone()).collect();
        for instance in self.instances.values_mut().filter(|instance| ids.contains(&instance.id)) {
            instance.launched = instance.launched.saturating_sub(launch);
            instance.state = "running";
        }
        self.settle_fleets();
        self.settle_fleets();
        self.settle_targets();
        for target in self.groups.values_mut().flat_map(|group| &mut group.targets) {
            if ids.contains(&target.id) && target.verdict == super::world::Verdict::Initial {
                target.verdict = super::world::Verdict::Healthy;
            }
        }
    }

    /// An Application Load Balancer. Its ARN is returned.
    pub fn alb(&mut self, name: &str) -> String {
        let group = self.security_groups.keys().next().cloned();
        self.balancer(name, "application", "app", group.into_iter().collect())
    }

    /// A Network Load Balancer. Its ARN is returned.
    pub fn nlb(&mut self, name: &str) -> String {
        self.balancer(name, "network", "net", Vec::new())
    }

    fn balancer(
        &mut self,
        name: &str,
        kind: &'static str,
        short: &str,
        security_groups: Vec<String>,
    ) -> String {
        let n = self.fresh();
        let arn =
            format!("arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/{short}/{name}/{n:016x}");
        self.balancers.push(Balancer {
            arn: arn.clone(),
            name: name.to_owned(),
            kind,
            scheme: "internet-facing",
            security_groups,
            tags: BTreeMap::new(),
        });
        arn
    }

    /// A listener that forwards with these weights. Its ARN is returned.
    pub fn listener(
        &mut self,
        balancer: &str,
        port: u16,
        forward: &[(&str, u64)],
    ) -> Result<String, ApiError> {
        let n = self.fresh();
        let protocol = if balancer.contains("/net/") { "TCP" } else { "HTTP" };
        let mut listener = Listener {
            arn: format!("{}/{n:016x}", balancer.replace(":loadbalancer/", ":listener/")),
            balancer: balancer.to_owned(),
            port,
            protocol: protocol.to_owned(),
            actions: Vec::new(),
            settings: Map::new(),
            tags: BTreeMap::new(),
        };
        listener.actions = self.actions(&[forward_action(forward)], &listener)?;
        let arn = listener.arn.clone();
        self.listeners.push(listener);
        Ok(arn)
    }

    /// A rule of a listener that forwards with these weights. Its ARN is returned.
    pub fn rule(
        &mut self,
        listener: &str,
        priority: u32,
        path: &str,
        forward: &[(&str, u64)],
    ) -> Result<String, ApiError> {
        let n = self.fresh();
        let owner = self.listeners.iter().find(|one| one.arn == listener).cloned();
        let owner = owner.ok_or_else(|| ApiError::new("ListenerNotFound", "no such listener"))?;
        let arn = format!("{}/{n:016x}", listener.replace(":listener/", ":listener-rule/"));
        let conditions = vec![
            json!({ "Field": "path-pattern", "Values": [path], "PathPatternConfig": { "Values": [path] } }),
        ];
        let actions = self.actions(&[forward_action(forward)], &owner)?;
        let listener = listener.to_owned();
        self.rules.push(Rule {
            arn: arn.clone(),
            listener,
            priority,
            conditions,
            actions,
            tags: BTreeMap::new(),
        });
        Ok(arn)
    }

    /// A target group. Its ARN is returned.
    pub fn target_group(&mut self, name: &str, settings: &TargetGroupSettings) -> String {
        let given = json!({ "Protocol": settings.protocol });
        let given = given.as_object().cloned().unwrap_or_default();
        let arn = self.add_group(name, settings.port, given, BTreeMap::new());
        if let Some(group) = self.groups.get_mut(&arn) {
            let delay = settings.deregistration_delay_secs.to_string();
            group.attributes.insert("deregistration_delay.timeout_seconds".to_owned(), delay);
        }
        arn
    }

    /// Registers an instance as somebody would by hand: on no fleet's list.
    pub fn register_by_hand(&mut self, group: &str, instance: &str, port: Option<u16>) {
        self.register(group, instance, port);
    }

    /// Somebody attaches a fleet to a target group.
    pub fn attach(&mut self, fleet: &str, group: &str) {
        self.attach_as(fleet, group, "elbv2", Via::TargetGroups);
        for id in self.in_service(fleet) {
            self.register(group, &id, None);
        }
    }

    /// Somebody attaches another source of traffic to a fleet.
    pub fn attach_source(&mut self, fleet: &str, id: &str, kind: &str) {
        self.attach_as(fleet, id, kind, Via::TrafficSources);
    }

    fn attach_as(&mut self, fleet: &str, id: &str, kind: &str, via: Via) {
        let since = self.now;
        if let Some(fleet) = self.fleets.get_mut(fleet) {
            let (id, kind) = (id.to_owned(), kind.to_owned());
            fleet.attachments.push(Attachment { id, kind, via, state: "InService", since });
        }
    }

    /// A target group whose targets are addresses.
    pub fn by_address(&mut self, group: &str) {
        if let Some(group) = self.groups.get_mut(group) {
            group.settings.insert("TargetType".to_owned(), json!("ip"));
        }
    }

    /// The private address of an instance.
    pub fn address_of(&self, instance: &str) -> String {
        self.instances.get(instance).map(super::world::Instance::address).unwrap_or_default()
    }

    /// Terminates or stops an instance outside of its fleet.
    pub fn kill(&mut self, instance: &str, state: &'static str) {
        let now = self.now;
        if let Some(instance) = self.instances.get_mut(instance) {
            (instance.state, instance.ended) = (state, now);
        }
    }

    /// What runs under this name (an image, `template:version`, a version, a deployed revision or an instance) fails
    /// its checks in the group, or in every group for `*`.
    pub fn sicken(&mut self, group: &str, what: &str) {
        self.sick.insert((group.to_owned(), what.to_owned()));
    }

    /// It passes again.
    pub fn recover(&mut self, group: &str, what: &str) {
        self.sick.remove(&(group.to_owned(), what.to_owned()));
    }

    /// A lifecycle event of a deployment fails for this revision.
    pub fn break_event(&mut self, event: &str, revision: &str) {
        self.broken.insert((event.to_owned(), revision.to_owned()));
    }

    /// Scaling from outside: an alarm, a schedule or a rebalance, unless its process is suspended. Says whether it did.
    pub fn scale_outside(&mut self, fleet: &str, process: &str, desired: u64) -> bool {
        let Some(fleet) = self.fleets.get_mut(fleet).filter(|fleet| fleet.runs(process)) else {
            return false;
        };
        fleet.desired = desired.clamp(fleet.min, fleet.max);
        true
    }

    /// The identities of a fleet's instances that are in service.
    pub fn in_service(&self, fleet: &str) -> Vec<String> {
        let serving = self.members(fleet).filter(|(_, member)| member.lifecycle == "InService");
        serving.map(|(instance, _)| instance.id.clone()).collect()
    }

    /// The targets of a group and their states, by instance and port.
    pub fn target_states(&self, group: &str) -> BTreeMap<(String, u16), String> {
        let targets = self.groups.get(group).map(|group| group.targets.as_slice()).unwrap_or_default();
        let state = |value: Value| value.get("State").and_then(Value::as_str).unwrap_or_default().to_owned();
        targets.iter().map(|one| ((one.id.clone(), one.port), state(Self::health_of(one)))).collect()
    }

    /// The weights of a listener or rule, by target group name.
    pub fn weights(&self, route: &str) -> BTreeMap<String, u64> {
        let actions =
            self.routes().find(|(arn, _)| *arn == route).map(|(_, actions)| actions).unwrap_or_default();
        let name =
            |arn: &str| self.groups.get(arn).map_or_else(|| arn.to_owned(), |group| group.name.clone());
        super::health::forwards(actions).into_iter().map(|(arn, weight)| (name(&arn), weight)).collect()
    }

    /// A group, as the API describes it.
    pub fn described(&self, group: &str) -> Option<Value> {
        self.groups.get(group).map(|group| describe_group(self, group))
    }

    /// A `CodeDeploy` application with a deployment group over a fleet, whose target groups are named.
    pub fn codedeploy_group(
        &mut self,
        application: &str,
        name: &str,
        fleet: &str,
        groups: &[&str],
        options: &CodeDeployOptions,
    ) {
        self.applications.insert(application.to_owned());
        let kind = if options.blue_green { "BLUE_GREEN" } else { "IN_PLACE" };
        let moves = options.blue_green || !groups.is_empty();
        let option = if moves { "WITH_TRAFFIC_CONTROL" } else { "WITHOUT_TRAFFIC_CONTROL" };
        let listed: Value = groups.iter().map(|name| json!({ "name": name })).collect();
        let mut settings = json!({
            "deploymentStyle": { "deploymentType": kind, "deploymentOption": option },
            "deploymentConfigName": "CodeDeployDefault.AllAtOnce",
            "serviceRoleArn": format!("arn:aws:iam::{ACCOUNT}:role/codedeploy"),
            "autoScalingGroups": [fleet],
            "loadBalancerInfo": { "targetGroupInfoList": listed },
            "autoRollbackConfiguration": {
                "enabled": options.rollback,
                "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_REQUEST"],
            },
        });
        if options.blue_green {
            let ready =
                if options.ready_wait_mins.is_some() { "STOP_DEPLOYMENT" } else { "CONTINUE_DEPLOYMENT" };
            let end = if options.termination_wait_mins.is_some() { "TERMINATE" } else { "KEEP_ALIVE" };
            settings["blueGreenDeploymentConfiguration"] = json!({
                "terminateBlueInstancesOnDeploymentSuccess": {
                    "action": end, "terminationWaitTimeInMinutes": options.termination_wait_mins.unwrap_or(0),
                },
                "deploymentReadyOption": {
                    "actionOnTimeout": ready, "waitTimeInMinutes": options.ready_wait_mins.unwrap_or(0),
                },
                "greenFleetProvisioningOption": { "action": "COPY_AUTO_SCALING_GROUP" },
            });
        }
        let id = format!("{:08x}-0000-4000-8000-000000000000", self.fresh());
        self.deployment_groups.push(DeploymentGroup {
            id,
            application: application.to_owned(),
            name: name.to_owned(),
            settings: settings.as_object().cloned().unwrap_or_default(),
            current: None,
        });
    }
}

fn forward_action(forward: &[(&str, u64)]) -> Value {
    let groups: Value =
        forward.iter().map(|(arn, weight)| json!({ "TargetGroupArn": arn, "Weight": weight })).collect();
    json!({ "Type": "forward", "ForwardConfig": { "TargetGroups": groups } })
}
