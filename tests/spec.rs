//! The deployment file through the public door: the sample, broken files with their errors, and chance.

use std::collections::BTreeMap;
use std::path::Path;

use deployer::model::{Hold, Share, Span, StrategyName};
use deployer::spec::{Ask, EdasFleets, Faults, Provider, Source, Spec, any_value, read, validate};

const SAMPLE: &str = include_str!("../deployments/api.yaml");

fn check(name: &str, text: &str) -> Result<BTreeMap<String, Spec>, Faults> {
    let variables = |name: &str| match name {
        "TAG" => Some("2.1.0".to_owned()),
        "SECRET" => Some("hunter2 hunter2".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    let specs = validate(&Source { name, text }, &variables)?;
    Ok(specs.into_iter().map(|(name, spec)| (name.to_string(), spec)).collect())
}

fn only(text: &str) -> Spec {
    match read(&Source { name: "test.yaml", text }, &Ask::default(), &any_value) {
        Ok(spec) => spec,
        Err(faults) => panic!("{}", faults.render(false)),
    }
}

fn name(text: &str) -> StrategyName {
    text.parse().expect("a name of the test")
}

fn shares(spec: &Spec, strategy: &str) -> Vec<u8> {
    spec.strategies[&name(strategy)].steps.iter().map(|s| s.share.percent()).collect()
}

const SMALL: &str = "
service: api
revision: 1.10
environments:
  local: { provider: { local: { command: [run], groups: { public: { listen: '127.0.0.1:80' } } } } }
";

#[test]
fn the_sample_is_read_as_its_comments_say() {
    let spec = only(SAMPLE);
    assert_eq!(spec.service.as_str(), "api");
    assert_eq!(spec.environment.as_str(), "local");
    assert_eq!(spec.revision.as_str(), "2.0.0");
    assert_eq!(spec.strategy.as_str(), "bluegreen");
    assert_eq!(shares(&spec, "bluegreen"), [10, 50, 100]);
    assert_eq!(shares(&spec, "canary"), [5, 100]);
    assert_eq!(shares(&spec, "linear"), [20, 40, 60, 80, 100]);
    assert_eq!(shares(&spec, "switch"), [100]);
    assert_eq!(spec.groups().len(), 2);
    assert_eq!(spec.bake, Hold::For(Span::secs(4)));
    let canary = &spec.strategies[&name("canary")];
    assert_eq!(canary.steps[0].hold, Hold::Promote);
}

#[test]
fn a_small_file_gets_the_defaults_that_the_sample_spells_out() {
    let (small, sample) = (only(SMALL), only(SAMPLE));
    assert_eq!(small.deadlines, sample.deadlines);
    assert_eq!((small.min_healthy, small.freeze), (Share::ALL, true));
    assert_eq!(
        (small.settle, small.bake, small.quiet),
        (Span::secs(10), Hold::For(Span::mins(5)), Span::mins(5))
    );
    assert_eq!((small.strategy.as_str(), shares(&small, "bluegreen")), ("bluegreen", vec![100]));
    assert_eq!(small.revision.as_str(), "1.10", "a revision is a text and not a number");
    assert_eq!(small.instances, None);
}

#[test]
fn an_environment_lies_over_what_is_shared() {
    let text = "
service: api
revision: 1
strategy: slow
strategies: { slow: { steps: [50, 100] }, fast: { steps: [100] } }
deadlines: { drain: 20m, then: hold }
environments:
  one:
    provider: &here { local: { command: [run], groups: { public: { listen: '127.0.0.1:80' } } } }
  two:
    revision: 2
    strategy: extra
    strategies: { extra: { by: 40, every: promote }, slow: { steps: [10, 100] } }
    deadlines: { shift: 1m }
    freeze: false
    provider: *here
";
    let specs = check("test.yaml", text).unwrap();
    let (one, two) = (&specs["one"], &specs["two"]);
    assert_eq!((one.revision.as_str(), two.revision.as_str()), ("1", "2"));
    assert_eq!((one.strategies.len(), two.strategies.len()), (2, 3));
    assert_eq!((shares(one, "slow"), shares(two, "slow")), (vec![50, 100], vec![10, 100]));
    assert_eq!(shares(two, "extra"), [40, 80, 100]);
    assert_eq!((one.deadlines.drain, two.deadlines.drain), (Span::mins(20), Span::mins(20)));
    assert_eq!((one.deadlines.shift, two.deadlines.shift), (Span::mins(5), Span::mins(1)));
    assert_eq!(one.deadlines.then, two.deadlines.then);
    assert_eq!((one.freeze, two.freeze), (true, false));
    assert_eq!(one.provider, two.provider);
}

#[test]
fn variables_are_filled_in_only_for_the_environment_that_is_asked_for() {
    let text = "
service: api
revision: v${TAG}
environment: one
environments:
  one: { provider: { local: { command: [run, '$${A}'], env: { A: 'x${TAG}' }, groups: { p: { listen: '127.0.0.1:80' } } } } }
  two: { provider: { local: { command: ['${UNSET}'], groups: { p: { listen: '127.0.0.1:80' } } } } }
";
    let source = Source { name: "test.yaml", text };
    let tag = |name: &str| (name == "TAG").then(|| "7".to_owned());
    let spec = read(&source, &Ask::default(), &tag).unwrap();
    let Provider::Local(local) = spec.provider else { panic!("{spec:?}") };
    assert_eq!(
        (spec.revision.as_str(), local.command[1].as_str(), local.env["A"].as_str()),
        ("v7", "${A}", "x7")
    );
    let two = Ask { environment: Some("two".parse().unwrap()), ..Ask::default() };
    let faults = read(&source, &two, &tag).unwrap_err();
    assert_eq!((faults.faults[0].line, faults.faults.len()), (7, 1), "{faults}");
    assert!(validate(&source, &any_value).is_ok());
}

#[test]
fn what_is_asked_for_takes_the_place_of_what_the_file_would_choose() {
    let ask = Ask {
        strategy: Some("canary".parse().unwrap()),
        revision: Some("3".parse().unwrap()),
        ..Ask::default()
    };
    let source = Source { name: "api.yaml", text: SAMPLE };
    let spec = read(&source, &ask, &|_| None).unwrap();
    assert_eq!((spec.strategy.as_str(), spec.revision.as_str()), ("canary", "3"));
    let ask = Ask { strategy: Some("canari".parse().unwrap()), ..Ask::default() };
    let faults = read(&source, &ask, &|_| None).unwrap_err().to_string();
    assert!(faults.contains("no strategy `canari` is defined"), "{faults}");
    let ask = Ask { environment: Some("prod".parse().unwrap()), ..Ask::default() };
    let faults = read(&source, &ask, &|_| None).unwrap_err();
    assert_eq!(faults.faults[0].hint.as_deref(), Some("defined: `local`"));
}

#[test]
fn a_service_on_alibaba_cloud_has_its_own_port_where_a_group_says_none() {
    let text = "
service: api
revision: 1.4.0
environments:
  hongkong:
    provider:
      edas:
        account: '1234567890123456'
        region: cn-hongkong
        application: 6bb3d2f0
        fleets: { pair: [_DEFAULT_GROUP, green] }
        hosts: { template: lt-1, template_version: 3 }
        package: 'https://packages.example.com/api-{revision}.jar'
        port: 8080
        groups: { public: { alb_twins: [sgp-a, sgp-b] }, inner: { nlb: sgp-c, port: 9000 }, old: { clb: rsp-d } }
";
    let spec = only(text);
    assert_eq!(spec.pair().map(|pair| pair[0].as_str()), Some("_DEFAULT_GROUP"));
    let Provider::Edas(edas) = &spec.provider else { panic!("{spec:?}") };
    let ports: Vec<_> = edas.groups.values().map(|group| group.port).collect();
    assert_eq!(ports, [9000, 8080, 8080]);
    let EdasFleets::Groups(own) = &edas.fleets else { panic!("{edas:?}") };
    assert_eq!(own.package_of(&spec.revision), "https://packages.example.com/api-1.4.0.jar");
    assert_eq!((edas.call_timeout, edas.pace), (Span::secs(10), Span::secs(5)));
}

#[test]
fn two_applications_on_kubernetes_are_fleets_whose_revision_stands_in_their_image() {
    let text = "
service: api
revision: 1.4.0
environments:
  hongkong:
    provider:
      edas:
        account: '1234567890123456'
        region: cn-hongkong
        fleets: { kubernetes: { applications: [api-blue, api-green], image: 'cr.example.com/shop/api:{revision}-slim' } }
        port: 8080
        groups: { public: { alb_twins: [sgp-a, sgp-b] }, inner: { nlb_twins: [sgp-c, sgp-d] }, old: { clb_twins: [rsp-e, rsp-f], unproved: accept } }
";
    let spec = only(text);
    assert_eq!(spec.pair(), Some(&["api-blue", "api-green"].map(str::to_owned)));
    let Provider::Edas(edas) = &spec.provider else { panic!("{spec:?}") };
    let EdasFleets::Kubernetes(own) = &edas.fleets else { panic!("{edas:?}") };
    assert_eq!(own.image_of(&spec.revision), "cr.example.com/shop/api:1.4.0-slim");
    let of = |image: &str| own.revision_of(image).map(|revision| revision.to_string());
    assert_eq!(of("cr.example.com/shop/api:1.4.0-slim").as_deref(), Some("1.4.0"));
    for strange in
        ["cr.example.com/shop/api:1.4.0", "cr.example.com/shop/other:1-slim", "cr.example.com/shop/api:-slim"]
    {
        assert_eq!(of(strange), None, "{strange}");
    }
}

/// Every `tests/spec_golden/*.yaml` is broken, and its errors are the `.txt` beside it. `UPDATE_GOLDEN=1` rewrites them.
#[test]
fn every_broken_file_gets_the_errors_that_are_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec_golden");
    let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    names.sort();
    assert!(names.len() >= 10, "the table is not there");
    let mut wrong = Vec::new();
    for path in names {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let faults = check(name, &text).expect_err(name);
        let said = faults.render(false);
        assert!(!said.contains("hunter2"), "{name} repeats a secret");
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &said).unwrap();
        }
        if std::fs::read_to_string(&golden).unwrap_or_default() != said {
            wrong.push(format!("{name}:\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "other errors than written down:\n{}", wrong.join("\n"));
}

fn many(count: u32, line: impl Fn(u32) -> String) -> String {
    (0..count).fold(String::new(), |text, n| text + &line(n))
}

#[test]
fn a_hostile_file_ends_in_one_error_and_soon() {
    let laughs: String = (1..12).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
        format!("{text}a{n}: &a{n} [*a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}]\n", n - 1)
    });
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), "*a, ".repeat(5_000));
    let ladder: String =
        (1..100).fold("a0: &a0 [x]\n".to_owned(), |text, n| format!("{text}a{n}: &a{n} [*a{}]\n", n - 1));
    let groups: String = many(50_000, |n| format!("g{n}: {{listen: 1}}\n"));
    for (text, words) in [
        (laughs, "more than 10000 values"),
        (long, "grow beyond"),
        (ladder, "nested deeper than 32"),
        (groups, "more than 10000 values"),
        ("[".repeat(10_000), "recursion limit"),
        ("- ".repeat(10_000), "nested deeper than 32"),
        ("a: {".repeat(10_000), "nested deeper than 32"),
        (" ".repeat((1 << 20) + 1), "larger than"),
        ("a\0b: 1".to_owned(), "not valid YAML"),
        ("a: \u{1b}[31m".to_owned(), "not valid YAML"),
    ] {
        let faults = check("hostile.yaml", &text).unwrap_err();
        let said = faults.render(false);
        assert!(said.contains(words), "{words}: {said}");
        assert!(faults.faults.len() <= 2 && said.len() < 2_000, "{said}");
    }
}

