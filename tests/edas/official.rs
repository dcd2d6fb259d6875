//! The official Python SDKs drive the fake through a whole blue/green by hand: a fake that the real clients cannot use is
//! no fake.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::caller::product;
use crate::fake::{self, Fake, GroupOptions, KEY_ID, REGION, SECRET, Settings};

/// The SDKs whose models the fake's own tables are read from.
const SDKS: [&str; 7] = [
    "alibabacloud-edas20170801==2.0.0",
    "alibabacloud-alb20200616==1.3.3",
    "alibabacloud-slb20140515==3.3.31",
    "alibabacloud-ess20220222==1.13.3",
    "alibabacloud-nlb20220430==4.1.3",
    "alibabacloud-ecs20140526==7.11.8",
    "alibabacloud-sts20150401==1.2.0",
];

const PRODUCTS: [&str; 7] = ["edas", "alb", "nlb", "slb", "ess", "ecs", "sts"];

/// The environment: made once, by whichever test comes first, while the others wait for it.
fn environment() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("official-alibaba-2");
    let done = folder.join("installed");
    let lock = File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !done.exists() {
        let python = Command::new("python3").arg("--version").output();
        let there = python.is_ok_and(|answer| answer.status.success());
        assert!(
            there,
            "this test installs {SDKS:?} for itself and needs `python3` with `venv` and `pip` for it"
        );
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        run(Command::new(folder.join("bin/pip")).args(["install", "--quiet"]).args(SDKS));
        std::fs::write(done, SDKS.join("\n")).unwrap();
    }
    folder
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An application of two instances behind an ALB's rule, an NLB's listener and a CLB's listener.
fn given(fake: &Fake) -> Value {
    let mut given = fake.world(|world| {
        let app = world.application("api", 8080);
        world.deploy_group(&app, "blue");
        let hosts = world.deployed(&app, "blue", "1", 2);
        world.launch_template("lt-api", &[true]);
        let (alb, nlb, clb) = (world.alb("edge"), world.nlb("inner"), world.clb("old"));
        let options = GroupOptions { drain: Some(20), ..GroupOptions::default() };
        let [blue, green] = ["public-a", "public-b"].map(|name| world.alb_group(name, &options));
        let flows = world.nlb_group("internal", &GroupOptions { protocol: "TCP", ..options });
        let vserver = world.vserver_group(&clb, "partner");
        let front = world.listener(&alb, 80, &blue);
        let rule = world.rule(&front, 10, &[(&blue, 100), (&green, 0)]);
        let stream = world.listener(&nlb, 80, &flows);
        world.clb_listener(&clb, "tcp", 80, Some(&vserver));
        for host in &hosts {
            for group in [&blue, &flows, &vserver] {
                world.stand(group, host, 8080, 100);
            }
        }
        // The default action serves whoever no rule is for: somebody else.
        let other = world.alb_group("other", &GroupOptions::default());
        let stranger = world.host();
        world.stand(&other, &stranger, 80, 100);
        let scaling = world.scaling_group("api", &hosts);
        for listener in world.listeners.iter_mut().filter(|listener| listener.id == front) {
            listener.shares = vec![(other.clone(), 100)];
        }
        json!({
            "app": app, "template": "lt-api", "alb_blue": blue, "alb_green": green, "alb_listener": front,
            "alb_rule": rule, "nlb_group": flows, "nlb_listener": stream, "clb": clb, "vserver": vserver,
            "scaling_group": scaling,
        })
    });
    given["endpoint"] = json!(fake.url().trim_start_matches("http://"));
    given["region"] = json!(REGION);
    given["key"] = json!(KEY_ID);
    given["secret"] = json!(SECRET);
    given
}

/// What a program of this folder says, given something to read.
fn said(program: &str, given: &Value) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/edas/official");
    let mut python = Command::new(environment().join("bin/python3"))
        .arg(folder.join(program))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_operation_is_asked_for_and_answered_as_the_official_sdk_has_it() {
    let wanted = PRODUCTS.map(|name| (name, product(name).operations.keys().collect::<Vec<_>>()));
    let wanted: BTreeMap<_, _> = wanted.into();
    let official = said("table.py", &json!(wanted));
    let mut wrong = Vec::new();
    for (name, operations) in wanted {
        for action in operations {
            let (shape, sdk) = (&product(name).operations[action], &official[name][action]);
            let sorted = |lines: &[String]| lines.iter().cloned().collect::<BTreeSet<_>>();
            // The SDK has maps here whose keys nobody names; the text beside them asks for JSON arrays.
            let maps = (name, action.as_str()) == ("edas", "ListTagResources");
            let same = sdk["version"] == json!(product(name).version)
                && sdk["method"] == json!(shape.method)
                && sdk["path"] == json!(shape.path)
                && (maps || sdk["query"] == json!(sorted(&shape.query)))
                && sdk["form"] == json!(sorted(&shape.form))
                && sdk["reply"] == shape.reply;
            // Some are needed under a condition only, and are not in the table.
            let needed = sdk["required"].as_array().unwrap();
            if !same || !shape.needs.iter().all(|need| needed.contains(&json!(need))) {
                wrong.push(format!("{name}:{action}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_official_sdks_take_an_application_from_blue_to_green() {
    // Long enough for the next call to come while a job or a change order runs.
    let fake = Fake::start(Settings { job: 500, step: 250, ..Settings::default() });
    let given = given(&fake);
    let said = said("drive.py", &given);

    // Nothing was asked that the fake does not know, and nothing answered that the SDKs do not.
    assert_eq!(fake.unknown(), Vec::<String>::new());
    assert_eq!(fake.strange(), Vec::<String>::new());
    let oracle = fake.oracle();
    assert!(oracle.darknesses.is_empty(), "{:?}", oracle.darknesses);
    let app = given["app"].as_str().unwrap();
    let running = fake.world(|world| world.running(app, "green-2", Some("20260102 030405+blue/green")));
    assert_eq!(json!(running), said["green"]);
    for group in ["alb_green", "nlb_group", "vserver"] {
        let id = given[group].as_str().unwrap();
        let states = fake.world(|world| world.server_states(id));
        assert!(states.values().all(|state| state == "healthy"), "{group}: {states:?}");
        let hosts: Vec<String> = states.into_keys().map(|(host, _)| host).collect();
        assert_eq!(json!(hosts), said["green"], "{group}");
    }
}

#[test]
fn every_operation_of_the_tables_is_one_that_the_fake_does() {
    let missing = PRODUCTS.iter().flat_map(|name| {
        let operations = product(name).operations.keys();
        operations.filter(|action| !fake::does(name, action)).map(move |action| format!("{name}:{action}"))
    });
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<String>::new());
}
