//! The local provider through its public door: a real supervisor, real processes, real sockets.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop, and say where")]

#[path = "local/rig.rs"]
mod rig;
#[path = "local/traffic.rs"]
mod traffic;

use std::collections::BTreeSet;

use deployer::cloud::{Backend, Change, FaultKind};
use deployer::model::{Health, Seen, Share};
use rig::{Client, Rig, fleet, get, group, plain, request, run, share, token, until};

#[test]
fn a_share_of_ten_gets_exactly_a_hundred_of_a_thousand_requests() {
    run(&["public"], plain, async |rig: Rig| {
        rig.up("api-v1", "1.0.0", 2, &["public"]).await;
        rig.up("api-v2", "2.0.0", 2, &["public"]).await;
        rig.shift("public", "api-v2", Some("api-v1"), 10).await;
        let mut client = Client::connect(rig.address("public")).await;
        let mut green = 0;
        for _ in 0..1_000 {
            let answer = client.get("/").await;
            assert_eq!(answer.status, 200);
            green += usize::from(answer.header("x-revision") == "2.0.0");
        }
        assert_eq!(green, 100);
    });
}

#[test]
fn a_look_before_anything_runs_shows_the_declared_groups_and_starts_nothing() {
    run(&["internal", "public"], plain, async |rig: Rig| {
        let look = rig.look().await;
        assert!(look.fleets.is_empty());
        assert_eq!(look.groups.keys().cloned().collect::<BTreeSet<_>>(), rig.declared());
        assert!(look.groups.values().all(|seen| seen.known().unwrap().sides.is_empty()));
        assert!(look.looked_at.0 > 0);
        assert_eq!(std::fs::read_dir(rig.dir()).unwrap().count(), 0);
        rig.change(&Change::Freeze { fleet: fleet("api-v1") }).await.unwrap();
        let fault = rig
            .change(&Change::Register { fleet: fleet("api-v1"), groups: rig.declared() })
            .await
            .unwrap_err();
        assert_eq!(fault.kind, FaultKind::Missing);
        assert_eq!(std::fs::read_dir(rig.dir()).unwrap().count(), 0);
    });
}

#[test]
fn a_group_without_a_healthy_target_answers_503_and_names_itself() {
    let sick = |spec: &mut deployer::spec::LocalSpec| {
        spec.env.insert("SAMPLE_FAIL".to_owned(), "never-healthy".to_owned());
    };
    run(&["internal"], sick, async |rig: Rig| {
        rig.provision("api-v1", "1.0.0", 1).await;
        rig.register("api-v1", &["internal"]).await;
        rig.shift("internal", "api-v1", None, 100).await;
        rig.until_health("api-v1", "internal", Health::Unhealthy, 1).await;
        let answer = get(rig.address("internal"), "/").await;
        assert_eq!((answer.status, answer.text().contains("`internal`")), (503, true));
        let look = rig.look().await;
        let side = &look.group(&group("internal")).unwrap().sides[&fleet("api-v1")];
        assert_eq!(side.targets.values().next().unwrap().reason.as_deref(), Some("HTTP 503"));
        assert_eq!(side.share, Share::ALL);
    });
}

#[test]
fn a_port_in_use_is_said_at_once_and_nothing_is_started() {
    run(&["internal", "public"], plain, async |rig: Rig| {
        let taken = std::net::TcpListener::bind(rig.address("public")).unwrap();
        let fault = rig.try_provision("api-v1", "1.0.0", 1).await.unwrap_err();
        assert!(!fault.kind.retryable(), "{fault}");
        assert!(fault.message.contains("public"), "{fault}");
        assert!(fault.message.contains(&rig.address("public").to_string()), "{fault}");
        let status = rig.status().await;
        assert!(status.fleets.is_empty() && status.groups.is_empty(), "{status:?}");
        assert!(std::net::TcpListener::bind(rig.address("internal")).is_ok(), "half of it listens");
        drop(taken);
        rig.provision("api-v1", "1.0.0", 1).await;
        assert_eq!(get(rig.address("public"), "/").await.status, 503);
    });
}

#[test]
fn a_group_that_the_file_no_longer_names_is_still_seen_while_a_fleet_stands_in_it() {
    run(&["internal", "public"], plain, async |mut rig: Rig| {
        rig.up("api-v1", "1.0.0", 1, &["internal", "public"]).await;
        rig.forget("internal");
        let look = rig.look().await;
        let internal = look.group(&group("internal")).expect("blue stands there");
        assert_eq!(internal.sides[&fleet("api-v1")].healthy(), 1);
        let attached = &look.fleet(&fleet("api-v1")).unwrap().attached;
        assert_eq!(*attached, [group("internal"), group("public")].into());
    });
}

