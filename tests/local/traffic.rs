//! Traffic while things change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use deployer::model::{Health, Span};
use deployer::spec::LocalSpec;
use http_body_util::BodyExt;
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{self, Client, Rig, fleet, get, group, plain, run, token, until};

/// Clients that ask without a pause until they are told to stop.
struct Load {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(rig: &Rig, clients: usize) -> Self {
        let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let address = rig.address("public");
        let client = |n: usize| {
            let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut failed = Vec::new();
                let mut client = Client::connect(address).await;
                let path = if n.is_multiple_of(3) { "/stream?n=5&ms=10" } else { "/" };
                while !over.load(Ordering::Relaxed) {
                    match client.try_get(path).await {
                        Ok(answer) if answer.status == 200 => {
                            answered.fetch_add(1, Ordering::Relaxed);
                            let lines = answer.text().lines().count();
                            if lines != if n.is_multiple_of(3) { 5 } else { 1 } {
                                failed.push(format!("{path} had {lines} lines"));
                            }
                        }
                        Ok(answer) => failed.push(answer.text().to_owned()),
                        Err(error) => {
                            failed.push(format!("{path}: {error:?}"));
                            client = Client::connect(address).await;
                        }
                    }
                }
                failed
            })
        };
        let clients = (0..clients).map(client).collect();
        Self { over, answered, clients }
    }

    /// Waits for some more answers: what was changed before is in force in them.
    async fn some_more(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        until("more answers", async || self.answered.load(Ordering::Relaxed) > before + 200).await;
    }

    async fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            assert_eq!(client.await.unwrap(), Vec::<String>::new());
        }
        assert!(self.answered.load(Ordering::Relaxed) > 0);
    }
}

#[test]
fn no_request_fails_while_traffic_is_shifted_there_and_back_and_blue_is_drained_and_retired() {
    run(&["public"], plain, async |rig: Rig| {
        rig.up("api-v1", "1.0.0", 2, &["public"]).await;
        rig.shift("public", "api-v1", None, 100).await;
        let load = Load::start(&rig, 9);
        load.some_more().await;
        rig.up("api-v2", "2.0.0", 2, &["public"]).await;
        for percent in [0, 10, 50, 100, 50, 0, 100] {
            rig.shift("public", "api-v2", Some("api-v1"), percent).await;
            load.some_more().await;
        }
        rig.deregister("api-v1", &["public"]).await;
        load.some_more().await;
        until("blue is out", async || {
            !rig.look().await.group(&group("public")).unwrap().sides.contains_key(&fleet("api-v1"))
        })
        .await;
        let proof = rig.proof("api-v1").await;
        rig.retire(proof).await;
        load.some_more().await;
        load.end().await;
        assert_eq!(get(rig.address("public"), "/").await.header("x-revision"), "2.0.0");
    });
}

#[test]
fn a_fleet_that_is_registered_again_while_it_drains_takes_traffic_again() {
    run(&["public"], plain, async |rig: Rig| {
        rig.up("api-v1", "1.0.0", 1, &["public"]).await;
        rig.shift("public", "api-v1", None, 100).await;
        let mut client = Client::connect(rig.address("public")).await;
        let mut stream = client.send("GET", "/stream?n=100000&ms=20", "").await.unwrap().into_body();
        assert!(stream.frame().await.unwrap().is_ok());
        rig.deregister("api-v1", &["public"]).await;
        rig.until_health("api-v1", "public", Health::Draining, 1).await;
        assert_eq!(get(rig.address("public"), "/").await.status, 503);
        rig.register("api-v1", &["public"]).await;
        rig.until_health("api-v1", "public", Health::Healthy, 1).await;
        rig.shift("public", "api-v1", None, 100).await;
        assert_eq!(get(rig.address("public"), "/").await.status, 200);
        assert!(stream.frame().await.unwrap().is_ok(), "what was in flight goes on");
        drop(stream);
        assert_eq!(get(rig.address("public"), "/").await.status, 200);
        rig.until_health("api-v1", "public", Health::Healthy, 1).await;
    });
}

fn short_delay(spec: &mut LocalSpec) {
    for group in spec.groups.values_mut() {
        group.deregistration_delay = Span(600);
    }
}

