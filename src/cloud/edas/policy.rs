//! The permissions that a rollout needs, as a RAM policy. Makes no call.
//!
//! EDAS knows a few permissions for many operations, and an application's path holds a namespace that the file does not
//! name (RAM policies of EDAS, 2026-11). That its operations on Kubernetes go by the same ones is not written anywhere: one
//! that does not is denied, and says which it wants. The other products have a permission for each operation; what only reads knows
//! no resources, or has to see all of them: who forgot a group did not write it down.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::api::application::is_id;
use crate::cloud::Grant;
use crate::cloud::grant::Place;
use crate::spec::{EdasFleets, EdasServers, EdasSpec, Hosts, Spec};

/// What a look reads, and `doctor` besides.
const READS: [&str; 31] = [
    "alb:GetLoadBalancerAttribute",
    "alb:GetListenerHealthStatus",
    "alb:ListAsynJobs",
    "alb:ListListeners",
    "alb:ListLoadBalancers",
    "alb:ListRules",
    "alb:ListServerGroupServers",
    "alb:ListServerGroups",
    "ecs:DescribeInstances",
    "ecs:DescribeLaunchTemplateVersions",
    "ecs:DescribeSecurityGroupAttribute",
    "ecs:DescribeVSwitches",
    "ess:DescribeScalingGroups",
    "ess:DescribeScalingInstances",
    "ess:ListTagResources",
    "nlb:GetJobStatus",
    "nlb:GetListenerHealthStatus",
    "nlb:ListListeners",
    "nlb:ListLoadBalancers",
    "nlb:ListServerGroupServers",
    "nlb:ListServerGroups",
    "slb:DescribeHealthStatus",
    "slb:DescribeLoadBalancerAttribute",
    "slb:DescribeLoadBalancerListeners",
    "slb:DescribeLoadBalancers",
    "slb:DescribeMasterSlaveServerGroupAttribute",
    "slb:DescribeMasterSlaveServerGroups",
    "slb:DescribeRuleAttribute",
    "slb:DescribeVServerGroupAttribute",
    "slb:DescribeVServerGroups",
    // Which of the two ECS asks for where it tells of a vSwitch is unverified.
    "vpc:DescribeVSwitches",
];

/// What the id of a CLB's default server group ends with.
const DEFAULT: &str = "/default";

/// The policy for exactly what the file says. A journal in a bucket is part of it.
#[must_use]
pub fn policy(spec: &Spec, edas: &EdasSpec, store: &str, grant: Grant) -> Value {
    let writer = Writer { edas, freeze: spec.freeze };
    let mut statements = writer.reads();
    if grant == Grant::ReadWrite {
        statements.extend(writer.fleets());
        statements.extend(writer.servers());
        statements.extend(writer.routes());
    }
    statements.extend(writer.journal(store, grant));
    json!({ "Version": "1", "Statement": statements })
}

struct Writer<'a> {
    edas: &'a EdasSpec,
    freeze: bool,
}

/// One statement.
fn allow(actions: &[&str], resources: &[String]) -> Value {
    json!({ "Effect": "Allow", "Action": actions, "Resource": resources })
}