#[test]
fn a_dead_instance_is_started_again_under_its_name() {
    run(&["public"], plain, async |rig: Rig| {
        rig.up("api-v1", "1.0.0", 2, &["public"]).await;
        rig.shift("public", "api-v1", None, 100).await;
        let before = rig.pids("api-v1").await;
        rig::kill(*before.get("api-v1-1").unwrap());
        until("another process in the slot", async || {
            rig.pids("api-v1").await.get("api-v1-1").is_some_and(|pid| *pid != before["api-v1-1"])
        })
        .await;
        rig.until_health("api-v1", "public", Health::Healthy, 2).await;
        assert_eq!(rig.pids("api-v1").await["api-v1-2"], before["api-v1-2"]);
        let status = rig.status().await;
        let instance = &status.fleets[&fleet("api-v1")].instances[&"api-v1-1".parse().unwrap()];
        assert_eq!(instance.restarts, 1);
        assert!(instance.reason.as_deref().unwrap().contains("signal"), "{instance:?}");
    });
}

#[test]
fn a_killed_supervisor_is_replaced_and_its_processes_are_adopted() {
    run(&["internal", "public"], plain, async |rig: Rig| {
        rig.up("api-v1", "1.0.0", 2, &["internal", "public"]).await;
        rig.up("api-v2", "2.0.0", 1, &["public"]).await;
        rig.shift("public", "api-v2", Some("api-v1"), 50).await;
        let (before, supervisor) = (rig.pids("api-v1").await, rig.supervisor().await);
        rig::kill(supervisor);
        until("the supervisor is gone", async || {
            let status = deployer::cloud::local::status(rig.dir()).await;
            status.is_ok_and(|status| status.supervisor.is_none())
        })
        .await;
        let remembered = rig.pids("api-v1").await;
        assert_eq!(remembered, before, "the processes go on without it");
        rig.until_health("api-v1", "public", Health::Healthy, 2).await;
        rig.until_health("api-v1", "internal", Health::Healthy, 2).await;
        rig.until_health("api-v2", "public", Health::Healthy, 1).await;
        assert_eq!(rig.pids("api-v1").await, before);
        assert_ne!(rig.supervisor().await, supervisor);
        let mut client = Client::connect(rig.address("public")).await;
        let mut green = 0;
        for _ in 0..100 {
            let answer = client.get("/").await;
            assert_eq!(answer.status, 200);
            green += u32::from(answer.header("x-revision") == "2.0.0");
        }
        assert_eq!(green, 50);
        // An adopted process is watched, and replaced, like any other.
        rig::kill(before["api-v1-1"]);
        until("the adopted process is replaced", async || {
            rig.pids("api-v1").await.get("api-v1-1").is_some_and(|pid| *pid != before["api-v1-1"])
        })
        .await;
    });
}

#[test]
fn two_first_uses_at_once_end_with_one_supervisor() {
    run(&["public"], plain, async |rig: Rig| {
        let (one, two) =
            tokio::join!(rig.try_provision("api-v1", "1.0.0", 1), rig.try_provision("api-v1", "1.0.0", 1));
        one.unwrap();
        two.unwrap();
        until("an instance", async || rig.pids("api-v1").await.len() == 1).await;
        let log = std::fs::read_to_string(rig.dir().join("supervisor.log")).unwrap();
        assert_eq!(log.matches("is ready").count(), 1, "{log}");
    });
}

#[test]
fn a_repeated_token_changes_nothing_more() {
    run(&["public"], plain, async |rig: Rig| {
        rig.up("api-v1", "1.0.0", 1, &["public"]).await;
        let (to, from) = (fleet("api-v1"), None);
        let shift = |percent| Change::Shift {
            group: group("public"),
            to: to.clone(),
            from: from.clone(),
            share: share(percent),
        };
        rig.backend().change(&shift(0), &token("once")).await.unwrap();
        rig.backend().change(&shift(100), &token("twice")).await.unwrap();
        rig.backend().change(&shift(0), &token("once")).await.unwrap();
        let look = rig.look().await;
        assert_eq!(look.group(&group("public")).unwrap().sides[&to].share, share(100));
    });
}

