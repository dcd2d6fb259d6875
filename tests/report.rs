//! What people and machines read, compared whole with `tests/report_golden`. `UPDATE_GOLDEN=1` writes it anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod report_support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use deployer::cloud::{Fault, FaultKind};
use deployer::drive::{Notice, Outcome};
use deployer::model::{Because, Hold, OnDeadline, Seen, Share, Span};
use deployer::plan::{Draft, Note, Refusal, Refused};
use deployer::report::{
    Form, Hints, Manner, Past, Proposal, RefusalDocument, Screen, document, frame, history, history_json,
    holding, refused, show, status, why,
};
use deployer::rollout::{Actor, Event, Next, Order, Rollout};
use report_support::{Story, fleet, group, hints, me, plan, world};

const THREE: &[&str] = &["internal", "partner", "public"];

fn golden(name: &str, text: &str) {
    let path = Path::new("tests/report_golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let known = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, known, "{name} reads differently; UPDATE_GOLDEN=1 takes it over");
}

/// A rollout in which blue was attached to a group that nobody declared, while it ran.
fn dark(form: Form) -> Story {
    let mut story = Story::new(form, plan(THREE), world(THREE));
    story.until_phase("shift");
    let more = world(&["metrics"]);
    story.world.groups.extend(more.groups);
    story.until(|state| matches!(state.decide(state.at()), Next::Hold { .. })).steps(2);
    story
}

#[test]
fn a_rollout_that_completes_tells_every_phase_and_every_group() {
    let mut story = Story::new(Form::Plain, plan(THREE), world(THREE));
    let receipt = story.until(|_| false).ended();
    golden("completed.plain.txt", &story.err.text());
    golden("completed.receipt.txt", &receipt);
    golden("completed.status.txt", &status(&story.snapshot()).to_string());
    golden("completed.show.txt", &show(&story.account(), &story.snapshot(), &hints()).to_string());
}

#[test]
fn the_picture_shows_the_running_phase_with_its_groups() {
    let mut story = Story::new(Form::Json, plan(THREE), world(THREE));
    let mut pictures = frame(&story.snapshot(), 140, 40).to_string() + "\n";
    story.ill.insert((group("internal"), fleet("api-v2")), "Target.FailedHealthChecks".into());
    story.until_phase("settle").steps(4);
    pictures += &(frame(&story.snapshot(), 140, 40).to_string() + "\n");
    story.ill.clear();
    story.until_phase("shift").steps(6);
    pictures += &(frame(&story.snapshot(), 140, 40).to_string() + "\n");
    story.until_phase("drain").steps(5);
    pictures += &(frame(&story.snapshot(), 140, 40).to_string() + "\n");
    pictures += &frame(&story.snapshot(), 60, 10).to_string();
    golden("running.frames.txt", &pictures);
}

#[test]
fn a_group_that_would_go_dark_is_named_with_what_closes_the_gap() {
    let mut story = dark(Form::Plain);
    let snapshot = story.snapshot();
    golden("holding.frame.txt", &frame(&snapshot, 160, 40).to_string());
    golden("holding.refusal.txt", &holding(&snapshot, &hints()).to_string());
    golden("holding.status.txt", &status(&snapshot).to_string());
    golden("holding.why.txt", &why(&snapshot, &hints()).to_string());
    let Next::Hold { gaps, .. } = story.state.decide(story.state.at()) else { panic!("it holds") };
    golden("holding.held.txt", &story.end(&Outcome::Held { gaps }));
    golden("holding.plain.txt", &story.err.text());
}

#[test]
fn a_hold_that_is_amended_goes_on_to_the_end() {
    let mut story = dark(Form::Plain);
    story.order(Order::Amend { group: group("metrics") });
    let receipt = story.until(|_| false).ended();
    assert!(receipt.starts_with("COMPLETED"), "{receipt}");
    assert!(receipt.contains("`metrics`") && receipt.contains("amended"), "{receipt}");
}

#[test]
fn a_waived_group_is_in_the_receipt_with_its_reason() {
    let mut story = dark(Form::Plain);
    let until = story.now + Span::mins(60);
    let order = Order::Waive { group: group("metrics"), reason: "goes away tonight".into(), until };
    story.order(order);
    golden("waived.receipt.txt", &story.until(|_| false).ended());
    let years_later = story.account().snapshot(&hints(), until + Span::mins(1_000_000), Some(false));
    let shown = show(&story.account(), &years_later, &hints()).to_string();
    assert!(shown.contains("1 group excused by a waiver") && shown.contains("waived: goes away"), "{shown}");
}

#[test]
fn a_rollout_that_goes_back_says_why_and_that_blue_serves() {
    let mut story = Story::new(Form::Plain, plan(THREE), world(THREE));
    story.until_phase("shift").steps(8);
    story.ill.insert((group("public"), fleet("api-v2")), "Target.Timeout".into());
    let receipt = story.until(|_| false).ended();
    golden("rolled_back.plain.txt", &story.err.text());
    golden("rolled_back.receipt.txt", &receipt);
}

#[test]
fn a_way_back_that_fails_asks_for_a_human_and_names_what_stands_in_the_way() {
    let mut story = Story::new(Form::Plain, plan(THREE), world(THREE));
    story.until_phase("bake");
    story.ill.insert((group("public"), fleet("api-v2")), "Target.Timeout".into());
    story.until_phase("restore");
    for name in THREE {
        story.world.groups.insert(group(name), Seen::Unknown("AccessDenied: no DescribeTargetHealth".into()));
    }
    let receipt = story.until(|_| false).ended();
    golden("failed.receipt.txt", &receipt);
    golden("failed.why.txt", &why(&story.snapshot(), &hints()).to_string());
}

#[test]
fn a_refused_change_is_told_with_the_request_that_was_refused() {
    let mut story = Story::new(Form::Plain, plan(THREE), world(THREE));
    let mut fault = Fault::new(FaultKind::Denied, "RegisterTargets", "not authorized");
    fault.request_id = Some("req-17".into());
    story.until_phase("register");
    story.faults = vec![fault];
    golden("refused_change.receipt.txt", &story.until(|_| false).ended());
}

#[test]
fn whoever_waits_for_promote_or_resume_is_told_the_command() {
    let mut waiting = plan(THREE);
    waiting.steps[0].hold = Hold::Promote;
    let mut story = Story::new(Form::Plain, waiting, world(THREE));
    story.until(Rollout::awaits_promotion).steps(3);
    let mut text = story.end(&Outcome::AwaitsPromotion);
    let mut story = Story::new(Form::Plain, plan(THREE), world(THREE));
    story.until_phase("settle");
    story.order(Order::Pause);
    text += &(String::from("\n") + &story.end(&Outcome::Paused));
    let mut story = Story::new(Form::Plain, plan(THREE), world(THREE));
    story.until_phase("settle");
    text += &(String::from("\n") + &story.end(&Outcome::Interrupted));
    let other =
        Actor { user: "noa".into(), host: "laptop".into(), pid: 12, run_url: None, nonce: "n2".into() };
    let mut story = Story::new(Form::Plain, plan(THREE), world(THREE));
    story.until_phase("settle");
    story.fact(Event::Resumed { by: other.clone() });
    text += &(String::from("\n") + &story.end(&Outcome::Fenced { by: Box::new(other) }));
    golden("let_go.receipts.txt", &text);
}

#[test]
fn a_deadline_that_only_holds_is_told_as_such() {
    let mut held = plan(THREE);
    held.deadlines.then = OnDeadline::Hold;
    let mut story = Story::new(Form::Plain, held, world(THREE));
    story.ill.insert((group("internal"), fleet("api-v2")), "Target.FailedHealthChecks".into());
    story.until(|state| matches!(state.decide(state.at()), Next::Held { .. }));
    golden("deadline_held.receipt.txt", &story.end(&Outcome::Held { gaps: Vec::new() }));
}

#[test]
fn two_hundred_groups_fit_on_a_screen() {
    let names: Vec<_> = (0..200).map(|n| format!("group-{n:03}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut story = Story::new(Form::Plain, plan(&names), world(&names));
    for n in [7, 90, 150] {
        story.ill.insert((group(names[n]), fleet("api-v2")), "Target.FailedHealthChecks".into());
    }
    story.until_phase("settle").steps(4);
    let snapshot = story.snapshot();
    golden("many.frame.txt", &frame(&snapshot, 120, 24).to_string());
    golden("many.plain.txt", &story.err.text());
    assert!(status(&snapshot).lines().len() < 70);
}

#[test]
fn a_first_deployment_promises_no_way_back_that_it_does_not_have() {
    let mut first = plan(THREE);
    first.blue = None;
    first.groups.values_mut().for_each(|group| group.because = BTreeSet::from([Because::Declared]));
    let mut nothing = world(THREE);
    nothing.fleets.clear();
    for seen in nothing.groups.values_mut() {
        let Seen::Known(seen) = seen else { continue };
        seen.sides.clear();
    }
    let mut story = Story::new(Form::Plain, first, nothing);
    story.until_phase("settle");
    let picture = frame(&story.snapshot(), 140, 40).to_string();
    let receipt = story.until(|_| false).ended();
    assert!(!receipt.contains("rollback") && !picture.contains("rollback"), "{picture}{receipt}");
    golden("first.receipt.txt", &receipt);
}

#[test]
fn nothing_from_a_cloud_or_a_file_reaches_the_terminal_raw() {
    let evil = "\u{1b}[2J\u{1b}]0;x\u{7}\r\n::error::forged\u{202e}\u{200b}\u{9b}31m";
    let mut story =
        Story::new(Form::Plain, plan(&["$(reboot)`x`", "public"]), world(&["$(reboot)`x`", "public"]));
    story.ill.insert((group("$(reboot)`x`"), fleet("api-v2")), evil.into());
    story.until_phase("settle").steps(4);
    story.world.unread.insert(evil.into());
    story.look();
    let fault = Fault::new(FaultKind::Unreachable, evil, evil);
    story.screen.notice(&story.state, &Notice::LookFailed(&fault), story.now);
    story.fact(Event::Ordered {
        order: Order::Waive { group: group("public"), reason: evil.into(), until: story.now + Span::mins(5) },
        by: Actor { user: evil.into(), host: evil.into(), run_url: Some(evil.into()), ..me() },
    });
    story.fact(Event::Released { why: evil.into() });
    let snapshot = story.snapshot();
    let account = story.account();
    let mut texts = vec![
        frame(&snapshot, 500, 50).to_string(),
        status(&snapshot).to_string(),
        why(&snapshot, &hints()).to_string(),
        show(&account, &snapshot, &hints()).to_string(),
        document(&snapshot),
        history_json(&[Past::from(&snapshot)]),
    ];
    texts.push(story.end(&Outcome::Interrupted));
    texts.push(story.err.text());
    for text in texts {
        let raw = text.chars().find(|c| (c.is_control() && *c != '\n') || "\u{202e}\u{200b}".contains(*c));
        assert_eq!(raw, None, "{text}");
        assert!(!text.lines().any(|line| line.starts_with("::")), "{text}");
    }
    golden("hostile.plain.txt", &story.err.text());
}

#[test]
fn every_line_of_ndjson_is_a_document_and_the_last_one_holds_everything() {
    let mut story = Story::new(Form::Ndjson, plan(THREE), world(THREE));
    story.until(|_| false).ended();
    let text = story.out.text();
    golden("completed.ndjson", &text);
    assert_eq!(story.err.text(), "");
    let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.iter().all(|row| row["schema"] == 1 && row["rollout"]["id"] == "api/local/7"));
    assert_eq!(rows.first().unwrap()["type"], "opened");
    let last = rows.last().unwrap();
    assert_eq!((&last["type"], &last["data"]["outcome"]), (&"end".into(), &"completed".into()));
    assert_eq!(last["data"]["target_groups"].as_array().unwrap().len(), 3);
    let recorded = rows.iter().filter(|row| !matches!(row["type"].as_str().unwrap(), "waiting" | "end"));
    assert_eq!(recorded.count(), story.facts.len());
}

#[test]
fn json_is_silent_and_ends_with_one_document() {
    let mut story = dark(Form::Json);
    assert_eq!(story.out.text() + &story.err.text(), "");
    golden("holding.json", &story.end(&Outcome::Interrupted));
}

#[test]
fn a_long_wait_gives_a_sign_of_life_and_nothing_more() {
    let mut story = Story::new(Form::Plain, plan(THREE), world(THREE));
    story.ill.insert((group("internal"), fleet("api-v2")), "Target.FailedHealthChecks".into());
    story.until_phase("settle").steps(10);
    let before = story.err.text().lines().count();
    let from = story.now;
    while story.now < from + Span::secs(120) {
        story.steps(1);
    }
    let lines = story.err.text().lines().skip(before).map(str::to_owned).collect::<Vec<_>>();
    assert!((3..=4).contains(&lines.len()), "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("still: 2 of 3 groups healthy, deadline")), "{lines:?}");
}

#[test]
fn a_plan_shows_every_group_every_step_and_what_it_refuses() {
    let mut drawn = plan(THREE);
    drawn.steps.insert(1, deployer::model::Step { share: Share::new(50).unwrap(), hold: Hold::Promote });
    let notes = vec![Note::Smaller { blue: 3, green: 2 }, Note::AllAtOnce { group: group("internal") }];
    let draft = Draft { plan: drawn, notes };
    let proposal = Proposal::of(&draft, &world(THREE), &hints());
    golden("plan.txt", &proposal.text().to_string());
    golden("plan.json", &document(&proposal));
}

/// A group that takes no steps, by membership or by its route.
fn whole(name: &str, joined: Option<Share>) -> Refused {
    Refused::Whole {
        group: group(name),
        strategy: "canary".parse().unwrap(),
        parts: [10, 50].map(|part| Share::new(part).unwrap()).to_vec(),
        joined,
        routes: BTreeSet::from([format!("listener {name}:443")]),
        switch: joined.map(|_| "switch".parse().unwrap()),
    }
}

#[test]
fn a_refused_plan_names_every_group_and_what_helps() {
    let refusal = Refusal {
        reasons: vec![
            Refused::Undeclared {
                group: group("internal"),
                blue_healthy: 2,
                routes: BTreeSet::from(["listener internal:8443 rule 20".into()]),
            },
            Refused::Dropped { group: group("partner") },
            Refused::Unread { what: "NLB in eu-central-1: AccessDenied".into() },
            whole("search", None),
            whole("wire", Some(Share::new(50).unwrap())),
        ],
        groups: 3,
    };
    let hints = Hints { suffix: "--environment prod".into(), ..hints() };
    golden("refused.txt", &refused(&refusal, &hints).to_string());
    golden("refused.json", &document(&RefusalDocument::of(&refusal, &hints)));
}

#[test]
fn a_history_is_a_table_and_a_document() {
    let mut done = Story::new(Form::Json, plan(THREE), world(THREE));
    done.until(|_| false);
    let mut back = Story::new(Form::Json, plan(THREE), world(THREE));
    back.until_phase("shift");
    back.order(Order::Abort);
    back.until(|_| false);
    let past =
        [Past::from(&dark(Form::Json).snapshot()), (&back.snapshot()).into(), (&done.snapshot()).into()];
    golden("history.txt", &history(&past).to_string());
    golden("history.json", &history_json(&past));
    assert_eq!(history(&[]).to_string(), "No rollout yet.\n");
}

/// A reader that went away, or a disk that is full.
struct Broken(io::ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

#[test]
fn a_reader_that_went_away_is_no_error_and_a_full_disk_is_one() {
    let story = dark(Form::Json);
    for (kind, fine) in [(io::ErrorKind::BrokenPipe, true), (io::ErrorKind::StorageFull, false)] {
        for form in [Form::Plain, Form::Ndjson, Form::Json] {
            let manner = Manner { form, colour_out: true, colour_err: true, hints: hints() };
            let mut screen = Screen::new(manner, Box::new(Broken(kind)), Box::new(Broken(kind)));
            screen.notice(&story.state, &Notice::Looked, story.now);
            assert_eq!(screen.end(&story.state, &Outcome::Interrupted).is_ok(), fine, "{form:?} {kind:?}");
        }
    }
}

#[test]
fn a_picture_off_a_terminal_draws_nothing_and_leaves_the_receipt() {
    let mut story = Story::new(Form::Terminal, plan(THREE), world(THREE));
    let receipt = story.until(|_| false).ended();
    assert!(receipt.starts_with("COMPLETED"), "{receipt}");
    assert!(story.screen.bars().is_some());
}

#[test]
fn colour_adds_nothing_that_is_not_said_in_words() {
    let snapshot = dark(Form::Json).snapshot();
    let text = frame(&snapshot, 200, 50);
    let mut stripped = String::new();
    let mut inside = false;
    for c in text.paint(true).chars() {
        match c {
            '\u{1b}' => inside = true,
            'm' if inside => inside = false,
            _ if !inside => stripped.push(c),
            _ => {}
        }
    }
    let trimmed: Vec<_> = stripped.lines().map(str::trim_end).collect();
    assert_eq!(trimmed, text.paint(false).lines().collect::<Vec<_>>());
}

#[test]
fn a_step_summary_and_its_outputs_tell_what_the_receipt_tells() {
    use deployer::report::github::{Outputs, file, summary};
    let told = |story: &Story, outcome: &Outcome| {
        let snapshot = story.snapshot().closed(outcome, &hints());
        format!("{}---\n{}", summary::rollout(&snapshot), file(&Outputs::of(&snapshot).pairs(), "end"))
    };
    let mut story = Story::new(Form::Json, plan(THREE), world(THREE));
    let verdict = story.until(|_| false).state.verdict().cloned().unwrap();
    golden("completed.summary.md", &told(&story, &Outcome::Ended(verdict)));

    let story = dark(Form::Json);
    let Next::Hold { gaps, .. } = story.state.decide(story.state.at()) else { panic!("it holds") };
    golden("holding.summary.md", &told(&story, &Outcome::Held { gaps }));

    let mut story = Story::new(Form::Json, plan(THREE), world(THREE));
    story.ill.insert((group("internal"), fleet("api-v2")), "| <b>no</b> `x` @all www.a.com\n## no".into());
    story.until_phase("settle").steps(4);
    golden("unwell.summary.md", &told(&story, &Outcome::Interrupted));
    story.order(Order::Abort);
    let verdict = story.until(|_| false).state.verdict().cloned().unwrap();
    golden("rolled_back.summary.md", &told(&story, &Outcome::Ended(verdict)));

    let reasons = vec![
        Refused::Undeclared {
            group: group("<img/src=x>|`"),
            blue_healthy: 2,
            routes: BTreeSet::from(["[a](http://b)\n::error::x".to_owned()]),
        },
        Refused::Dropped { group: group("partner") },
    ];
    let refusal = Refusal { reasons, groups: 3 };
    let outputs = file(&Outputs::of_refusal(&refusal).pairs(), "end");
    golden("refused.summary.md", &format!("{}---\n{outputs}", summary::refusal(&refusal, &hints())));
}

#[test]
fn a_summary_of_any_number_of_groups_stays_below_its_limit() {
    use deployer::report::github::summary;
    let names: Vec<_> = (0..3_000).map(|n| format!("{}-{n}", "&".repeat(400))).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut story = Story::new(Form::Json, plan(&names), world(&names));
    story.look();
    let text = summary::rollout(&story.snapshot());
    assert!(text.len() <= summary::SUMMARY_MAX, "{}", text.len());
    assert!(text.contains("more.") && text.contains("| Phase |"), "{}", &text[text.len() - 400..]);
}
