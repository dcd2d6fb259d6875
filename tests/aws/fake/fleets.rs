//! What an Auto Scaling group does by itself: launches, hooks, registrations, replacements and terminations.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::input::{items, list, text};
use super::service::ApiError;
use super::world::{Attachment, Fleet, Instance, Member, Ms, REGION, Verdict, World};

pub const LAUNCHING: &str = "autoscaling:EC2_INSTANCE_LAUNCHING";
pub const TERMINATING: &str = "autoscaling:EC2_INSTANCE_TERMINATING";

impl Fleet {
    pub fn runs(&self, process: &str) -> bool {
        !self.suspended.contains_key(process)
    }

    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).and_then(Value::as_str)
    }

    pub fn by_elb(&self) -> bool {
        self.setting("HealthCheckType").is_some_and(|kind| kind.split(',').any(|one| one.trim() == "ELB"))
    }

    /// The launch template that its instances are made of.
    pub fn launch_template(&self) -> Option<&Value> {
        let mixed = || {
            self.settings
                .get("MixedInstancesPolicy")?
                .get("LaunchTemplate")?
                .get("LaunchTemplateSpecification")
        };
        self.settings.get("LaunchTemplate").or_else(mixed)
    }

    /// The target groups that it registers in.
    pub fn registers_in(&self) -> impl Iterator<Item = &Attachment> {
        self.attachments.iter().filter(|one| one.kind == "elbv2" && one.state != "Removing")
    }
}

impl World {
    pub fn settle_fleets(&mut self) {
        let names: Vec<String> = self.fleets.keys().cloned().collect();
        for name in names {
            let ids: Vec<String> = self.members(&name).map(|(instance, _)| instance.id.clone()).collect();
            for id in &ids {
                self.age(&name, id);
            }
            self.resize(&name);
            self.settle_attachments(&name);
            let deleting = self.fleets.get(&name).is_some_and(|fleet| fleet.deleting);
            if deleting && self.members(&name).next().is_none() {
                self.fleets.remove(&name);
            }
        }
    }