#[test]
fn a_retired_fleet_is_gone_and_retiring_it_again_is_no_error() {
    run(&["public"], plain, async |rig: Rig| {
        rig.up("api-v1", "1.0.0", 2, &["public"]).await;
        rig.up("api-v2", "2.0.0", 1, &["public"]).await;
        rig.shift("public", "api-v2", None, 100).await;
        rig.deregister("api-v1", &["public"]).await;
        until("blue is out", async || {
            rig.look().await.group(&group("public")).unwrap().sides.keys().count() == 1
        })
        .await;
        let pids = rig.pids("api-v1").await;
        let (proof, again) = (rig.proof("api-v1").await, rig.proof("api-v1").await);
        rig.backend().retire(proof, &token("retire")).await.unwrap();
        assert!(rig.look().await.fleet(&fleet("api-v1")).is_none());
        assert!(pids.values().all(|pid| !rig::lives(*pid)));
        rig.backend().retire(again, &token("retire-again")).await.unwrap();
        assert_eq!(get(rig.address("public"), "/").await.header("x-revision"), "2.0.0");
    });
}

#[test]
fn the_same_fleet_with_another_revision_is_a_conflict() {
    run(&["public"], plain, async |rig: Rig| {
        rig.provision("api-v1", "1.0.0", 1).await;
        rig.provision("api-v1", "1.0.0", 1).await;
        let fault = rig.try_provision("api-v1", "2.0.0", 1).await.unwrap_err();
        assert_eq!((fault.kind, fault.ambiguous), (FaultKind::Conflict, false));
        assert_eq!(rig.look().await.fleets.len(), 1);
    });
}

