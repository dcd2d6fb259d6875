//! Nothing is lost: traffic through a whole rollout and a whole way back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use deployer::rollout::{Phase, Rollout};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::rig::Rig;

/// Connections that are never idle, over both groups.
const BUSY: usize = 12;
const IDLE: usize = 500;
const STREAMS: usize = 50;

type Client = SendRequest<Empty<Bytes>>;

async fn connect(address: SocketAddr) -> Client {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (client, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    client
}

/// One request: the revision that answered well, or what went wrong.
async fn ask(client: &mut Client, path: &str) -> Result<(String, Bytes), String> {
    let request = Request::get(path).header("host", "test").body(Empty::new()).unwrap();
    client.ready().await.map_err(|error| format!("{path}: the connection ended: {error}"))?;
    let answer = client.send_request(request).await.map_err(|error| format!("{path}: {error}"))?;
    let status = answer.status();
    let revision = answer.headers().get("x-revision").map(|value| value.to_str().unwrap().to_owned());
    let body =
        answer.into_body().collect().await.map_err(|error| format!("{path}: body: {error}"))?.to_bytes();
    match revision {
        Some(revision) if status.as_u16() == 200 => Ok((revision, body)),
        _ => Err(format!("{path}: {status}: {}", String::from_utf8_lossy(&body))),
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

/// What a busy client saw: when each request was sent, and who answered it.
#[derive(Default)]
struct Seen {
    answers: Vec<(u64, String)>,
    failures: Vec<String>,
}

async fn keep_asking(address: SocketAddr, stop: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    let mut client = connect(address).await;
    while !stop.load(Ordering::Relaxed) {
        let sent = now_ms();
        match ask(&mut client, "/").await {
            Ok((revision, _)) => seen.answers.push((sent, revision)),
            Err(why) => {
                seen.failures.push(format!("{sent}: {why}"));
                client = connect(address).await;
            }
        }
    }
    seen
}

/// Traffic from another thread, for as long as this lives.
struct Load {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Seen>,
}

impl Load {
    fn start(rig: &Rig) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let addresses = ["internal", "public"].map(|group| rig.address(group));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut clients = JoinSet::new();
                for n in 0..BUSY {
                    clients.spawn(keep_asking(addresses[n % addresses.len()], Arc::clone(&stopped)));
                }
                let mut all = Seen::default();
                while let Some(seen) = clients.join_next().await {
                    let seen = seen.unwrap();
                    all.answers.extend(seen.answers);
                    all.failures.extend(seen.failures);
                }
                all
            })
        });
        Self { stop, thread }
    }

    fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// When the journal first shows the state like this.
fn first(rig: &Rig, number: u64, is_so: impl Fn(&Rollout) -> bool) -> u64 {
    let facts = rig.facts(number);
    let at = (1..=facts.len()).find(|n| is_so(&Rollout::fold(&facts[..*n]).unwrap()));
    facts[at.expect("the journal shows it") - 1].at.0
}

/// All requests were answered, and those sent a moment after `since` by this revision alone.
fn nothing_lost(seen: &Seen, since: u64, revision: &str) -> usize {
    assert!(
        seen.failures.is_empty(),
        "{} failed: {:#?}",
        seen.failures.len(),
        &seen.failures[..seen.failures.len().min(10)]
    );
    let after = seen.answers.iter().filter(|(sent, _)| *sent > since);
    let others = after.clone().filter(|(_, by)| by != revision).count();
    let after = after.count();
    eprintln!(
        "{} requests, 0 failed; {after} after {revision} had everything, {others} of them by another",
        seen.answers.len()
    );
    assert_eq!(others, 0);
    assert!(after > 100, "enough to say so");
    seen.answers.len()
}

fn at_all(state: &Rollout) -> bool {
    matches!(state.phase(), Phase::Bake { .. } | Phase::Shift { step: 1, reached: Some(_) })
}

#[test]
fn a_whole_rollout_under_load_loses_no_request_and_blue_answers_none_after_the_cut_over() {
    let rig = Rig::with_blue(|file| {
        file.steps = "[{ share: 50, hold: 1s }, 100]";
        (file.bake, file.quiet, file.deregistration_delay) = ("500ms", "500ms", "2s");
    });
    let load = Load::start(&rig);
    rig.run(&["rollout", "api"]).ended_with(0);
    std::thread::sleep(Duration::from_millis(300));
    let seen = load.end();
    assert!(seen.answers.iter().any(|(_, by)| by == "1.0.0"), "it began before the shift");
    nothing_lost(&seen, first(&rig, 2, at_all), "2.0.0");
    rig.serves("2.0.0", 2);
}

#[test]
fn a_whole_way_back_under_load_loses_no_request() {
    let rig = Rig::with_blue(|file| {
        (file.bake, file.quiet, file.deregistration_delay) = ("200ms", "20s", "2s");
    });
    let load = Load::start(&rig);
    let rollout = rig.start(&["rollout", "api"]);
    // The longest way back: blue has left every group already.
    rig.until(2, "blue to be quiet", |state| matches!(state.phase(), Phase::Drain { empty_since: Some(_) }));
    rig.run(&["rollback", "api"]).ended_with(0);
    rollout.wait().ended_with(11);
    std::thread::sleep(Duration::from_millis(300));
    let seen = load.end();
    assert!(seen.answers.iter().any(|(_, by)| by == "2.0.0"), "green had traffic");
    let back = first(&rig, 2, |state| matches!(state.phase(), Phase::Withdraw { .. }));
    nothing_lost(&seen, back, "1.0.0");
    rig.serves("1.0.0", 2);
}

#[test]
fn connections_that_idle_through_a_rollout_and_streams_that_began_before_it_are_not_broken() {
    let rig = Rig::with_blue(|file| {
        (file.bake, file.quiet, file.deregistration_delay) = ("200ms", "100ms", "20s");
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let addresses = ["internal", "public"].map(|group| rig.address(group));
    let (mut idle, streams) = runtime.block_on(async {
        let mut idle = Vec::new();
        for n in 0..IDLE {
            let mut client = connect(addresses[n % 2]).await;
            assert_eq!(ask(&mut client, "/").await.unwrap().0, "1.0.0");
            idle.push(client);
        }
        let mut streams = JoinSet::new();
        for n in 0..STREAMS {
            let mut client = connect(addresses[n % 2]).await;
            streams.spawn(async move { ask(&mut client, "/stream?n=40&ms=100").await });
        }
        (idle, streams)
    });
    let rollout = rig.start(&["rollout", "api"]);
    rig.until(2, "the cut-over", at_all);
    runtime.block_on(async {
        for client in &mut idle {
            assert_eq!(ask(client, "/").await.map(|(by, _)| by), Ok("2.0.0".to_owned()));
        }
    });
    rollout.wait().ended_with(0);
    let finished = runtime.block_on(streams.join_all());
    assert_eq!(finished.len(), STREAMS);
    for stream in finished {
        let (by, body) = stream.unwrap();
        let lines = String::from_utf8(body.to_vec()).unwrap().lines().count();
        assert_eq!((by.as_str(), lines), ("1.0.0", 40));
    }
    // Blue left only when its last stream had finished.
    rig.serves("2.0.0", 2);
    runtime.block_on(async {
        for client in &mut idle {
            assert_eq!(ask(client, "/").await.map(|(by, _)| by), Ok("2.0.0".to_owned()));
        }
    });
}