#[test]
fn a_drain_cuts_what_is_left_at_the_delay_and_never_makes_it_look_complete() {
    run(&["public"], short_delay, async |rig: Rig| {
        rig.up("api-v1", "1.0.0", 1, &["public"]).await;
        rig.shift("public", "api-v1", None, 100).await;
        let mut client = Client::connect(rig.address("public")).await;
        let mut stream = client.send("GET", "/stream?n=100000&ms=20", "").await.unwrap().into_body();
        assert!(stream.frame().await.unwrap().is_ok());
        let mut tunnel = upgrade(&rig).await;
        rig.deregister("api-v1", &["public"]).await;
        // Both go on while it drains.
        assert!(stream.frame().await.unwrap().is_ok());
        echo(&mut tunnel, b"still here").await;
        let side = rig.look().await.group(&group("public")).unwrap().sides[&fleet("api-v1")].clone();
        assert_eq!((side.count(Health::Draining), side.share.percent()), (1, 0));
        // And are cut then.
        let end = loop {
            match stream.frame().await {
                Some(Ok(_)) => {}
                other => break other,
            }
        };
        assert!(matches!(end, Some(Err(_))), "a cut stream must not end well");
        assert!(matches!(tunnel.read(&mut [0; 8]).await, Ok(0) | Err(_)));
        until("the side is gone", async || {
            rig.look().await.group(&group("public")).unwrap().sides.is_empty()
        })
        .await;
        assert_eq!(rig.pids("api-v1").await.len(), 1, "drained is not retired");
    });
}

type Tunnel = TokioIo<hyper::upgrade::Upgraded>;

async fn upgrade(rig: &Rig) -> Tunnel {
    let mut client = Client::connect(rig.address("public")).await;
    let request = Request::get("/ws").header("host", "api").header("connection", "keep-alive, Upgrade");
    let answer = client.raw(request.header("upgrade", "echo")).await;
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.headers()["upgrade"], "echo");
    TokioIo::new(hyper::upgrade::on(answer).await.unwrap())
}

async fn echo(tunnel: &mut Tunnel, words: &[u8]) {
    tunnel.write_all(words).await.unwrap();
    let mut back = vec![0; words.len()];
    tunnel.read_exact(&mut back).await.unwrap();
    assert_eq!(back, words);
}

#[test]
fn an_upgraded_connection_is_copied_both_ways_and_outlives_a_shift() {
    run(&["public"], plain, async |rig: Rig| {
        rig.up("api-v1", "1.0.0", 1, &["public"]).await;
        rig.up("api-v2", "2.0.0", 1, &["public"]).await;
        rig.shift("public", "api-v1", Some("api-v2"), 100).await;
        let mut tunnel = upgrade(&rig).await;
        echo(&mut tunnel, b"hello").await;
        rig.shift("public", "api-v2", Some("api-v1"), 100).await;
        rig.deregister("api-v1", &["public"]).await;
        for _ in 0..10 {
            echo(&mut tunnel, &[7; 3_000]).await;
        }
        let side = rig.look().await.group(&group("public")).unwrap().sides[&fleet("api-v1")].clone();
        assert_eq!(side.count(Health::Draining), 1, "the tunnel holds the drain open");
        drop(tunnel);
        until("the drain ends early", async || {
            !rig.look().await.group(&group("public")).unwrap().sides.contains_key(&fleet("api-v1"))
        })
        .await;
    });
}

