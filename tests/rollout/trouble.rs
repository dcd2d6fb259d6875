//! A host that does not do what it should: ports, disks, files.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use deployer::cloud::Change;
use deployer::cloud::local::LocalStatus;
use deployer::journal::{FileStore, Journal};
use deployer::model::Share;
use deployer::rollout::{Cause, Event, Recorded, Rollout, Verdict};

use crate::rig::{Rig, beside_each_other};

#[test]
fn a_port_that_somebody_else_holds_is_named_and_nothing_is_left_half_started() {
    let rig = Rig::new(|file| file.bootstrap = true);
    let taken = TcpListener::bind(rig.address("public")).unwrap();
    // At once, and not when the minutes of its deadline are over.
    rig.run(&["rollout", "api"]).ended_with(11);
    let Some(Verdict::RolledBack { cause: Cause::Refused { fault } }) = rig.state(1).verdict().cloned()
    else {
        panic!("{:?}", rig.state(1).verdict());
    };
    let address = rig.address("public").to_string();
    assert!(fault.contains("`public`") && fault.contains(&address), "{fault}");
    assert_eq!(rig.processes().len(), 0);
    assert!(TcpListener::bind(rig.address("internal")).is_ok(), "half of it listens");
    drop(taken);
    rig.run(&["rollout", "api"]).ended_with(0);
    rig.serves("2.0.0", 2);
    rig.verify();
}

#[test]
fn a_new_group_on_a_port_that_somebody_else_holds_goes_back_and_leaves_blue_as_it_was() {
    let mut rig = Rig::with_blue(|_| {});
    let taken = TcpListener::bind(rig.address("partner")).unwrap();
    rig.edit(|file| file.declare("partner"));
    rig.run(&["rollout", "api"]).ended_with(11);
    rig.edit(|file| file.leave_out("partner"));
    rig.serves("1.0.0", 2);
    drop(taken);
    rig.edit(|file| file.declare("partner"));
    rig.run(&["rollout", "api"]).ended_with(0);
    rig.serves("2.0.0", 2);
    rig.verify();
}

/// What the world holds of green was announced before.
fn nothing_was_done_in_secret(facts: &[Recorded], status: &LocalStatus) {
    let announced = facts.iter().filter_map(|fact| match &fact.event {
        Event::Changing { changes, .. } => Some(changes),
        _ => None,
    });
    let announced: Vec<_> = announced.flatten().collect();
    let green = Rollout::fold(facts).unwrap().plan().green.id.clone();
    let provisioned = announced.iter().any(|change| matches!(change, Change::Provision { .. }));
    assert!(provisioned || !status.fleets.contains_key(&green), "{green} is there unannounced");
    let retiring = facts.iter().any(|fact| matches!(fact.event, Event::Retiring { .. }));
    assert!(
        retiring || status.fleets.values().any(|fleet| fleet.revision.as_str() == "1.0.0"),
        "blue is gone"
    );
    for (id, group) in &status.groups {
        let share = group.seen.sides.get(&green).map_or(Share::NONE, |side| side.share);
        let asked = announced.iter().any(|change| {
            matches!(change, Change::Shift { group, to, share: asked, .. }
                if (group, to, *asked) == (id, &green, share))
        });
        assert!(share == Share::NONE || asked, "{share} of `{id}` was never announced");
    }
}

/// A limit on the size of files cuts the journal short at its first larger entry: a torn write, for real.
#[test]
fn a_journal_whose_writes_are_cut_short_stops_the_rollout_before_any_change_and_room_lets_it_go_on() {
    let mut stops = Vec::new();
    for blocks in 2.. {
        let rig = Rig::with_blue(|file| file.size = 3);
        let mut command = Command::new("sh");
        let script =
            format!("ulimit -f {blocks} && trap '' XFSZ && exec \"$0\" rollout api --output json >/dev/null");
        command.args(["-c", &script]).arg(env!("CARGO_BIN_EXE_deployer"));
        rig.prepare(&mut command);
        let done = rig.launch(command, "rollout api without room").wait();
        if done.code == 0 {
            break;
        }
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.err.contains("room"), "{}", done.err);
        let opened = rig.latest() == 2;
        if opened {
            nothing_was_done_in_secret(&rig.facts(2), &rig.status());
        }
        stops.push(if opened { rig.phase(2) } else { "nothing" });
        rig.run(&[if opened { "resume" } else { "rollout" }, "api"]).ended_with(0);
        rig.serves("2.0.0", 3);
        rig.verify();
    }
    eprintln!("cut short in {stops:?}");
    assert!(stops.len() >= 2 && stops.iter().any(|phase| *phase != "nothing"), "{stops:?}");
}

