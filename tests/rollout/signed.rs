//! The real binary with a journal key.

use std::fs;

use crate::rig::{Done, Rig};

const KEY: &str = "canary-5d1e-0123456789abcdef0123456789";

fn run(rig: &Rig, env: &[(&str, &str)], args: &[&str]) -> Done {
    let mut command = rig.command(args);
    command.envs(env.iter().copied());
    rig.launch(command, &args.join(" ")).wait()
}

#[test]
fn a_journal_is_signed_from_its_first_rollout_on_and_added_to_with_the_key_alone() {
    let rig = Rig::new(|file| file.strategy = "canary");
    let with_key = [("DEPLOYER_JOURNAL_KEY", KEY)];
    let first = ["rollout", "api", "--strategy", "switch", "--revision", "1.0.0", "--log", "trace"];
    run(&rig, &with_key, &first).ended_with(0);
    run(&rig, &with_key, &["rollout", "api", "--log", "trace"]).ended_with(14);

    let proved = run(&rig, &with_key, &["journal", "verify"]).ended_with(0);
    assert_eq!(proved.out.matches("signed with this key").count(), 2, "{}", proved.out);
    let unchecked = rig.run(&["journal", "verify"]).ended_with(0);
    assert_eq!(unchecked.out.matches("not checked").count(), 2, "{}", unchecked.out);
    rig.run(&["status", "api"]).ended_with(0);
    let refused = rig.run(&["promote", "api"]).ended_with(1);
    assert!(
        refused.err.contains("no journal key is set")
            && refused.err.contains("hint: set DEPLOYER_JOURNAL_KEY")
    );

    let other = [("DEPLOYER_JOURNAL_KEY", "canary-of-somebody-else-0123456789abcdef")];
    let refused = run(&rig, &other, &["promote", "api"]).ended_with(1);
    assert!(refused.err.contains("its signature does not fit the journal key"), "{}", refused.err);
    run(&rig, &other, &["journal", "verify"]).ended_with(1);

    // Nor is a rollout begun without it, which the others could not read.
    let refused = rig.run(&["rollout", "api"]).ended_with(1);
    assert!(refused.err.contains("no journal key is set"), "{}", refused.err);

    // A file does as well; a line end is not part of the key.
    fs::write(rig.dir().join("key"), format!("{KEY}\n")).unwrap();
    run(&rig, &[("DEPLOYER_JOURNAL_KEY_FILE", "key")], &["promote", "api"]).ended_with(0);
    fs::remove_file(rig.dir().join("key")).unwrap();
    rig.answers("2.0.0");
    for verb in ["rollout", "rollback"] {
        let refused = rig.run(&[verb, "api"]).ended_with(1);
        assert!(refused.err.contains("no journal key is set") && rig.latest() == 2, "{}", refused.err);
    }
    let past = run(&rig, &with_key, &["history", "api", "--output", "json"]).ended_with(0);
    assert_eq!(past.out.matches("\"rollout\":").count(), 2, "{}", past.out);

    let listed =
        std::process::Command::new("grep").args(["-rl", "canary-", "."]).current_dir(rig.dir()).output();
    assert_eq!(String::from_utf8_lossy(&listed.unwrap().stdout), "", "the key is in no file and no output");
    if cfg!(target_os = "linux") {
        let supervisor = rig.status().supervisor.unwrap();
        let environ = fs::read(format!("/proc/{supervisor}/environ")).unwrap();
        assert!(!String::from_utf8_lossy(&environ).contains(KEY), "nor does the supervisor have it");
    }
}

#[test]
fn what_began_before_the_key_is_read_where_somebody_says_so() {
    let rig = Rig::with_blue(|_| {});
    let with_key = [("DEPLOYER_JOURNAL_KEY", KEY)];
    let refused = run(&rig, &with_key, &["rollout", "api"]).ended_with(1);
    assert!(
        refused.err.contains("it is not signed") && refused.err.contains("--allow-unsigned"),
        "{}",
        refused.err
    );
    assert_eq!(rig.latest(), 1);
    run(&rig, &with_key, &["rollout", "api", "--allow-unsigned"]).ended_with(0);
    // Whatever needs no more than the last rollout needs no leave any more.
    run(&rig, &with_key, &["status", "api"]).ended_with(0);
    let words = run(&rig, &with_key, &["journal", "verify", "--allow-unsigned"]).ended_with(0).out;
    assert!(words.contains("api/local/1: ok") && words.contains("not signed"), "{words}");
    assert!(words.contains("api/local/2: ok") && words.contains("signed with this key"), "{words}");
    run(&rig, &with_key, &["journal", "verify"]).ended_with(1);
}

#[test]
fn what_is_no_key_is_refused_without_being_shown() {
    let rig = Rig::new(|_| {});
    for env in [
        &[("DEPLOYER_JOURNAL_KEY", "canary-short")][..],
        &[("DEPLOYER_JOURNAL_KEY", KEY), ("DEPLOYER_JOURNAL_KEY_FILE", "key")],
        &[("DEPLOYER_JOURNAL_KEY_FILE", "nowhere")],
        &[("DEPLOYER_JOURNAL_KEY_FILE", "/dev/zero")],
        &[("DEPLOYER_JOURNAL_KEY_FILE", "deployments")],
    ] {
        let refused = run(&rig, env, &["status"]).ended_with(2);
        assert!(refused.err.contains("DEPLOYER_JOURNAL_KEY") || refused.err.contains("the journal key from"));
        assert!(!refused.said().contains("canary"), "{}", refused.said());
    }
}