impl Writer<'_> {
    fn arn(&self, product: &str, resource: &str) -> String {
        format!("acs:{product}:{}:{}:{resource}", self.edas.region, self.edas.account)
    }

    /// The applications. One that the file calls by its name is found among all.
    fn applications(&self) -> Vec<String> {
        let own: &[String] = match &self.edas.fleets {
            EdasFleets::Groups(own) => std::slice::from_ref(&own.application),
            EdasFleets::Kubernetes(own) => &own.applications,
        };
        let named =
            |id: &String| if is_id(id) || !self.on_kubernetes() { id.clone() } else { "*".to_owned() };
        let all: BTreeSet<String> = own.iter().map(named).collect();
        all.iter().map(|id| self.arn("edas", &format!("namespace/*/application/{id}"))).collect()
    }

    fn on_kubernetes(&self) -> bool {
        matches!(self.edas.fleets, EdasFleets::Kubernetes(_))
    }

    fn instances(&self) -> String {
        self.arn("ecs", "instance/*")
    }

    fn reads(&self) -> Vec<Value> {
        let cluster = self.arn("edas", "namespace/*/cluster/*");
        vec![
            allow(&READS, &["*".to_owned()]),
            allow(&["edas:ReadApplication"], &self.applications()),
            allow(&["edas:ReadCluster"], &[cluster]),
        ]
    }

    /// EDAS itself buys and releases what a launch template says, by its own service role.
    fn fleets(&self) -> Vec<Value> {
        let mut statements = vec![allow(&["edas:ManageApplication"], &self.applications())];
        let EdasFleets::Groups(own) = &self.edas.fleets else { return statements };
        if matches!(own.hosts, Hosts::Template { .. }) {
            let cluster = self.arn("edas", "namespace/*/cluster/*");
            statements.push(allow(&["edas:ManageCluster"], &[cluster]));
        }
        if self.freeze {
            let actions =
                ["ess:ResumeProcesses", "ess:SuspendProcesses", "ess:TagResources", "ess:UntagResources"];
            statements.push(allow(&actions, &[self.arn("ess", "scalinggroup/*")]));
        }
        statements
    }

    /// Servers come and go in the groups that the file names, and in no other.
    fn servers(&self) -> Vec<Value> {
        let ids = |wanted: fn(&EdasServers) -> bool| -> BTreeSet<&str> {
            let groups = self.edas.groups.values().map(|group| &group.servers);
            groups.filter(|servers| wanted(servers)).flat_map(EdasServers::ids).map(String::as_str).collect()
        };
        let alb = ids(|servers| matches!(servers, EdasServers::AlbTwins(_) | EdasServers::Alb(_)));
        let nlb = ids(|servers| matches!(servers, EdasServers::NlbTwins(_) | EdasServers::Nlb(_)));
        let mut statements = Vec::new();
        if self.on_kubernetes() {
            // The cluster moves pods; that a fleet has left a twin is noted on its application.
            return Vec::new();
        }
        for (product, ids) in [("alb", alb), ("nlb", nlb)] {
            if ids.is_empty() {
                continue;
            }
            let actions = [
                "AddServersToServerGroup",
                "RemoveServersFromServerGroup",
                "UpdateServerGroupServersAttribute",
            ]
            .map(|action| format!("{product}:{action}"));
            let actions: Vec<_> = actions.iter().map(String::as_str).collect();
            let mut resources: Vec<_> =
                ids.iter().map(|id| self.arn(product, &format!("servergroup/{id}"))).collect();
            resources.push(self.instances());
            statements.push(allow(&actions, &resources));
        }
        let classic = ids(|servers| matches!(servers, EdasServers::ClbTwins(_) | EdasServers::Clb(_)));
        let (defaults, own): (Vec<_>, Vec<_>) = classic.into_iter().partition(|id| id.ends_with(DEFAULT));
        if !own.is_empty() {
            // A vServer group has no name of its own here: it is reached through its balancer, which the file does not say.
            let actions = [
                "slb:AddVServerGroupBackendServers",
                "slb:RemoveVServerGroupBackendServers",
                "slb:SetVServerGroupAttribute",
            ];
            statements.push(allow(&actions, &[self.arn("slb", "loadbalancer/*"), self.instances()]));
        }
        if !defaults.is_empty() {
            let actions = ["slb:AddBackendServers", "slb:RemoveBackendServers", "slb:SetBackendServers"];
            let balancers =
                defaults.iter().map(|id| format!("loadbalancer/{}", id.trim_end_matches(DEFAULT)));
            let mut resources: Vec<_> = balancers.map(|resource| self.arn("slb", &resource)).collect();
            resources.push(self.instances());
            statements.push(allow(&actions, &resources));
        }
        statements
    }

    /// Weights move, and green is looked at through rules of its own.
    fn routes(&self) -> Vec<Value> {
        let any =
            |wanted: fn(&EdasServers) -> bool| self.edas.groups.values().any(|group| wanted(&group.servers));
        let mut statements = Vec::new();
        if any(|servers| matches!(servers, EdasServers::AlbTwins(_))) {
            let actions = [
                "alb:CreateRule",
                "alb:DeleteRule",
                "alb:UpdateListenerAttribute",
                "alb:UpdateRuleAttribute",
            ];
            statements.push(allow(&actions, &[self.arn("alb", "*")]));
        }
        if any(|servers| matches!(servers, EdasServers::NlbTwins(_))) {
            statements.push(allow(&["nlb:UpdateListenerAttribute"], &[self.arn("nlb", "*")]));
        }
        if any(|servers| matches!(servers, EdasServers::ClbTwins(_))) {
            let actions = [
                "slb:CreateRules",
                "slb:DeleteRules",
                "slb:SetLoadBalancerHTTPListenerAttribute",
                "slb:SetLoadBalancerHTTPSListenerAttribute",
                "slb:SetLoadBalancerTCPListenerAttribute",
                "slb:SetLoadBalancerUDPListenerAttribute",
                "slb:SetRule",
            ];
            statements.push(allow(&actions, &[self.arn("slb", "loadbalancer/*")]));
        }
        statements
    }

    /// The journal, where it is kept in a bucket: written once, never changed, never deleted. Whether the bucket is fit for
    /// that, `doctor` asks it.
    fn journal(&self, store: &str, grant: Grant) -> Vec<Value> {
        let Some(Place { bucket, inside }) = Place::of(store, "oss") else { return Vec::new() };
        let root = format!("acs:oss:*:{}:{bucket}", self.edas.account);
        let mut listed = allow(&["oss:ListObjects"], std::slice::from_ref(&root));
        listed["Condition"] = json!({ "StringLike": { "oss:Prefix": [inside.clone()] } });
        let actions: &[&str] = match grant {
            Grant::Read => &["oss:GetObject"],
            Grant::ReadWrite => &["oss:GetObject", "oss:PutObject"],
        };
        let asked = [
            "oss:GetBucketAcl",
            "oss:GetBucketEncryption",
            "oss:GetBucketPolicyStatus",
            "oss:GetBucketPublicAccessBlock",
            "oss:GetBucketVersioning",
        ];
        let looked = allow(&asked, std::slice::from_ref(&root));
        vec![looked, listed, allow(actions, &[format!("{root}/{inside}")])]
    }
}
