//! The permissions that a rollout needs, as an IAM policy. Makes no call.
//!
//! Describe calls of these services know no resources, so they are for `*` (service authorization reference). What is
//! written is held to the service's own things: by name where the file gives one, by our own tag where it does not.

use serde_json::{Value, json};

use super::asgs::OWNER;
use super::copy::base;
use crate::cloud::Grant;
use crate::cloud::grant::Place;
use crate::spec::{AwsFleets, AwsGroup, AwsRevision, AwsSpec, CodeDeploy, Spec};

/// The policy for exactly what the file says. A journal in a bucket is part of it.
#[must_use]
pub fn policy(spec: &Spec, aws: &AwsSpec, store: &str, grant: Grant) -> Value {
    let writer = Writer { aws, owner: format!("{}/{}", spec.service, spec.environment), freeze: spec.freeze };
    let mut statements = writer.reads();
    if grant == Grant::ReadWrite {
        statements.extend(writer.targets());
        statements.extend(writer.fleets());
        statements.extend(writer.launches());
        statements.extend(writer.codedeploy());
    }
    statements.extend(writer.journal(store, grant));
    json!({ "Version": "2012-10-17", "Statement": statements })
}

struct Writer<'a> {
    aws: &'a AwsSpec,
    owner: String,
    freeze: bool,
}

/// One statement.
fn allow(sid: &str, actions: &[&str], resources: &[String], condition: Option<Value>) -> Value {
    let mut statement = json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources });
    if let Some(condition) = condition {
        statement["Condition"] = condition;
    }
    statement
}

fn anything() -> Vec<String> {
    vec!["*".to_owned()]
}