    /// Moves one instance on in its life.
    fn age(&mut self, fleet_name: &str, id: &str) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        if instance.state == "pending" && self.now >= instance.launched + self.settings.launch {
            instance.state = "running";
        }
        let state = instance.state;
        let Some(member) = &instance.member else { return };
        let (lifecycle, since) = (member.lifecycle, member.since);
        match (lifecycle, state) {
            ("Pending", "running") => self.enter(id, "Pending:Wait"),
            ("Pending:Wait", _) => match self.hooks_left(fleet_name, id, LAUNCHING, since) {
                Some(false) => {}
                Some(true) => self.go_into_service(fleet_name, id),
                None => self.end_instance(id),
            },
            ("InService", _) => self.check(fleet_name, id, state),
            ("Terminating", _) if self.drained(fleet_name, id) => self.enter(id, "Terminating:Wait"),
            ("Terminating:Wait", _) if self.hooks_left(fleet_name, id, TERMINATING, since) != Some(false) => {
                self.end_instance(id);
            }
            _ => {}
        }
    }

    fn enter(&mut self, id: &str, lifecycle: &'static str) {
        let now = self.now;
        if let Some(member) = self.instances.get_mut(id).and_then(|instance| instance.member.as_mut()) {
            member.lifecycle = lifecycle;
            member.since = now;
            member.hooks_done.clear();
        }
    }

    /// Whether all hooks of a transition are done; `None` where one was abandoned.
    fn hooks_left(&self, fleet: &str, id: &str, transition: &str, since: Ms) -> Option<bool> {
        let (Some(fleet), Some(instance)) = (self.fleets.get(fleet), self.instances.get(id)) else {
            return Some(true);
        };
        let member = instance.member.as_ref()?;
        if member.hooks_done.contains("ABANDON") {
            return None;
        }
        let mut done = true;
        for (name, hook) in &fleet.hooks {
            if text(hook, "LifecycleTransition") != Some(transition) || member.hooks_done.contains(name) {
                continue;
            }
            let seconds =
                text(hook, "HeartbeatTimeout").and_then(|seconds| seconds.parse().ok()).unwrap_or(3600);
            if self.now < since + self.scaled(seconds) {
                done = false;
            } else if text(hook, "DefaultResult") != Some("CONTINUE") {
                return None;
            }
        }
        Some(done)
    }

    fn go_into_service(&mut self, fleet_name: &str, id: &str) {
        self.enter(id, "InService");
        let now = self.now;
        if let Some(member) = self.instances.get_mut(id).and_then(|instance| instance.member.as_mut()) {
            member.in_service = Some(now);
        }
        let Some(fleet) = self.fleets.get(fleet_name) else { return };
        if fleet.runs("AddToLoadBalancer") {
            let groups: Vec<String> = fleet.registers_in().map(|one| one.id.clone()).collect();
            for group in &groups {
                self.register(group, id, None);
            }
        }
        self.note(fleet_name, &format!("Launching a new EC2 instance: {id}"));
    }

    /// Finds out whether an instance in service is still well, and replaces it where it is not.
    fn check(&mut self, fleet_name: &str, id: &str, state: &str) {
        let Some(fleet) = self.fleets.get(fleet_name) else { return };
        let grace =
            fleet.setting("HealthCheckGracePeriod").and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        let grace = self.scaled(grace);
        let Some(member) = self.instances.get(id).and_then(|instance| instance.member.as_ref()) else {
            return;
        };
        let past_grace = member.in_service.is_some_and(|since| self.now >= since + grace);
        let failing = |group: &Attachment| {
            self.groups.get(&group.id).is_some_and(|group| {
                group.targets.iter().any(|target| {
                    target.id == id && target.draining.is_none() && target.verdict == Verdict::Unhealthy
                })
            })
        };
        let unwell = fleet.runs("HealthCheck")
            && (state != "running" || (past_grace && fleet.by_elb() && fleet.registers_in().any(failing)));
        let replace =
            (unwell || !member.healthy) && fleet.runs("ReplaceUnhealthy") && fleet.runs("Terminate");
        if unwell && let Some(member) = self.instances.get_mut(id).and_then(|one| one.member.as_mut()) {
            member.healthy = false;
        }
        if replace {
            self.begin_termination(id);
        }
    }

    /// Takes an instance out of its fleet: out of the attached groups first, and not out of any other.
    pub fn begin_termination(&mut self, id: &str) {
        let Some(member) = self.instances.get(id).and_then(|instance| instance.member.as_ref()) else {
            return;
        };
        let fleet_name = member.fleet.clone();
        if !member.lifecycle.starts_with("Terminating") {
            self.enter(id, "Terminating");
            self.leave_groups(&fleet_name, id);
            self.note(&fleet_name, &format!("Terminating EC2 instance: {id}"));
        }
    }

    pub fn leave_groups(&mut self, fleet: &str, id: &str) {
        let groups: Vec<String> = self
            .fleets
            .get(fleet)
            .into_iter()
            .flat_map(Fleet::registers_in)
            .map(|one| one.id.clone())
            .collect();
        for group in groups {
            self.deregister(&group, id, None);
        }
    }

    fn drained(&self, fleet: &str, id: &str) -> bool {
        self.fleets.get(fleet).is_none_or(|fleet| fleet.registers_in().all(|one| !self.stands(&one.id, id)))
    }

    /// An instance is gone.
    pub fn end_instance(&mut self, id: &str) {
        let now = self.now;
        if let Some(instance) = self.instances.get_mut(id) {
            instance.state = "terminated";
            instance.ended = now;
            instance.member = None;
        }
    }

    /// A fleet goes at once: nobody waits for the draining, so targets leave with requests on them.
    pub fn force_delete(&mut self, name: &str) {
        let members: Vec<String> = self.members(name).map(|(instance, _)| instance.id.clone()).collect();
        if let Some(fleet) = self.fleets.get_mut(name) {
            (fleet.deleting, fleet.desired, fleet.min) = (true, 0, 0);
        }
        for id in &members {
            self.leave_groups(name, id);
            self.end_instance(id);
        }
    }

    /// Launches what is missing and terminates what is too much.
    fn resize(&mut self, name: &str) {
        let Some(fleet) = self.fleets.get(name) else { return };
        let (desired, launches, terminates) = (fleet.desired, fleet.runs("Launch"), fleet.runs("Terminate"));
        let mut staying: Vec<(Ms, String, bool)> = self
            .members(name)
            .filter(|(_, member)| !member.lifecycle.starts_with("Terminating"))
            .map(|(instance, member)| (instance.launched, instance.id.clone(), member.protected))
            .collect();
        staying.sort();
        let count = staying.len() as u64;
        if launches && !fleet.deleting {
            (count..desired).for_each(|_| self.launch(name));
        }
        if terminates {
            let excess = usize::try_from(count.saturating_sub(desired)).unwrap_or(usize::MAX);
            let leaving: Vec<String> = staying
                .into_iter()
                .filter(|(_, _, protected)| !protected)
                .map(|(_, id, _)| id)
                .take(excess)
                .collect();
            for id in &leaving {
                self.begin_termination(id);
            }
        }
    }

    fn launch(&mut self, name: &str) {
        let (n, now) = (self.fresh(), self.now);
        let Some(fleet) = self.fleets.get(name) else { return };
        let template = fleet.launch_template().and_then(|spec| self.resolve(spec).ok());
        let subnets = fleet.setting("VPCZoneIdentifier").unwrap_or_default();
        let subnets: Vec<&str> =
            subnets.split(',').filter(|subnet| self.subnets.contains_key(*subnet)).collect();
        let subnet = usize::try_from(n).ok().and_then(|n| subnets.get(n % subnets.len().max(1)));
        let subnet = subnet.map_or_else(|| "subnet-none".to_owned(), |subnet| (*subnet).to_owned());
        let mut tags = BTreeMap::from([("aws:autoscaling:groupName".to_owned(), name.to_owned())]);
        tags.extend(
            fleet
                .tags
                .iter()
                .filter(|(_, (_, launch))| *launch)
                .map(|(key, (value, _))| (key.clone(), value.clone())),
        );
        let protected = fleet.setting("NewInstancesProtectedFromScaleIn") == Some("true");
        let data = template
            .as_ref()
            .and_then(|(id, version)| self.template_data(id, *version))
            .cloned()
            .unwrap_or(Value::Null);
        if let Some((id, version)) = &template {
            tags.insert("aws:ec2launchtemplate:id".to_owned(), id.clone());
            tags.insert("aws:ec2launchtemplate:version".to_owned(), version.to_string());
        }
        for spec in items(&data, "TagSpecification")
            .iter()
            .filter(|spec| text(spec, "ResourceType") == Some("instance"))
        {
            let pairs = items(spec, "Tag").iter();
            tags.extend(
                pairs.filter_map(|tag| Some((text(tag, "Key")?.to_owned(), text(tag, "Value")?.to_owned()))),
            );
        }
        let member = Member {
            fleet: name.to_owned(),
            lifecycle: "Pending",
            since: now,
            in_service: None,
            protected,
            healthy: true,
            hooks_done: BTreeSet::new(),
            token: format!("token-{n:08x}"),
        };
        let id = format!("i-0{n:016x}");
        let instance = Instance {
            id: id.clone(),
            state: "pending",
            launched: now,
            ended: 0,
            image: text(&data, "ImageId").unwrap_or("ami-none").to_owned(),
            kind: text(&data, "InstanceType").unwrap_or("t3.micro").to_owned(),
            zone: self.subnets.get(&subnet).cloned().unwrap_or_else(|| format!("{REGION}a")),
            subnet,
            vpc: self.vpc.clone(),
            security_groups: list(&data, "SecurityGroupId"),
            tags,
            member: Some(member),
            revision: None,
            template,
        };
        self.instances.insert(id, instance);
    }

    /// The identity and the number of the version that a launch template specification means now.
    pub fn resolve(&self, spec: &Value) -> Result<(String, u64), ApiError> {
        let by_id = text(spec, "LaunchTemplateId").and_then(|id| self.templates.get(id));
        let by_name = || {
            self.templates.values().find(|one| Some(one.name.as_str()) == text(spec, "LaunchTemplateName"))
        };
        let template = by_id.or_else(by_name).ok_or_else(|| {
            ApiError::new(
                "ValidationError",
                "You must use a valid fully-formed launch template. It does not exist",
            )
        })?;
        let latest = template.versions.len() as u64;
        let version = match text(spec, "Version").unwrap_or("$Default") {
            "$Default" => Some(template.default),
            "$Latest" => Some(latest),
            number => number.parse().ok().filter(|number| (1..=latest).contains(number)),
        };
        let refused =
            || ApiError::new("ValidationError", "The specified launch template version does not exist");
        version.map(|version| (template.id.clone(), version)).ok_or_else(refused)
    }

    pub fn template_data(&self, id: &str, version: u64) -> Option<&Value> {
        let at = usize::try_from(version).ok()?.checked_sub(1)?;
        Some(&self.templates.get(id)?.versions.get(at)?.data)
    }

    fn settle_attachments(&mut self, name: &str) {
        let Some(fleet) = self.fleets.get(name) else { return };
        let ids: Vec<&str> = self.members(name).map(|(instance, _)| instance.id.as_str()).collect();
        let mut kept = Vec::new();
        for attachment in &fleet.attachments {
            let mut next = attachment.clone();
            let due = self.now >= attachment.since + self.settings.attach;
            let lit = || self.healthy(&attachment.id) > 0;
            match attachment.state {
                "Removing" if due && !ids.iter().any(|id| self.stands(&attachment.id, id)) => continue,
                "Adding" if due => next.state = "Added",
                "Added" if fleet.by_elb() && lit() => next.state = "InService",
                _ => {}
            }
            kept.push(next);
        }
        if let Some(fleet) = self.fleets.get_mut(name) {
            fleet.attachments = kept;
        }
    }

    /// Writes a line into the fleet's activities.
    pub fn note(&mut self, fleet: &str, description: &str) {
        let (n, at) = (self.fresh(), self.iso(self.now));
        let activity = json!({
            "ActivityId": format!("activity-{n:08x}"), "AutoScalingGroupName": fleet, "Description": description,
            "Cause": "At the time given the difference between desired and actual capacity was settled.",
            "StartTime": at, "EndTime": at, "StatusCode": "Successful", "Progress": "100",
        });
        if let Some(fleet) = self.fleets.get_mut(fleet) {
            fleet.activities.insert(0, activity);
        }
    }
}