#[test]
fn many_faults_are_counted_and_not_all_listed() {
    let keys: String = many(2_000, |n| format!("key{n}: 1\n"));
    let faults = check("many.yaml", &keys).unwrap_err();
    assert_eq!((faults.faults.len(), faults.more), (100, 1_902));
    assert!(faults.render(false).ends_with("and 1902 more faults\n"));
}

#[test]
fn no_sign_of_the_file_reaches_the_terminal_as_a_command() {
    for sign in
        ['\u{7f}', '\u{80}', '\u{85}', '\u{9b}', '\u{200b}', '\u{202e}', '\u{2066}', '\u{feff}', '\u{e0041}']
    {
        let text = format!("service: x{sign}[2Jx{sign}\nsettle{sign}: 1\n");
        let faults = check(&format!("a{sign}b.yaml"), &text).unwrap_err();
        let said = faults.render(false) + &faults.to_string();
        assert!(!said.contains(sign), "{said:?}");
    }
}

#[test]
fn a_fault_has_one_place_in_every_form() {
    let text = "service: api\nrevision: 1\n生产: 1\nenvironments: { local: { \u{e9}: 1 } }\n";
    let faults = check("place.yaml", text).unwrap_err();
    let json = serde_json::to_value(&faults).unwrap();
    assert_eq!(json["file"], "place.yaml");
    assert_eq!(json["faults"][0]["line"], 3);
    let keys: Vec<_> = json.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["faults", "file", "more"]);
    let plain = faults.render(false);
    for fault in &faults.faults {
        let place = format!("place.yaml:{}:{}\n", fault.line, fault.column);
        assert!(plain.contains(&place), "{place} is not in {plain}");
    }
    assert!(faults.render(true).contains("\u{1b}["));
    assert!(!plain.contains('\u{1b}'));
}

#[test]
fn the_deployment_file_that_the_readme_shows_is_right() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let blocks: Vec<_> =
        readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let whole: Vec<_> = blocks.into_iter().filter(|text| text.starts_with("service:")).collect();
    assert!(!whole.is_empty());
    for text in whole {
        let source = Source { name: "README.md", text };
        deployer::spec::validate(&source, &|_: &str| Some("1".to_owned()))
            .unwrap_or_else(|faults| panic!("{faults}"));
    }
}
