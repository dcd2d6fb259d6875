//! Strategies in steps over a target group in which both fleets stand: refused, unless the file accepts that.

use std::fs;

use deployer::rollout::Verdict;

use crate::rig::Rig;

#[test]
fn membership_refuses_steps_unless_the_file_accepts_it_and_the_way_back_does_not_ask() {
    let rig = Rig::new(|_| {});
    let file = rig.dir().join("deployments/api.yaml");
    let accepted = fs::read_to_string(&file).unwrap();
    let bare = accepted.replace(", whole: accept", "");
    assert_ne!(accepted, bare);
    fs::write(&file, &bare).unwrap();
    let line = 1 + bare.lines().position(|line| line.contains("internal:")).unwrap();
    for args in [&["plan", "api"][..], &["rollout", "api", "--yes"]] {
        let refused = rig.run(args).ended_with(10);
        let said = refused.said();
        for what in [
            "strategy `bluegreen` asks for 10% of `internal`, which takes no steps: green would have about 50% as soon as it joins",
            "write `whole: accept` for `internal` in deployments/api.yaml",
            "take a strategy with the one step 100 (`steps: [100]`)",
        ] {
            assert!(said.contains(what), "{what}\n{said}");
        }
        assert_eq!(said.matches("takes no steps").count(), 1, "twins take them: {said}");
    }
    let reads = ["Describe", "Get", "List"];
    let calls = rig.fake.calls();
    assert!(calls.iter().all(|call| reads.iter().any(|read| call.action.starts_with(read))));
    // On GitHub it is said at the group's line.
    let root = rig.dir().to_str().unwrap();
    let job = rig.start_with(&["plan", "api"], &[("GITHUB_ACTIONS", "true"), ("GITHUB_WORKSPACE", root)]);
    let said = job.wait().ended_with(10).said();
    assert!(said.contains(&format!("file=deployments/api.yaml,line={line}")), "{line}\n{said}");
    // A strategy that asks for no part is the other way out, and the refusal names it where there is one.
    let switch =
        bare.replace("strategies:\n", "strategy: bluegreen\nstrategies:\n  switch: { steps: [100] }\n");
    fs::write(&file, switch).unwrap();
    let said = rig.run(&["plan", "api"]).ended_with(10).said();
    assert!(said.contains("deployer rollout api --strategy switch   (every group at once)"), "{said}");
    rig.run(&["plan", "api", "--strategy", "switch"]).ended_with(0);

    fs::write(&file, &accepted).unwrap();
    let said = rig.run(&["rollout", "api"]).ended_with(0).said();
    assert!(said.contains("joining it gives green about 50% at once"), "{said}");
    assert_eq!(rig.state(1).verdict(), Some(&Verdict::Completed));
    fs::write(&file, &bare).unwrap();
    rig.run(&["rollback", "api", "--to", "1"]).ended_with(0);
    assert_eq!(rig.state(2).verdict(), Some(&Verdict::Completed));
}
