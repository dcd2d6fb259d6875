//! A fleet as `DescribeAutoScalingGroups` shows it.

use serde_json::{Map, Value, json};

use super::super::world::{Fleet, Instance, Member, Template, Via, World};

impl World {
    pub fn show_fleet(&self, fleet: &Fleet, instances: bool) -> Value {
        let mut shown = fleet.settings.clone();
        self.name_template(&mut shown);
        let attached =
            |via: Via| fleet.attachments.iter().filter(move |one| one.via == via && one.state != "Removing");
        let groups: Vec<&str> = attached(Via::TargetGroups).map(|one| one.id.as_str()).collect();
        let sources: Value = attached(Via::TrafficSources)
            .map(|one| json!({ "Identifier": one.id, "Type": one.kind }))
            .collect();
        let suspended: Value = fleet
            .suspended
            .iter()
            .map(|(process, reason)| json!({ "ProcessName": process, "SuspensionReason": reason }))
            .collect();
        let members: Value = if instances {
            self.members(&fleet.name)
                .map(|(instance, member)| self.show_member(instance, member, false))
                .collect()
        } else {
            json!([])
        };
        let more = json!({
            "AutoScalingGroupName": fleet.name, "AutoScalingGroupARN": fleet.arn,
            "MinSize": fleet.min, "MaxSize": fleet.max, "DesiredCapacity": fleet.desired,
            "CreatedTime": self.iso(fleet.created), "TargetGroupARNs": groups, "TrafficSources": sources,
            "SuspendedProcesses": suspended, "Instances": members, "Tags": show_tags(fleet),
            "Status": fleet.deleting.then_some("Delete in progress"),
            "WarmPoolConfiguration": fleet.warm_pool,
        });
        if let Value::Object(more) = more {
            shown.extend(more);
        }
        for (name, otherwise) in
            [("DefaultCooldown", "300"), ("HealthCheckGracePeriod", "0"), ("HealthCheckType", "EC2")]
        {
            shown.entry(name).or_insert_with(|| json!(otherwise));
        }
        shown.entry("NewInstancesProtectedFromScaleIn").or_insert_with(|| json!("false"));
        if shown.get("AvailabilityZones").is_none() {
            let zones: Vec<&String> = self.subnets.values().collect();
            shown.insert("AvailabilityZones".to_owned(), json!(zones));
        }
        Value::Object(shown)
    }

    /// Whichever of the two a template was given by, both its id and its name are shown.
    fn name_template(&self, shown: &mut Map<String, Value>) {
        let Some(spec) = shown.get_mut("LaunchTemplate").and_then(Value::as_object_mut) else { return };
        let is = |key: &str, own: &str| spec.get(key).and_then(Value::as_str) == Some(own);
        let named = |one: &&Template| is("LaunchTemplateId", &one.id) || is("LaunchTemplateName", &one.name);
        if let Some(template) = self.templates.values().find(named) {
            let (id, name) = (json!(template.id), json!(template.name));
            spec.insert("LaunchTemplateId".to_owned(), id);
            spec.insert("LaunchTemplateName".to_owned(), name);
        }
    }

    /// An instance of a fleet; `alone` where it is not shown within its fleet.
    pub fn show_member(&self, instance: &Instance, member: &Member, alone: bool) -> Value {
        let template = instance.template.as_ref().map(|(id, version)| {
            let name = self.templates.get(id).map(|template| template.name.as_str());
            json!({ "LaunchTemplateId": id, "LaunchTemplateName": name, "Version": version.to_string() })
        });
        let health = match (member.healthy, alone) {
            (true, false) => "Healthy",
            (false, false) => "Unhealthy",
            (true, true) => "HEALTHY",
            (false, true) => "UNHEALTHY",
        };
        json!({
            "InstanceId": instance.id, "InstanceType": instance.kind, "AvailabilityZone": instance.zone,
            "LifecycleState": member.lifecycle, "HealthStatus": health, "LaunchTemplate": template,
            "ProtectedFromScaleIn": member.protected,
            "AutoScalingGroupName": alone.then_some(member.fleet.as_str()),
        })
    }
}

pub fn show_tags(fleet: &Fleet) -> Value {
    let show = |(key, (value, launch)): (&String, &(String, bool))| {
        json!({
            "Key": key, "Value": value, "PropagateAtLaunch": launch, "ResourceId": fleet.name,
            "ResourceType": "auto-scaling-group",
        })
    };
    fleet.tags.iter().map(show).collect()
}
