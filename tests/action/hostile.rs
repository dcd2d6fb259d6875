//! Values that would like to be obeyed.

use std::fs;

use crate::rig::Rig;
use crate::runner::Step;

const FOLDER: &str = "de\n::error title=forged::yes\n##[warning]x\nresult<<e\n100% \"q\" 'a' | <b> `c` 🚀";
const REASON: &str =
    "::stop-commands::x ##[add-mask]1 %0A::error::y | </table><img src=x> [a](http://b) `c` \"q\" 🚀";

#[test]
fn no_name_no_path_and_no_reason_is_obeyed_or_ends_an_output_early() {
    let rig = Rig::with_blue(|_| {});
    fs::rename(rig.dir().join("deployments"), rig.dir().join(FOLDER)).unwrap();
    let actor = "::set-output name=result::completed\n::error::x";
    let step = Step::new(&rig, "rollout").set("INPUT_CONFIG", FOLDER).set("GITHUB_ACTOR", actor);
    let left = step.run().ended_with(0, "completed");
    left.obeys_only_us();
    assert!(left.outputs["rollback-command"].contains(FOLDER), "{:?}", left.outputs);
    assert_eq!(left.outputs.len(), 11, "{:?}", left.outputs);
    assert!(left.annotations("error").is_empty() && left.annotations("warning").is_empty());
    for sign in ["<b>", "`c`", "\n::error", "##["] {
        assert!(!left.summary.contains(sign), "{sign:?}: {}", left.summary);
    }

    // The same of a faulty file, whose text is shown.
    let file = rig.dir().join(FOLDER).join("api.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("settle: 100ms", "settle: '##[error]::error::x'")).unwrap();
    let step = Step::new(&rig, "rollout").set("INPUT_CONFIG", FOLDER);
    let left = step.run().ended_with(2, "usage");
    left.obeys_only_us();
    assert_eq!(left.annotations("error")[0].properties["file"], format!("{FOLDER}/api.yaml"));
    fs::rename(rig.dir().join(FOLDER), rig.dir().join("deployments")).unwrap();
}

#[test]
fn a_waiver_is_a_warning_and_its_reason_only_text() {
    let mut rig = Rig::with_blue(|_| {});
    rig.edit(|file| file.leave_out("internal"));
    let out = rig.dir().join("out");
    let summary = rig.dir().join("summary");
    let mut command = rig.command(&["rollout", "api", "--waive", "internal", "--reason", REASON, "--yes"]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_OUTPUT", &out).env("GITHUB_STEP_SUMMARY", &summary);
    let done = rig.launch(command, "waived").wait().ended_with(0);
    let commands: Vec<_> = done.said().lines().filter_map(crate::runner::obeyed).collect();
    let warnings: Vec<_> = commands.iter().filter(|command| command.name == "warning").collect();
    assert_eq!(warnings.len(), 1, "{commands:?}");
    assert_eq!(warnings[0].message, REASON);
    let known = ["group", "endgroup", "warning", "notice"];
    assert!(commands.iter().all(|command| known.contains(&command.name.as_str())), "{commands:?}");
    let summary = fs::read_to_string(summary).unwrap();
    assert!(
        summary.contains("Waived") && !summary.contains("<img") && !summary.contains("](http"),
        "{summary}"
    );
    let outputs = crate::runner::file_command(&fs::read_to_string(out).unwrap());
    assert_eq!(outputs["result"], "completed");
}

#[test]
fn data_stays_data_where_machines_read_it() {
    let rig = Rig::with_blue(|_| {});
    let mut command = rig.command(&["rollout", "api", "--output", "json"]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_ACTOR", "##[error]mia");
    let done = rig.launch(command, "json").wait().ended_with(0);
    assert!(done.out.lines().all(|line| crate::runner::obeyed(line).is_none()), "{}", done.out);
    let document: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(document["driver"]["user"], "##[error]mia");
    assert!(!done.err.contains("::group::"), "{}", done.err);
    // Nothing of all this where it was not asked for.
    let mut command = rig.command(&["plan", "api", "--github", "off"]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_OUTPUT", rig.dir().join("none"));
    rig.launch(command, "off").wait().ended_with(0);
    assert!(!rig.dir().join("none").exists());
}
