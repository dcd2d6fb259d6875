//! An account with the service in it, a folder with its deployment file, and the real binary.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::front::{self, Front, all, encoded};
use crate::moto::Moto;
use crate::timeline::Times;

pub(crate) const REGION: &str = "eu-west-1";
/// The account that moto plays.
pub(crate) const ACCOUNT: &str = "123456789012";
/// An image that every account of moto has.
const IMAGE: &str = "ami-12c6146b";
/// How long anything may take on a busy machine before a test gives up.
const PATIENCE: Duration = Duration::from_mins(3);

/// What a test says of its service.
pub struct Setup {
    pub bake: &'static str,
}

impl Default for Setup {
    fn default() -> Self {
        Self { bake: "100ms" }
    }
}

/// The account, the folder, and the servers.
pub struct Account {
    dir: tempfile::TempDir,
    arns: BTreeMap<&'static str, String>,
    front: Front,
    _moto: Moto,
    vpc: String,
}

/// A command that runs. Killed where the test forgets it.
pub struct Running {
    child: Child,
    paths: [PathBuf; 2],
}

/// What a command came to.
pub struct Done {
    code: i32,
    said: String,
}

impl Account {
    /// The service at version 1 in an Auto Scaling group `api`: `public` as twins behind an ALB, `internal` as a group
    /// for both fleets behind an NLB.
    pub fn new(setup: &Setup) -> Self {
        let mut account = Self::empty(Times::default());
        account.build();
        account.write(setup);
        account
    }

    /// Nothing but the servers, and a folder.
    pub(crate) fn empty(times: Times) -> Self {
        let moto = Moto::start();
        let front = Front::start(moto.address, times);
        let dir = tempfile::tempdir().unwrap();
        Self { dir, arns: BTreeMap::new(), front, _moto: moto, vpc: String::new() }
    }

    /// A network with two subnets, and two versions of a launch template.
    pub(crate) fn ground(&mut self) -> [String; 2] {
        let vpc = self.ec2("CreateVpc", &[("CidrBlock", "10.0.0.0/16")]);
        self.vpc = first(&vpc, "vpcId");
        let subnets = [("a", "10.0.0.0/20"), ("b", "10.0.16.0/20")].map(|(zone, block)| {
            let zone = format!("{REGION}{zone}");
            let made = [("VpcId", self.vpc.as_str()), ("CidrBlock", block), ("AvailabilityZone", &zone)];
            first(&self.ec2("CreateSubnet", &made), "subnetId")
        });
        let template = [("LaunchTemplateName", "api"), ("LaunchTemplateData.ImageId", IMAGE)];
        self.ec2("CreateLaunchTemplate", &template);
        self.ec2("CreateLaunchTemplateVersion", &template);
        subnets
    }

    fn build(&mut self) {
        let subnets = self.ground();
        let alb = self.balancer("edge", "application", &subnets);
        let nlb = self.balancer("inner", "network", &subnets);
        for (name, protocol) in [("public-a", "HTTP"), ("public-b", "HTTP"), ("internal", "TCP")] {
            let arn = self.target_group(name, protocol);
            self.arns.insert(name, arn);
        }
        let public = [(self.arns["public-a"].clone(), "100"), (self.arns["public-b"].clone(), "0")];
        let public = self.listener(&alb, ("HTTP", "80"), &public);
        self.listener(&nlb, ("TCP", "90"), &[(self.arns["internal"].clone(), "1")]);
        self.arns.insert("public", public);
        let zones = subnets.join(",");
        self.autoscaling(
            "CreateAutoScalingGroup",
            &[
                ("AutoScalingGroupName", "api"),
                ("LaunchTemplate.LaunchTemplateName", "api"),
                ("LaunchTemplate.Version", "1"),
                ("MinSize", "2"),
                ("MaxSize", "2"),
                ("DesiredCapacity", "2"),
                ("VPCZoneIdentifier", &zones),
                ("TargetGroupARNs.member.1", &self.arns["public-a"]),
                ("TargetGroupARNs.member.2", &self.arns["internal"]),
            ],
        );
    }

    pub(crate) fn balancer(&self, name: &str, kind: &str, subnets: &[String; 2]) -> String {
        let [one, two] = subnets;
        let of = [("Name", name), ("Type", kind), ("Subnets.member.1", one), ("Subnets.member.2", two)];
        first(&self.elb("CreateLoadBalancer", &of), "LoadBalancerArn")
    }

    fn target_group(&self, name: &str, protocol: &str) -> String {
        let of = [("Name", name), ("Protocol", protocol), ("Port", "80"), ("VpcId", &self.vpc)];
        first(&self.elb("CreateTargetGroup", &of), "TargetGroupArn")
    }

