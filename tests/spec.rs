//! The deployment file through the public door: the sample, broken files with their errors, and chance.

use std::collections::BTreeMap;
use std::path::Path;

use deployer::model::{Hold, Share, Span, StrategyName};
use deployer::spec::{Ask, Faults, Provider, Source, Spec, any_value, read, validate};

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

fn shares(spec: &Spec, strategy: &str) -> Vec<u8> {
    spec.strategies[&StrategyName::new(strategy).unwrap()].steps.iter().map(|s| s.share.percent()).collect()
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
    let canary = &spec.strategies[&StrategyName::new("canary").unwrap()];
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
    let Provider::Local(local) = spec.provider;
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
