//! The fake keeps its word.

mod binding;
mod faults;
mod health;
mod orders;
mod readings;
mod routes;
mod scaling;
mod servers;
mod signing;
mod wire;

use serde_json::Value;

use crate::caller::{Reply, call};
use crate::fake::{Fake, GroupOptions, Settings, World};

/// How many milliseconds of the fake anything may take before a test gives up.
const PATIENCE: u64 = 20_000;

/// Two instances of version 1 in `blue`, behind a rule of an ALB with an empty group for green beside their own, an NLB
/// and a CLB.
struct Scene {
    fake: Fake,
    app: String,
    blue: String,
    green: String,
    hosts: Vec<String>,
    alb: String,
    listener: String,
    rule: String,
    own: String,
    other: String,
    flows: String,
    stream: String,
    clb: String,
    vserver: String,
}

/// In this scene time passes only while somebody waits.
fn scene(settings: Settings) -> Scene {
    let fake = Fake::start(Settings { by_hand: true, ..settings });
    let (app, blue, green, hosts) = fake.world(|world| {
        let app = world.application("api", 8080);
        let [blue, green] = ["blue", "green"].map(|name| world.deploy_group(&app, name));
        let hosts = world.deployed(&app, "blue", "1", 2);
        world.launch_template("lt-api", &[true, false]);
        (app, blue, green, hosts)
    });
    let (alb, listener, rule, own, other) = fake.world(|world| {
        let options = GroupOptions { drain: Some(50), ..GroupOptions::default() };
        let [own, other] = ["public-a", "public-b"].map(|name| world.alb_group(name, &options));
        let alb = world.alb("edge");
        let listener = world.listener(&alb, 80, &own);
        let rule = world.rule(&listener, 10, &[(&own, 100), (&other, 0)]);
        for host in &hosts {
            world.stand(&own, host, 8080, 100);
        }
        (alb, listener, rule, own, other)
    });
    let (flows, stream, clb, vserver) = fake.world(|world| {
        let options = GroupOptions { protocol: "TCP", drain: None, ..GroupOptions::default() };
        let (nlb, flows) = (world.nlb("inner"), world.nlb_group("internal", &options));
        let stream = world.listener(&nlb, 80, &flows);
        let clb = world.clb("old");
        let vserver = world.vserver_group(&clb, "partner");
        world.clb_listener(&clb, "tcp", 80, Some(&vserver));
        for host in &hosts {
            world.stand(&flows, host, 8080, 100);
            world.stand(&vserver, host, 8080, 100);
        }
        (flows, stream, clb, vserver)
    });
    Scene { fake, app, blue, green, hosts, alb, listener, rule, own, other, flows, stream, clb, vserver }
}

impl Scene {
    /// Waits until the world is as it should be.
    fn until(&self, what: &str, is_so: impl Fn(&World) -> bool) {
        let mut waited = 0..PATIENCE;
        while !self.fake.world(|world| is_so(world)) {
            assert!(waited.next().is_some(), "waited in vain for {what}");
            self.fake.pass(1);
        }
    }

    fn edas(&self, action: &str, parameters: &[(&str, &str)]) -> Value {
        let reply = call(&self.fake, "edas", action, parameters);
        assert_eq!(reply.status, 200, "{action}: {reply:?}");
        reply.body
    }

    /// With the application named.
    fn app(&self, action: &str, parameters: &[(&str, &str)]) -> Value {
        let mut all = vec![("AppId", self.app.as_str())];
        all.extend(parameters);
        self.edas(action, &all)
    }

    /// One that must be taken.
    fn done(&self, name: &str, action: &str, parameters: &[(&str, &str)]) -> Reply {
        let reply = call(&self.fake, name, action, parameters);
        assert_eq!((reply.status, reply.code()), (200, String::new()), "{action}: {reply:?}");
        reply
    }

    /// The code of a refusal.
    fn refused(&self, name: &str, action: &str, parameters: &[(&str, &str)]) -> String {
        let reply = call(&self.fake, name, action, parameters);
        assert_ne!(reply.status, 200, "{action}: {reply:?}");
        reply.code()
    }

    /// Waits for an order, and gives how it ended.
    fn ended(&self, reply: &Value) -> u64 {
        let id = reply["ChangeOrderId"].as_str().unwrap_or_else(|| panic!("no order: {reply}"));
        for _ in 0..PATIENCE {
            let info = self.edas("GetChangeOrderInfo", &[("ChangeOrderId", id)]);
            let status = info["changeOrderInfo"]["Status"].as_u64().unwrap();
            if ![0, 1, 8, 9].contains(&status) {
                return status;
            }
            self.fake.pass(5);
        }
        panic!("an order never ended: {reply}");
    }

    /// Puts new instances into green: their hosts.
    fn grow(&self, number: &str) -> Vec<String> {
        let parameters = [("GroupId", self.green.as_str()), ("ScalingNum", number), ("TemplateId", "lt-api")];
        let reply = self.app("ScaleoutApplicationWithNewInstances", &parameters);
        assert_eq!(self.ended(&reply), 2);
        texts(&reply["InstanceIds"])
    }

    fn deploy(&self, group: &str, version: &str, more: &[(&str, &str)]) -> Value {
        let url = "https://bucket.oss-cn-hongkong.aliyuncs.com/api.jar";
        let own = [("GroupId", group), ("PackageVersion", version), ("DeployType", "url"), ("WarUrl", url)];
        self.app("DeployApplication", &[&own[..], more].concat())
    }

    /// The weights of the rule, when no job is at it.
    fn shifted(&self, own: u64, other: u64) {
        self.until("the weights to be moved", |world| {
            let weights = world.weights(&self.rule);
            weights["public-a"] == own && weights["public-b"] == other
        });
    }

    fn shift(&self, own: &str, other: &str) -> Reply {
        let tuples = "RuleActions.1.ForwardGroupConfig.ServerGroupTuples";
        let names = [1, 2].map(|n| (format!("{tuples}.{n}.ServerGroupId"), format!("{tuples}.{n}.Weight")));
        let parameters = [
            ("RuleId", self.rule.as_str()),
            ("RuleActions.1.Order", "1"),
            ("RuleActions.1.Type", "ForwardGroup"),
            (&names[0].0, &self.own),
            (&names[0].1, own),
            (&names[1].0, &self.other),
            (&names[1].1, other),
        ];
        call(&self.fake, "alb", "UpdateRuleAttribute", &parameters)
    }

    /// Nothing was answered that the official SDKs do not know.
    fn honest(&self) {
        assert_eq!(self.fake.strange(), Vec::<String>::new());
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The values of one field in a list.
fn each<'a>(list: &'a Value, field: &str) -> Vec<&'a Value> {
    list.as_array().into_iter().flatten().map(|one| &one[field]).collect()
}