    pub(crate) fn listener(
        &self,
        balancer: &str,
        (protocol, port): (&str, &str),
        to: &[(String, &str)],
    ) -> String {
        let action = "DefaultActions.member.1";
        let mut of = vec![
            ("LoadBalancerArn".to_owned(), balancer),
            ("Protocol".to_owned(), protocol),
            ("Port".to_owned(), port),
            (format!("{action}.Type"), "forward"),
        ];
        for (n, (arn, weight)) in to.iter().enumerate() {
            let member = format!("{action}.ForwardConfig.TargetGroups.member.{}", n + 1);
            of.push((format!("{member}.TargetGroupArn"), arn));
            of.push((format!("{member}.Weight"), weight));
        }
        let of: Vec<_> = of.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        first(&self.elb("CreateListener", &of), "ListenerArn")
    }

    /// Where commands run.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn vpc(&self) -> &str {
        &self.vpc
    }

    pub(crate) fn front(&self) -> &Front {
        &self.front
    }

    fn write(&self, setup: &Setup) {
        let text = format!(
            "service: api\nrevision: 2\nstrategies: {{ bluegreen: {{ steps: [{{ share: 10, hold: 50ms }}, 100] }} }}\n\
             settle: 50ms\nbake: {}\nquiet: 50ms\nenvironments:\n  prod:\n    provider:\n      aws:\n        \
             account: \"{ACCOUNT}\"\n        region: {REGION}\n        pace: 20ms\n        reads_per_second: 5000\n        \
             fleets: {{ copy: api }}\n        groups:\n          public: {{ twins: [public-a, public-b] }}\n          \
             internal: {{ target_group: internal, whole: accept }}\n",
            setup.bake
        );
        fs::create_dir(self.dir.path().join("deployments")).unwrap();
        fs::write(self.dir.path().join("deployments/api.yaml"), text).unwrap();
    }

    /// One more target group behind a listener of its own, in which nobody stands yet.
    pub fn partner(&self) -> String {
        let subnets: Vec<String> = all(
            &self.ec2("DescribeSubnets", &[("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", &self.vpc)]),
            "subnetId",
        )
        .map(str::to_owned)
        .collect();
        let balancer = self.balancer("partners", "application", &[subnets[0].clone(), subnets[1].clone()]);
        let arn = self.target_group("partner", "HTTP");
        self.listener(&balancer, ("HTTP", "80"), &[(arn.clone(), "1")]);
        arn
    }

    pub fn attach(&self, group: &str, arn: &str) {
        let of = [("AutoScalingGroupName", group), ("TargetGroupARNs.member.1", arn)];
        self.autoscaling("AttachLoadBalancerTargetGroups", &of);
    }

    pub fn elb(&self, action: &str, of: &[(&str, &str)]) -> String {
        self.call(("elasticloadbalancing", "2015-12-01"), action, of)
    }

    fn ec2(&self, action: &str, of: &[(&str, &str)]) -> String {
        self.call(("ec2", "2016-11-15"), action, of)
    }

    pub(crate) fn autoscaling(&self, action: &str, of: &[(&str, &str)]) -> String {
        self.call(("autoscaling", "2011-01-01"), action, of)
    }

    fn call(&self, (service, version): (&str, &str), action: &str, of: &[(&str, &str)]) -> String {
        let mut form = format!("Action={action}&Version={version}");
        for (name, value) in of {
            write!(form, "&{name}={}", encoded(value)).unwrap();
        }
        let answer = front::send(self.front.address, &front::credentials(REGION, service), &form).unwrap();
        assert!(answer.status < 300, "{form}\n{}", answer.body);
        answer.body
    }

    /// The instances of an Auto Scaling group; none where there is no such group.
    pub fn members(&self, group: &str) -> Vec<String> {
        let of = [("AutoScalingGroupNames.member.1", group)];
        let mut found: Vec<_> = all(&self.autoscaling("DescribeAutoScalingGroups", &of), "InstanceId")
            .map(str::to_owned)
            .collect();
        found.sort();
        found
    }

    /// The instances that stand healthy in a target group.
    pub fn targets(&self, group: &str) -> Vec<String> {
        let answer = self.elb("DescribeTargetHealth", &[("TargetGroupArn", &self.arns[group])]);
        assert!(all(&answer, "State").all(|state| state == "healthy"), "{answer}");
        let mut found: Vec<_> = all(&answer, "Id").map(str::to_owned).collect();
        found.sort();
        found
    }

    /// The weights of the twins, the first one's first.
    pub fn weights(&self, name: &str) -> [u64; 2] {
        let answer = self.elb("DescribeListeners", &[("ListenerArns.member.1", &self.arns[name])]);
        let action = all(&answer, "ForwardConfig").next().unwrap().to_owned();
        let arns: Vec<_> = all(&action, "TargetGroupArn").collect();
        let weights: Vec<u64> = all(&action, "Weight").map(|weight| weight.parse().unwrap()).collect();
        ["a", "b"].map(|side| {
            let arn = &self.arns[format!("{name}-{side}").as_str()];
            arns.iter().position(|known| known == arn).map_or(0, |at| weights[at])
        })
    }

    /// This fleet alone stands in every group, its twin has everything, and EC2 says that every instance runs.
    pub fn serves(&self, fleet: &str, twin: &str) {
        let members = self.members(fleet);
        assert_eq!(members.len(), 2, "{fleet}: {members:?}");
        assert_eq!(self.weights("public"), if twin == "public-a" { [100, 0] } else { [0, 100] });
        let other = if twin == "public-a" { "public-b" } else { "public-a" };
        assert_eq!(self.targets(twin), members);
        assert_eq!(self.targets(other), Vec::<String>::new());
        assert_eq!(self.targets("internal"), members);
        assert_eq!(self.states(&members), ["running", "running"]);
    }

    /// No such Auto Scaling group is there, and EC2 says that its instances have ended.
    pub fn is_gone(&self, fleet: &str, members: &[String]) {
        assert_eq!(self.members(fleet), Vec::<String>::new());
        assert_eq!(self.states(members), ["terminated", "terminated"]);
    }

    fn states(&self, instances: &[String]) -> Vec<String> {
        let one = |id: &String| {
            let answer = self.ec2("DescribeInstances", &[("InstanceId.1", id)]);
            let state = all(&answer, "instanceState").next().unwrap();
            first(state, "name")
        };
        instances.iter().map(one).collect()
    }

    /// Neither a plan nor a rollout goes by what is missing here, and neither changes anything.
    pub fn refuses(&self, code: i32, name: &str) {
        let before = (self.members("api"), self.weights("public"));
        let begun = self.front.actions().len();
        for args in [&["plan", "api"][..], &["rollout", "api", "--yes"]] {
            let refused = self.run(args).ended_with(code);
            assert!(refused.said().contains(name), "{}", refused.said());
        }
        let asked = self.front.actions().split_off(begun);
        let read = |action: &String| action.starts_with("Describe") || action.starts_with("Get");
        assert!(!asked.is_empty() && asked.iter().all(read), "{asked:?}");
        assert_eq!(before, (self.members("api"), self.weights("public")));
    }

    pub fn start(&self, args: &[&str]) -> Running {
        let paths = ["out", "err"].map(|kind| self.dir.path().join(format!("{}.{kind}", args[0])));
        let mut command = Command::new(env!("CARGO_BIN_EXE_deployer"));
        command.current_dir(self.dir.path()).env_clear().stdin(Stdio::null()).args(args);
        command
            .envs(["PATH", "HOME", "TMPDIR"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.env("AWS_ENDPOINT_URL", format!("http://{}", self.front.address));
        command.env("AWS_ACCESS_KEY_ID", "witness").env("AWS_SECRET_ACCESS_KEY", "witness");
        command.env("AWS_REGION", REGION).env("AWS_EC2_METADATA_DISABLED", "true").env("USER", "kim");
        command.stdout(File::create(&paths[0]).unwrap()).stderr(File::create(&paths[1]).unwrap());
        Running { child: command.spawn().unwrap(), paths }
    }

    pub fn run(&self, args: &[&str]) -> Done {
        self.start(args).wait()
    }

    /// Waits until something is so.
    pub fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            let said = || fs::read_to_string(self.dir.path().join("rollout.err")).unwrap_or_default();
            assert!(began.elapsed() < PATIENCE, "waited in vain for {what}:\n{}", said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Running {
    /// The most memory that it ever had, in MB, where the system tells it in files; returns when it has ended.
    pub(crate) fn peak(&mut self) -> f64 {
        let mut most = 0;
        let status = format!("/proc/{}/status", self.child.id());
        while self.child.try_wait().unwrap().is_none() {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u32>().ok());
            most = most.max(kib.unwrap_or(0));
            std::thread::sleep(Duration::from_millis(20));
        }
        f64::from(most) / 1024.0
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn wait(mut self) -> Done {
        let began = Instant::now();
        let text = |path: &Path| fs::read_to_string(path).unwrap();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let said = self.paths.each_ref().map(|path| text(path)).concat();
                return Done { code: status.code().unwrap_or(-1), said };
            }
            assert!(began.elapsed() < PATIENCE, "it does not end:\n{}", text(&self.paths[1]));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Done {
    pub fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.said);
        self
    }

    pub fn said(&self) -> &str {
        &self.said
    }
}

pub(crate) fn first(xml: &str, name: &str) -> String {
    all(xml, name).next().unwrap_or_else(|| panic!("no {name} in {xml}")).to_owned()
}