#[test]
fn a_request_that_meets_a_dead_instance_is_answered_by_another() {
    run(&["public"], plain, async |rig: Rig| {
        rig.up("api-v1", "1.0.0", 2, &["public"]).await;
        rig.shift("public", "api-v1", None, 100).await;
        let mut client = Client::connect(rig.address("public")).await;
        let pids = rig.pids("api-v1").await;
        for _ in 0..10 {
            assert_eq!(client.get("/").await.status, 200);
        }
        rig::kill(pids["api-v1-1"]);
        for _ in 0..200 {
            let answer = client.get("/").await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    });
}

#[test]
fn a_request_in_flight_is_finished_before_its_fleet_is_gone() {
    run(&["public"], plain, async |rig: Rig| {
        rig.up("api-v1", "1.0.0", 1, &["public"]).await;
        rig.shift("public", "api-v1", None, 100).await;
        let mut client = Client::connect(rig.address("public")).await;
        let mut stream = client.send("GET", "/stream?n=20&ms=40", "").await.unwrap().into_body();
        assert!(stream.frame().await.unwrap().is_ok());
        let rest = tokio::spawn(stream.collect());
        deployer::cloud::local::stop(rig.dir()).await.unwrap();
        let rest = rest.await.unwrap().unwrap().to_bytes();
        assert!(rest.starts_with(b"2 ") && rest.ends_with(b"\n"), "{rest:?}");
        assert_eq!(String::from_utf8_lossy(&rest).lines().count(), 19);
    });
}

#[test]
fn a_fleet_that_will_not_end_is_killed_even_if_the_supervisor_is_killed_meanwhile() {
    let stubborn = |spec: &mut LocalSpec| {
        let script = "trap '' TERM; while :; do sleep 0.1; done";
        spec.command = ["sh", "-c", script].map(str::to_owned).into();
    };
    run(&["public"], stubborn, async |rig: Rig| {
        rig.provision("api-v1", "1.0.0", 1).await;
        until("it runs", async || rig.pids("api-v1").await.len() == 1).await;
        let pid = rig.pids("api-v1").await["api-v1-1"];
        let proof = rig.proof("api-v1").await;
        let backend = rig.backend();
        let retiring =
            tokio::spawn(
                async move { deployer::cloud::Backend::retire(&backend, proof, &token("retire")).await },
            );
        until("it is written that it leaves", async || {
            std::fs::read_to_string(rig.dir().join("state.json")).unwrap().contains("\"leaving\": true")
        })
        .await;
        rig::kill(rig.supervisor().await);
        let fault = retiring.await.unwrap().unwrap_err();
        assert!(fault.ambiguous, "{fault}");
        assert!(rig::lives(pid));
        until("the next supervisor has ended it", async || rig.look().await.fleets.is_empty()).await;
        assert!(!rig::lives(pid));
    });
}

#[test]
fn an_instance_gets_its_own_environment_and_not_ours() {
    let env = |spec: &mut LocalSpec| {
        spec.command = vec!["env".to_owned()];
        spec.env.insert("COLOUR".to_owned(), "green".to_owned());
    };
    run(&["public"], env, async |rig: Rig| {
        rig.provision("api-v1", "1.0.0", 1).await;
        let name = "api-v1-1".parse().unwrap();
        until("it has run", async || {
            let log = deployer::cloud::local::logs(rig.dir(), &name, 100).unwrap_or_default();
            log.contains("started again")
        })
        .await;
        let log = deployer::cloud::local::logs(rig.dir(), &name, 100).unwrap();
        let names: std::collections::BTreeSet<_> =
            log.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        for expected in ["PORT", "REVISION", "INSTANCE", "SERVICE", "COLOUR", "PATH"] {
            assert!(names.contains(expected), "{expected} is missing: {log}");
        }
        let known = ["PORT", "REVISION", "INSTANCE", "SERVICE", "COLOUR", "PATH", "HOME", "LANG", "TMPDIR"];
        assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    });
}

#[test]
fn a_long_state_path_works_all_the_same() {
    run(&["public"], plain, async |mut rig: Rig| {
        rig.deepen(&"d".repeat(120));
        rig.up("api-v1", "1.0.0", 1, &["public"]).await;
        assert!(!rig.dir().join("control.sock").exists());
        deployer::cloud::local::stop(rig.dir()).await.unwrap();
        assert!(!rig.dir().join("state.json").exists());
    });
}

#[test]
fn files_are_for_this_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    run(&["public"], plain, async |rig: Rig| {
        rig.up("api-v1", "1.0.0", 1, &["public"]).await;
        let mode = |path: &str| rig.dir().join(path).metadata().unwrap().permissions().mode() & 0o777;
        for file in ["state.json", "control.sock", "supervisor.log", "supervisor.lock", "logs/api-v1-1.log"] {
            assert_eq!(mode(file), 0o600, "{file}");
        }
        assert_eq!((mode(""), mode("logs")), (0o700, 0o700));
    });
}

#[test]
fn a_fleet_grows_and_shrinks_when_it_is_provisioned_again() {
    run(&["public"], plain, async |rig: Rig| {
        rig.up("api-v1", "1.0.0", 2, &["public"]).await;
        let before = rig.pids("api-v1").await;
        rig.provision("api-v1", "1.0.0", 3).await;
        rig.until_health("api-v1", "public", Health::Healthy, 3).await;
        rig.provision("api-v1", "1.0.0", 1).await;
        rig.until_health("api-v1", "public", Health::Healthy, 1).await;
        until("one is left", async || rig.pids("api-v1").await.len() == 1).await;
        assert_eq!(rig.pids("api-v1").await["api-v1-1"], before["api-v1-1"]);
    });
}