/// A rollout whose journal lies on a disk of so many kilobytes, and is resumed when the disk was made larger.
const ON_A_SMALL_DISK: &str = r#"
    set -e
    cp -a .deployer/journal kept
    mount -t tmpfs -o size="$1"k none .deployer/journal
    cp -a kept/. .deployer/journal
    set +e
    "$0" rollout api > stopped.out 2>&1; echo $? > stopped.code
    "$0" local status --output json > stopped.json
    cp -a .deployer/journal stopped
    mount -o remount,size=64m .deployer/journal
    verb=rollout; test -e .deployer/journal/api/local/00000002/00000001.json && verb=resume
    "$0" $verb api > ended.out 2>&1; echo $? > ended.code
    cp -a .deployer/journal ended
"#;

fn pages(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let size = |entry: fs::DirEntry| match entry.metadata().unwrap() {
        meta if meta.is_dir() => pages(&entry.path()),
        meta => meta.len().div_ceil(4_096),
    };
    entries.map(size).sum()
}

/// Says in which phase it stopped; none where the disk was large enough.
fn on_a_disk_with_room_for(further: u64) -> Option<&'static str> {
    let rig = Rig::with_blue(|_| {});
    let kilobytes = (pages(&rig.dir().join(".deployer/journal")) + further) * 4;
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", ON_A_SMALL_DISK, env!("CARGO_BIN_EXE_deployer")]);
    command.arg(kilobytes.to_string());
    rig.prepare(&mut command);
    rig.launch(command, "rollout api on a small disk").wait().ended_with(0);
    let read = |name: &str| fs::read_to_string(rig.dir().join(name)).unwrap();
    let journal = Journal::new(FileStore::new(rig.dir().join("stopped")), "test");
    let facts = rig.block(journal.read(&Rig::id(2))).map(|history| history.into_recorded().unwrap());
    let phase = facts.as_ref().map_or("nothing", |facts| Rollout::fold(facts).unwrap().phase().name());
    if let Ok(facts) = &facts {
        nothing_was_done_in_secret(facts, &serde_json::from_str(&read("stopped.json")).unwrap());
    }
    fs::remove_dir_all(rig.dir().join(".deployer/journal")).unwrap();
    fs::rename(rig.dir().join("ended"), rig.dir().join(".deployer/journal")).unwrap();
    assert_eq!(
        read("ended.code").trim(),
        "0",
        "stopped in `{phase}`: {}\n{}",
        read("stopped.out"),
        read("ended.out")
    );
    rig.serves("2.0.0", 2);
    rig.verify();
    if read("stopped.code").trim() == "0" {
        return None;
    }
    assert!(
        read("stopped.code").trim() == "1" && read("stopped.out").contains("room"),
        "{}",
        read("stopped.out")
    );
    Some(phase)
}

#[test]
fn a_disk_that_is_full_at_any_entry_stops_the_rollout_before_any_change_and_room_lets_it_go_on() {
    let can = Command::new("unshare").args(["-rm", "sh", "-c", "mount -t tmpfs none /mnt"]).output();
    if !can.is_ok_and(|done| done.status.success()) {
        return eprintln!("skipped: this host does not let us mount a small disk");
    }
    let stops = Mutex::new(Vec::new());
    beside_each_other(&[0, 1, 2, 3], |lane| {
        for further in (*lane..100).step_by(4) {
            let Some(phase) = on_a_disk_with_room_for(further) else { return };
            stops.lock().unwrap().push(phase);
        }
    });
    let stops = stops.into_inner().unwrap();
    let phases: BTreeSet<_> = stops.iter().copied().collect();
    eprintln!("full at {} places, in {phases:?}", stops.len());
    for phase in ["provision", "register", "settle", "shift", "bake", "drain", "retire"] {
        assert!(phases.contains(phase), "{stops:?}");
    }
}

#[test]
fn an_entry_that_was_changed_by_hand_is_named_by_every_verb_and_stops_it() {
    let rig = Rig::with_blue(|file| file.strategy = "canary");
    rig.run(&["rollout", "api"]).ended_with(14);
    let before = rig.world();
    let entry = rig.entry(2, 3);
    let sound = fs::read(&entry).unwrap();
    let mut damaged = sound.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&entry, &damaged).unwrap();
    let verbs: [&[&str]; 9] = [
        &["rollout", "api"],
        &["plan", "api"],
        &["promote", "api"],
        &["pause", "api"],
        &["resume", "api"],
        &["abort", "api"],
        &["rollback", "api"],
        &["journal", "verify"],
        &["journal", "verify", "api"],
    ];
    for args in verbs {
        let done = rig.run(args).ended_with(1);
        assert!(done.said().contains("00000002/00000003.json"), "{args:?}: {}", done.said());
    }
    assert_eq!(rig.world(), before, "nothing was changed");
    fs::write(&entry, &sound).unwrap();
    rig.run(&["promote", "api"]).ended_with(0);
    rig.serves("2.0.0", 2);
    rig.verify();
}