#[test]
fn a_broken_state_file_is_named_and_kept() {
    run(&["public"], plain, async |rig: Rig| {
        let path = rig.dir().join("state.json");
        std::fs::write(&path, "{\"v\":1,").unwrap();
        let faults = [
            rig.try_look().await.unwrap_err(),
            rig.try_provision("api-v1", "1.0.0", 1).await.unwrap_err(),
            deployer::cloud::local::status(rig.dir()).await.unwrap_err(),
            deployer::cloud::local::stop(rig.dir()).await.unwrap_err(),
        ];
        for fault in faults {
            assert_eq!(fault.kind, FaultKind::Invalid);
            assert!(fault.message.contains("state.json"), "{fault}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"v\":1,");
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn a_command_that_does_not_exist_is_refused_before_anything_is_started() {
    for program in ["/nowhere/api", "no-such-program-anywhere", "/etc"] {
        let nowhere = move |spec: &mut deployer::spec::LocalSpec| spec.command = vec![program.to_owned()];
        run(&["public"], nowhere, async |rig: Rig| {
            let fault = rig.try_provision("api-v1", "1.0.0", 1).await.unwrap_err();
            assert_eq!(fault.kind, deployer::cloud::FaultKind::Invalid);
            assert!(fault.message.contains(program), "{fault}");
            assert!(rig.look().await.fleets.is_empty());
        });
    }
}

#[test]
fn a_command_that_fails_at_once_is_said_and_not_hammered() {
    let nowhere = |spec: &mut deployer::spec::LocalSpec| {
        spec.command = ["sh", "-c", "exec /nowhere/api"].map(str::to_owned).into();
    };
    run(&["public"], nowhere, async |rig: Rig| {
        rig.provision("api-v1", "1.0.0", 1).await;
        rig.register("api-v1", &["public"]).await;
        let name = "api-v1-1".parse().unwrap();
        let mut restarts = 0;
        until("a few starts", async || {
            let status = rig.status().await;
            let instance = &status.fleets[&fleet("api-v1")].instances[&name];
            restarts = instance.restarts;
            instance.reason.as_deref().is_some_and(|why| why.contains("127")) && restarts >= 3
        })
        .await;
        let log = deployer::cloud::local::logs(rig.dir(), &name, 50).unwrap();
        assert!(log.contains("started again in 250ms") && log.contains("started again in 1s"), "{log}");
        assert!(log.contains("not found"), "{log}");
        let look = rig.look().await;
        let side = &look.group(&group("public")).unwrap().sides[&fleet("api-v1")];
        assert_eq!(side.healthy(), 0);
    });
}

#[test]
fn bodies_pass_both_ways() {
    run(&["public"], plain, async |rig: Rig| {
        rig.up("api-v1", "1.0.0", 1, &["public"]).await;
        rig.shift("public", "api-v1", None, 100).await;
        let body = "x".repeat(3 << 20);
        let answer = request(rig.address("public"), "POST", "/echo", &body).await;
        assert_eq!(answer.status, 200);
        assert!(answer.text() == body, "{} bytes came back", answer.text().len());
        assert_eq!(get(rig.address("public"), "/nowhere").await.status, 404);
    });
}

#[test]
fn a_group_whose_address_was_taken_meanwhile_is_unknown_until_it_is_free() {
    run(&["public"], plain, async |rig: Rig| {
        rig.up("api-v1", "1.0.0", 1, &["public"]).await;
        rig::kill(rig.supervisor().await);
        let mut taken = None;
        until("the address is free", async || {
            taken = std::net::TcpListener::bind(rig.address("public")).ok();
            taken.is_some()
        })
        .await;
        until("a look by the next supervisor", async || rig.try_look().await.is_ok()).await;
        let look = rig.look().await;
        let Seen::Unknown(why) = &look.groups[&group("public")] else { panic!("{look:?}") };
        assert!(why.contains("something else listens there"), "{why}");
        drop(taken);
        rig.until_health("api-v1", "public", Health::Healthy, 1).await;
    });
}

#[test]
fn a_group_in_use_is_not_moved_to_another_address() {
    run(&["public"], plain, async |mut rig: Rig| {
        rig.up("api-v1", "1.0.0", 1, &["public"]).await;
        let (before, free) = (rig.address("public"), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        rig.edit("public", |group| group.listen = free.local_addr().unwrap());
        drop(free);
        let fault = rig.try_provision("api-v2", "2.0.0", 1).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Invalid);
        assert!(fault.message.contains(&before.to_string()), "{fault}");
        assert!(rig.look().await.fleet(&fleet("api-v2")).is_none());
        assert_eq!(get(before, "/").await.status, 503, "still served, at share 0");
    });
}

#[test]
fn what_is_missing_is_said_to_be_missing() {
    run(&["public"], plain, async |rig: Rig| {
        rig.up("api-v1", "1.0.0", 1, &["public"]).await;
        let groups = |id: &str| BTreeSet::from([group(id)]);
        let shift = |id: &str, to: &str| Change::Shift {
            group: group(id),
            to: fleet(to),
            from: None,
            share: Share::ALL,
        };
        let missing = [
            Change::Register { fleet: fleet("api-v1"), groups: groups("nowhere") },
            Change::Register { fleet: fleet("nobody"), groups: groups("public") },
            shift("nowhere", "api-v1"),
            shift("public", "nobody"),
        ];
        for change in missing {
            let fault = rig.change(&change).await.unwrap_err();
            assert_eq!((fault.kind, fault.ambiguous), (FaultKind::Missing, false), "{fault}");
        }
        // What is gone has left: no error.
        rig.change(&Change::Deregister { fleet: fleet("nobody"), groups: groups("public") }).await.unwrap();
        rig.change(&Change::Deregister { fleet: fleet("api-v1"), groups: groups("nowhere") }).await.unwrap();
    });
}

#[test]
fn a_request_that_cannot_be_understood_is_refused_and_hurts_nobody() {
    use std::io::{Read, Write};
    run(&["public"], plain, async |rig: Rig| {
        rig.up("api-v1", "1.0.0", 1, &["public"]).await;
        for words in ["{\"v\":9,\"said\":\"status\"}\n", "{\"v\":1,\"said\":\"dance\"}\n", "GET / HTTP/1.1\n"]
        {
            let mut stream = std::os::unix::net::UnixStream::connect(rig.dir().join("control.sock")).unwrap();
            stream.write_all(words.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.contains("\"fault\"") && answer.contains("invalid"), "{answer}");
        }
        assert_eq!(rig.pids("api-v1").await.len(), 1);
    });
}

#[test]
fn a_supervisor_whose_state_directory_was_removed_leaves_no_process_behind() {
    run(&["public"], plain, async |rig: Rig| {
        rig.up("api-v1", "1.0.0", 2, &["public"]).await;
        let (pids, supervisor) = (rig.pids("api-v1").await, rig.supervisor().await);
        std::fs::remove_dir_all(rig.dir()).unwrap();
        until("everything has ended", async || {
            !rig::lives(supervisor) && !pids.values().any(|pid| rig::lives(*pid))
        })
        .await;
    });
}