impl Writer<'_> {
    fn partition(&self) -> &'static str {
        match self.aws.region.split('-').next() {
            Some("cn") => "aws-cn",
            _ if self.aws.region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }

    fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:{}:{service}:{}:{}:{resource}", self.partition(), self.aws.region, self.aws.account)
    }

    fn group_named(&self, name: &str) -> String {
        self.arn("autoscaling", &format!("autoScalingGroup:*:autoScalingGroupName/{name}"))
    }

    fn bundle(&self) -> Option<&CodeDeploy> {
        match &self.aws.revision {
            AwsRevision::Bundle(codedeploy) => Some(codedeploy),
            AwsRevision::LaunchTemplate | AwsRevision::Ami => None,
        }
    }

    fn copies(&self) -> bool {
        matches!(self.aws.fleets, AwsFleets::Copy { .. })
    }

    fn reads(&self) -> Vec<Value> {
        let mut actions = vec![
            "autoscaling:DescribeAccountLimits",
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:DescribeLifecycleHooks",
            "autoscaling:DescribeTrafficSources",
            "ec2:DescribeInstances",
            "ec2:DescribeLaunchTemplateVersions",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "elasticloadbalancing:DescribeAccountLimits",
            "elasticloadbalancing:DescribeListeners",
            "elasticloadbalancing:DescribeLoadBalancers",
            "elasticloadbalancing:DescribeRules",
            "elasticloadbalancing:DescribeTargetGroupAttributes",
            "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:DescribeTargetHealth",
        ];
        if self.copies() {
            actions.extend([
                "autoscaling:DescribeInstanceRefreshes",
                "autoscaling:DescribeNotificationConfigurations",
                "autoscaling:DescribePolicies",
                "autoscaling:DescribeScheduledActions",
                "cloudwatch:DescribeAlarms",
                "cloudwatch:ListTagsForResource",
            ]);
        }
        if self.aws.fleets == AwsFleets::Managed {
            actions.push("autoscaling:DescribeAutoScalingInstances");
        }
        actions.sort_unstable();
        let mut statements = vec![allow("Look", &actions, &anything(), None)];
        if let Some(codedeploy) = self.bundle() {
            let reads = [
                "codedeploy:BatchGetDeploymentTargets",
                "codedeploy:BatchGetDeployments",
                "codedeploy:GetDeployment",
                "codedeploy:GetDeploymentGroup",
                "codedeploy:ListDeploymentTargets",
                "codedeploy:ListDeployments",
            ];
            statements.push(allow("LookAtDeployments", &reads, &self.deployment_groups(codedeploy), None));
        }
        statements
    }

    /// A copied fleet has a deployment group of its own, named as it is.
    fn deployment_groups(&self, codedeploy: &CodeDeploy) -> Vec<String> {
        if self.copies() {
            return vec![self.arn("codedeploy", &format!("deploymentgroup:{}/*", codedeploy.application))];
        }
        let groups = codedeploy.deployment_groups.iter();
        let named = groups.map(|name| format!("deploymentgroup:{}/{name}", codedeploy.application));
        named.map(|resource| self.arn("codedeploy", &resource)).collect()
    }

    /// Targets come and go, and weights move. CodeDeploy moves its own targets.
    fn targets(&self) -> Vec<Value> {
        let managed = self.aws.fleets == AwsFleets::Managed;
        let groups = self.aws.groups.values().flat_map(AwsGroup::names);
        let arns: Vec<_> =
            groups.map(|name| self.arn("elasticloadbalancing", &format!("targetgroup/{name}/*"))).collect();
        let actions = ["elasticloadbalancing:DeregisterTargets", "elasticloadbalancing:RegisterTargets"];
        let mut statements = vec![allow("MoveTargets", &actions, &arns, None)];
        let twins = self.aws.groups.values().any(|group| matches!(group, AwsGroup::Twins { .. }));
        if twins && !managed {
            let actions = ["elasticloadbalancing:ModifyListener", "elasticloadbalancing:ModifyRule"];
            let kinds = ["listener/app/*", "listener/net/*", "listener-rule/app/*"];
            let arns = kinds.map(|kind| self.arn("elasticloadbalancing", kind));
            statements.push(allow("MoveWeights", &actions, &arns, None));
        }
        let made =
            self.aws.groups.values().filter(|group| matches!(group, AwsGroup::Twins { create: true, .. }));
        let made: Vec<_> = made
            .flat_map(AwsGroup::names)
            .map(|name| self.arn("elasticloadbalancing", &format!("targetgroup/{name}/*")))
            .collect();
        if !made.is_empty() {
            let actions = [
                "elasticloadbalancing:AddTags",
                "elasticloadbalancing:CreateTargetGroup",
                "elasticloadbalancing:ModifyTargetGroupAttributes",
            ];
            statements.push(allow("MakeTwins", &actions, &made, None));
        }
        statements
    }

    fn fleets(&self) -> Vec<Value> {
        let mut actions = vec![
            "autoscaling:AttachLoadBalancerTargetGroups",
            "autoscaling:AttachTrafficSources",
            "autoscaling:CreateOrUpdateTags",
            "autoscaling:DetachLoadBalancerTargetGroups",
            "autoscaling:DetachTrafficSources",
            "autoscaling:UpdateAutoScalingGroup",
        ];
        if self.freeze {
            actions.extend([
                "autoscaling:DeleteTags",
                "autoscaling:ResumeProcesses",
                "autoscaling:SetInstanceProtection",
                "autoscaling:SuspendProcesses",
            ]);
        }
        let ours = || json!({ "StringEquals": { format!("aws:ResourceTag/{OWNER}"): self.owner } });
        let any = || vec![self.group_named("*")];
        match &self.aws.fleets {
            AwsFleets::Pair(pair) => {
                actions.sort_unstable();
                let names: Vec<_> = pair.iter().map(|name| self.group_named(name)).collect();
                vec![allow("ChangeFleets", &actions, &names, None)]
            }
            AwsFleets::Copy { from } => {
                actions.extend([
                    "autoscaling:DeleteAutoScalingGroup",
                    "autoscaling:DeleteWarmPool",
                    "autoscaling:EnableMetricsCollection",
                    "autoscaling:PutLifecycleHook",
                    "autoscaling:PutNotificationConfiguration",
                    "autoscaling:PutScalingPolicy",
                    "autoscaling:PutScheduledUpdateGroupAction",
                    "autoscaling:PutWarmPool",
                ]);
                actions.sort_unstable();
                let asked = json!({ "StringEquals": { format!("aws:RequestTag/{OWNER}"): self.owner } });
                vec![
                    allow("MakeFleets", &["autoscaling:CreateAutoScalingGroup"], &any(), Some(asked)),
                    allow("ChangeFleets", &actions, &any(), Some(ours())),
                    allow("ChangeFirstFleet", &actions, &[self.group_named(from)], None),
                    self.alarms(from),
                ]
            }
            // CodeDeploy names its copies itself: nothing but the tag tells whose they are, and blue may have none yet.
            AwsFleets::Managed => {
                actions.sort_unstable();
                vec![allow("ChangeFleets", &actions, &any(), None)]
            }
        }
    }

    /// A copy's alarms end with its name.
    fn alarms(&self, from: &str) -> Value {
        let actions = ["cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource"];
        let named = self.arn("cloudwatch", &format!("alarm:*-{}-v*", base(from)));
        allow("HandAlarmsOver", &actions, &[named], None)
    }

    /// Whoever makes or changes a group with a launch template must be allowed what it launches (Auto Scaling user guide,
    /// 2023): the instances, their tags, and to pass the role of their profile.
    fn launches(&self) -> Vec<Value> {
        let versions = self.aws.revision == AwsRevision::Ami;
        let template = self.arn("ec2", "launch-template/*");
        let mut statements = Vec::new();
        if versions {
            statements.push(allow(
                "MakeVersions",
                &["ec2:CreateLaunchTemplateVersion"],
                std::slice::from_ref(&template),
                None,
            ));
        }
        let of_pair = matches!(self.aws.fleets, AwsFleets::Pair(_)) && self.bundle().is_none();
        if self.copies() || of_pair {
            let by_template = json!({ "ArnLike": { "ec2:LaunchTemplate": template } });
            let actions = ["ec2:CreateTags", "ec2:RunInstances"];
            statements.push(allow("Launch", &actions, &anything(), Some(by_template)));
            statements.push(self.pass("PassInstanceRole", "ec2.amazonaws.com"));
        }
        statements
    }

    fn pass(&self, sid: &str, to: &str) -> Value {
        let to = if self.partition() == "aws-cn" && to.starts_with("ec2.") {
            format!("{to}.cn")
        } else {
            to.to_owned()
        };
        let roles = format!("arn:{}:iam::{}:role/*", self.partition(), self.aws.account);
        let condition = json!({ "StringEquals": { "iam:PassedToService": to } });
        allow(sid, &["iam:PassRole"], &[roles], Some(condition))
    }

    fn codedeploy(&self) -> Vec<Value> {
        let Some(codedeploy) = self.bundle() else { return Vec::new() };
        let groups = self.deployment_groups(codedeploy);
        let managed = self.aws.fleets == AwsFleets::Managed;
        let mut actions = vec!["codedeploy:CreateDeployment", "codedeploy:StopDeployment"];
        if managed {
            actions.push("codedeploy:ContinueDeployment");
        }
        // The list is completed where the file says so, and the group points at blue again after a way back.
        if managed {
            actions.push("codedeploy:UpdateDeploymentGroup");
        }
        if self.copies() {
            actions.extend(["codedeploy:CreateDeploymentGroup", "codedeploy:DeleteDeploymentGroup"]);
        }
        actions.sort_unstable();
        let application = self.arn("codedeploy", &format!("application:{}", codedeploy.application));
        let revisions = ["codedeploy:GetApplicationRevision", "codedeploy:RegisterApplicationRevision"];
        let configs = self.arn("codedeploy", "deploymentconfig:*");
        let mut statements = vec![
            allow("Deploy", &actions, &groups, None),
            allow("RegisterRevisions", &revisions, &[application], None),
            allow("ReadDeploymentConfigs", &["codedeploy:GetDeploymentConfig"], &[configs], None),
        ];
        if managed && codedeploy.complete || self.copies() {
            statements.push(self.pass("PassCodeDeployRole", "codedeploy.amazonaws.com"));
        }
        statements
    }

    /// The journal, where it is kept in a bucket: written once, never changed, never deleted.
    fn journal(&self, store: &str, grant: Grant) -> Vec<Value> {
        let Some(Place { bucket, inside }) = Place::of(store, "s3") else { return Vec::new() };
        let root = format!("arn:{}:s3:::{bucket}", self.partition());
        let listed = json!({ "StringLike": { "s3:prefix": [inside.clone()] } });
        let actions: &[&str] = match grant {
            Grant::Read => &["s3:GetObject"],
            Grant::ReadWrite => &["s3:GetObject", "s3:PutObject"],
        };
        let asked = [
            "s3:GetBucketAcl",
            "s3:GetBucketPolicyStatus",
            "s3:GetBucketPublicAccessBlock",
            "s3:GetEncryptionConfiguration",
        ];
        vec![
            allow("LookAtJournalBucket", &asked, std::slice::from_ref(&root), None),
            allow("ListJournal", &["s3:ListBucket"], std::slice::from_ref(&root), Some(listed)),
            allow("Journal", actions, &[format!("{root}/{inside}")], None),
        ]
    }
}