#[test]
fn an_entry_that_is_missing_in_the_middle_is_named_and_stops_the_rollout() {
    let rig = Rig::with_blue(|file| file.strategy = "canary");
    rig.run(&["rollout", "api"]).ended_with(14);
    let (entry, aside) = (rig.entry(2, 3), rig.dir().join("aside"));
    fs::rename(&entry, &aside).unwrap();
    for args in [&["resume", "api"][..], &["abort", "api"], &["journal", "verify"]] {
        let done = rig.run(args).ended_with(1);
        assert!(done.said().contains("00000002/00000003.json"), "{args:?}: {}", done.said());
    }
    fs::rename(&aside, &entry).unwrap();
    rig.run(&["abort", "api"]).ended_with(0);
    rig.serves("1.0.0", 2);
}

#[test]
fn a_state_folder_that_cannot_be_written_is_named_and_nothing_runs() {
    let rig = Rig::new(|file| file.bootstrap = true);
    fs::create_dir(rig.dir().join(".deployer")).unwrap();
    let mount = "mount --bind .deployer .deployer && mount -o remount,ro,bind .deployer";
    let mut can = Command::new("unshare");
    rig.prepare(&mut can);
    if !can.args(["-rm", "sh", "-c", mount]).output().is_ok_and(|done| done.status.success()) {
        return eprintln!("skipped: this host does not let us mount a folder");
    }
    let mut command = Command::new("unshare");
    let script = format!("{mount} && exec \"$0\" rollout api --output json >/dev/null");
    command.args(["-rm", "sh", "-c", &script]).arg(env!("CARGO_BIN_EXE_deployer"));
    rig.prepare(&mut command);
    let done = rig.launch(command, "rollout on a read-only folder").wait().ended_with(1);
    assert!(done.said().contains(".deployer") && done.said().contains("read-only"), "{}", done.said());
    assert_eq!(rig.latest(), 0);
    assert_eq!(rig.processes().len(), 0);
    rig.run(&["rollout", "api"]).ended_with(0);
    rig.serves("2.0.0", 2);
}

#[test]
fn a_local_state_that_cannot_be_written_rolls_the_first_deployment_back_with_the_reason() {
    let rig = Rig::new(|file| file.deadlines = vec!["provision: 1s"]);
    fs::create_dir(rig.dir().join(".deployer")).unwrap();
    fs::write(rig.dir().join(".deployer/local"), "in the way").unwrap();
    let done = rig.run(&["rollout", "api"]);
    assert!([1, 11].contains(&done.code), "{done:?}");
    assert!(done.said().contains(".deployer/local"), "{}", done.said());
    fs::remove_file(rig.dir().join(".deployer/local")).unwrap();
    if rig.latest() == 1 && rig.state(1).verdict().is_none() {
        rig.run(&["resume", "api"]);
    }
    rig.run(&["rollout", "api"]).ended_with(0);
    rig.serves("2.0.0", 2);
    assert_eq!(rig.state(rig.latest()).verdict(), Some(&Verdict::Completed));
}

#[test]
fn a_rollout_whose_output_nobody_reads_any_more_goes_on_to_its_end() {
    beside_each_other(&["text", "ndjson", "json"], |form| {
        let rig = Rig::with_blue(|_| {});
        let mut command = rig.command(&["rollout", "api", "--output", form]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        rig.until(2, "the rollout to be open", |_| true);
        drop((child.stdout.take(), child.stderr.take()));
        assert_eq!(child.wait().unwrap().code(), Some(0), "{form}");
        rig.serves("2.0.0", 2);
    });
}

#[test]
fn a_command_whose_output_nobody_reads_ends_as_it_would_have_ended() {
    let rig = Rig::with_blue(|_| {});
    let verbs: [(&[&str], i32); 6] = [
        (&["local", "status"], 0),
        (&["journal", "verify"], 0),
        (&["plan", "api"], 0),
        (&["validate"], 0),
        (&["abort", "api"], 1),
        (&["rollout", "web"], 2),
    ];
    for (args, code) in verbs {
        let mut command = rig.command(args);
        let (out, err) = (std::io::pipe().unwrap().1, std::io::pipe().unwrap().1);
        let status = command.stdout(out).stderr(err).status().unwrap();
        assert_eq!(status.code(), Some(code), "{args:?}");
    }
}
