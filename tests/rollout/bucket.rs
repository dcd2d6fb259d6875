//! The real binary with its journal in a bucket: resumed, ordered and looked at from other runners.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deployer::journal::{BucketStore, Journal, Provider};
use deployer::rollout::{Event, Phase, Rollout, Verdict};

use crate::fake_bucket::{BUCKET, Fake, KEY_ID, Mishap, REGION, SECRET};
use crate::rig::{Done, Rig, Running, beside_each_other, until};

const PREFIX: &str = "prefix/of-ours";

/// A service on this host with its journal in a bucket, worked on by several runners.
pub struct Site {
    pub rig: Rig,
    pub fake: Fake,
}

impl Site {
    pub fn new(provider: Provider, edit: impl FnOnce(&mut crate::rig::Deployment)) -> Self {
        let site = Self { rig: Rig::new(edit), fake: Fake::start(provider) };
        site.run("one", &["rollout", "api", "--strategy", "switch", "--revision", "1.0.0"]).ended_with(0);
        site
    }

    pub fn start(&self, runner: &str, args: &[&str]) -> Running {
        self.rig.launch(self.command(runner, args), &format!("{runner} {}", args.join(" ")))
    }

    /// A command on a runner: it has a state folder of its own, in which only the processes are the same ones.
    pub fn command(&self, runner: &str, args: &[&str]) -> Command {
        let state = self.rig.dir().join(format!("runner-{runner}"));
        if !state.exists() {
            let local = self.rig.dir().join(".deployer/local");
            std::fs::create_dir_all(&local).unwrap();
            std::fs::create_dir_all(&state).unwrap();
            std::os::unix::fs::symlink(local, state.join("local")).unwrap();
        }
        let mut command = self.rig.command(args);
        let store = format!("{}://{BUCKET}/{PREFIX}", self.fake.provider);
        command.env("DEPLOYER_STATE", &state).env("DEPLOYER_STORE", store);
        command.env("USER", runner);
        match self.fake.provider {
            Provider::S3 => command
                .env("AWS_ENDPOINT_URL_S3", self.fake.endpoint())
                .env("AWS_REGION", REGION)
                .env("AWS_ACCESS_KEY_ID", KEY_ID)
                .env("AWS_SECRET_ACCESS_KEY", SECRET),
            Provider::Oss => command
                .env("DEPLOYER_ENDPOINT_OSS", self.fake.endpoint())
                .env("OSS_REGION", REGION)
                .env("ALIBABA_CLOUD_ACCESS_KEY_ID", KEY_ID)
                .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET),
        };
        command
    }

    pub fn run(&self, runner: &str, args: &[&str]) -> Done {
        self.start(runner, args).wait()
    }

    pub fn journal(&self) -> Journal<BucketStore> {
        Journal::new(self.fake.store("test"), "test")
    }

    pub fn has(&self, number: u64, seq: usize) -> bool {
        self.fake.objects().contains_key(&format!("{PREFIX}/api/local/{number:08}/{seq:08}.json"))
    }

    pub fn latest(&self) -> u64 {
        let one = Rig::id(1);
        let latest = self.rig.block(self.journal().latest(&one.service, &one.environment)).unwrap();
        latest.map_or(0, |id| id.number)
    }

    pub fn state(&self, number: u64) -> Rollout {
        let history = self.rig.block(self.journal().read(&Rig::id(number))).unwrap();
        Rollout::fold(&history.into_recorded().unwrap()).unwrap()
    }

    pub fn until(&self, number: u64, what: &str, is_so: impl Fn(&Rollout) -> bool) {
        until(what, || self.has(number, 1) && is_so(&self.state(number)));
    }

    pub fn sound(&self) {
        self.run("judge", &["journal", "verify"]).ended_with(0);
        assert_eq!((self.fake.overwritten(), self.fake.refused_signatures()), (vec![], 0));
        for seen in self.fake.objects().values() {
            assert!(!String::from_utf8_lossy(&seen.bytes).contains(SECRET));
        }
    }
}

pub fn in_mid_shift(state: &Rollout) -> bool {
    matches!(state.phase(), Phase::Shift { reached: Some(_), .. })
}

fn slow(file: &mut crate::rig::Deployment) {
    file.steps = "[{ share: 50, hold: 2s }, 100]";
}

/// Kills a rollout at each of these entries, and ends it on another runner each time. Says where there was none.
fn crash_at(provider: Provider, boundaries: impl Iterator<Item = usize>) -> Vec<usize> {
    let site = Site::new(provider, |_| {});
    let mut crossed = Vec::new();
    for (number, seq) in (2_u64..).zip(boundaries) {
        let revision = format!("{number}.0.0");
        let mut first = site.start("one", &["rollout", "api", "--revision", &revision]);
        until("the entry or the end", || site.has(number, seq) || !first.runs());
        let ran = first.runs();
        first.kill();
        if !ran && !site.has(number, seq) {
            break; // It ended before the boundary: there is none behind.
        }
        site.run("two", &["resume", "api", "--take-over"]).ended_with(0);
        assert_eq!(site.state(number).verdict(), Some(&Verdict::Completed), "killed at {seq}");
        site.rig.answers(&revision);
        crossed.push(seq);
    }
    site.sound();
    crossed
}

#[test]
fn killed_at_every_boundary_of_its_journal_in_a_bucket_a_rollout_is_resumed_on_another_runner() {
    const LANES: [usize; 4] = [1, 2, 3, 4];
    let crossed = Mutex::new(Vec::new());
    beside_each_other(&LANES, |lane| {
        crossed.lock().unwrap().extend(crash_at(Provider::S3, (*lane..80).step_by(LANES.len())));
    });
    let mut crossed = crossed.into_inner().unwrap();
    crossed.sort_unstable();
    eprintln!("{} boundaries", crossed.len());
    assert_eq!(crossed, (1..=crossed.len()).collect::<Vec<_>>());
    assert!(crossed.len() >= 20, "{crossed:?}");
}

#[test]
fn killed_at_boundaries_of_its_journal_in_oss_a_rollout_is_resumed_on_another_runner() {
    assert_eq!(crash_at(Provider::Oss, [2, 5, 9, 13, 17].into_iter()).len(), 5);
}

#[test]
fn a_driver_whose_runner_is_gone_is_taken_over_when_its_sign_of_life_is_old_and_not_before() {
    let site = Site::new(Provider::S3, slow);
    let first = site.start("one", &["rollout", "api"]);
    site.until(2, "half of the traffic on green", in_mid_shift);
    let refused = site.run("two", &["rollout", "api"]).ended_with(15);
    assert!(refused.err.contains("is driven by one@"), "{}", refused.err);
    first.kill();
    let began = Instant::now();
    let second = site.run("two", &["resume", "api"]).ended_with(0);
    assert!(second.err.contains("another process drives it: following"), "{}", second.err);
    assert!(second.err.contains("its driver is gone: taking over"), "{}", second.err);
    assert!(began.elapsed() > Duration::from_secs(15), "{:?}", began.elapsed());
    site.sound();
}

#[test]
fn a_driver_that_another_runner_replaces_stops_within_two_seconds_and_names_the_winner() {
    let site = Site::new(Provider::S3, |file| file.steps = "[{ share: 50, hold: 8s }, 100]");
    let first = site.start("one", &["rollout", "api"]);
    site.until(2, "half of the traffic on green", in_mid_shift);
    let second = site.start("two", &["resume", "api", "--take-over"]);
    let taken = |state: &Rollout| state.driver().user == "two";
    site.until(2, "the take-over", taken);
    let began = Instant::now();
    let loser = first.wait().ended_with(15);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(format!("{}{}", loser.out, loser.err).contains("two on "), "{loser:?}");
    second.wait().ended_with(0);
    site.sound();
}

#[test]
fn an_order_from_another_runner_is_obeyed_and_a_slow_bucket_that_loses_replies_loses_nothing() {
    let site = Site::new(Provider::S3, |file| file.bake = "30s");
    site.fake.delay(Duration::from_millis(40));
    let mut n = 0_u32;
    site.fake.on_call(move |_| {
        n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match (n >> 16) % 100 {
            0 => Mishap::LostAfter,
            1 => Mishap::LostBefore,
            2 => Mishap::Refused(503, "SlowDown"),
            _ => Mishap::None,
        }
    });
    let first = site.start("one", &["rollout", "api"]);
    site.until(2, "the bake", |state| matches!(state.phase(), Phase::Bake { .. }));
    site.run("two", &["abort", "api"]).ended_with(0);
    first.wait().ended_with(11);
    site.fake.calm();
    let facts = site.rig.block(site.journal().read(&Rig::id(2))).unwrap().into_recorded().unwrap();
    let orders = facts.iter().filter(|fact| matches!(fact.event, Event::Ordered { .. })).count();
    assert_eq!(orders, 1);
    site.sound();
}

#[test]
fn an_older_release_never_overtakes_a_newer_one_unless_somebody_says_why() {
    let site = Site::new(Provider::S3, |_| {});
    let deploy = |revision: &str, more: &[&str]| {
        let mut args = vec!["rollout", "api", "--strategy", "switch", "--revision", revision];
        args.extend(more);
        site.run("one", &args)
    };
    deploy("2.0.0", &["--sequence", "20"]).ended_with(0);
    let refused = deploy("1.9.0", &["--sequence", "19"]).ended_with(16);
    assert!(refused.err.contains("release 19 is older than release 20"), "{}", refused.err);
    deploy("2.0.1", &["--sequence", "20"]).ended_with(0);
    deploy("1.9.0", &["--sequence", "19", "--allow-older"]).ended_with(2);
    deploy("1.9.0", &["--sequence", "19", "--allow-older", "--reason", "2.0 leaks"]).ended_with(0);
    let release = site.state(4).plan().release.clone().unwrap();
    assert_eq!((release.number, release.overtakes.as_deref()), (19, Some("2.0 leaks")));
    // A way back is older by its nature, and an uncounted release is compared with nothing.
    site.run("two", &["rollback", "api"]).ended_with(0);
    deploy("3.0.0", &[]).ended_with(0);
    let history = site.run("two", &["history", "api", "--output", "json"]).ended_with(0);
    let history: serde_json::Value = serde_json::from_str(&history.out).unwrap();
    let to: Vec<_> =
        history["rollouts"].as_array().unwrap().iter().map(|one| one["to"].as_str().unwrap()).collect();
    assert_eq!(to, ["3.0.0", "2.0.1", "1.9.0", "2.0.1", "2.0.0", "1.0.0"]);
    let all = site.run("two", &["status", "--output", "json"]).ended_with(0);
    let all: serde_json::Value = serde_json::from_str(&all.out).unwrap();
    let lines = all["rollouts"].as_array().unwrap();
    assert_eq!((lines.len(), lines[0]["rollout"].as_str().unwrap()), (1, "api/local/6"));
    site.sound();
}

#[test]
fn doctor_looks_at_the_bucket_too() {
    let site = Site::new(Provider::S3, |_| {});
    let unknown = site.run("one", &["doctor", "api"]).ended_with(0);
    assert!(unknown.out.contains("?    journal access"), "{}", unknown.out);
    assert!(unknown.out.contains("?    journal encryption"), "{}", unknown.out);
    site.fake.answer("publicAccessBlock", 404, "NoSuchPublicAccessBlockConfiguration");
    site.fake.answer("policyStatus", 200, "<PolicyStatus><IsPublic>true</IsPublic></PolicyStatus>");
    let open = site.run("one", &["doctor", "api"]).ended_with(1);
    let words =
        "FAIL journal access       `s3://team.journal/prefix/of-ours` is open to strangers by its policy";
    assert!(open.out.contains(words), "{}", open.out);
    site.sound();
}

#[test]
fn a_store_that_cannot_be_reached_is_an_error_that_says_what_to_do() {
    let site = Site::new(Provider::S3, |_| {});
    site.fake.ignore_conditions();
    let strange = ["plan", "api", "--store", "s3://nowhere.journal"];
    let missing = site.run("one", &strange).ended_with(1);
    assert!(missing.err.contains("NoSuchBucket") && missing.err.contains("hint:"), "{}", missing.err);
    let wrong = site.run("one", &["status", "--store", "s3://UPPER"]).ended_with(2);
    assert!(wrong.err.contains("a bucket's name"), "{}", wrong.err);
    let mut command = site.rig.command(&["status", "--store", "s3://team-journal"]);
    command.env("AWS_REGION", "us-east-1").env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/nowhere");
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    let bare = site.rig.launch(command, "status without certificates").wait().ended_with(1);
    assert!(bare.err.contains("ca-certificates") && !bare.err.contains("panicked"), "{}", bare.err);
}

/// A thousand services with a hundred rollouts each, as their logs and summaries lie in a bucket.
fn a_large_history(site: &Site) {
    let objects = site.fake.objects();
    let folder = format!("{PREFIX}/api/local/00000001/");
    let entries: Vec<_> = objects.range(folder.clone()..format!("{folder}~")).collect();
    let summary = String::from_utf8(objects[&format!("{folder}summary.json")].bytes.clone()).unwrap();
    let body = summary[..summary.rfind(",\"sum\":").unwrap()].to_owned();
    for service in 0..1_000 {
        for number in 1..=100 {
            let own = body
                .replace("\"service\":\"api\"", &format!("\"service\":\"s{service}\""))
                .replace("\"number\":1", &format!("\"number\":{number}"));
            let folder = format!("{PREFIX}/s{service}/local/{number:08}/");
            site.fake.insert(&format!("{folder}summary.json"), &sealed(&own));
            for (name, _) in &entries {
                let name = name.rsplit('/').next().unwrap();
                if name != "summary.json" {
                    site.fake.insert(&format!("{folder}{name}"), b"{}");
                }
            }
        }
    }
}

fn sealed(body: &str) -> Vec<u8> {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(body.as_bytes());
    let sum: String =
        digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).fold(String::new(), |mut text, half| {
            text.push(char::from(b"0123456789abcdef"[usize::from(half)]));
            text
        });
    format!("{body},\"sum\":\"{sum}\"}}\n").into_bytes()
}

/// `cargo test --test rollout thousand -- --ignored --nocapture`; the figures are of an unoptimized build beside its bucket.
#[test]
#[ignore = "measures this host"]
fn a_thousand_services_with_a_hundred_rollouts_each_are_listed_in_seconds() {
    let site = Site::new(Provider::S3, |_| {});
    a_large_history(&site);
    site.fake.delay(Duration::from_millis(40));
    for args in [
        &["status", "--output", "json"][..],
        &["history", "api", "--environment", "local"],
        &["status", "--output", "json"],
    ] {
        let (before, done) = (site.fake.requests(), site.run("two", args).ended_with(0));
        eprintln!("{args:?}: {:?}, {} calls of 40 ms", done.took, site.fake.requests() - before);
    }
    let done = site.run("two", &["history", "s7", "-n", "100", "--environment", "local", "--output", "json"]);
    eprintln!("history of 100 rollouts: {:?}", done.took);
    assert!(done.ended_with(0).out.contains("s7/local/100"));
}

/// GitHub's issuer of tokens and the STS in one, as a job meets them: the first vouches, the second gives the bucket's keys.
fn issuer() -> (std::net::SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            seen.lock().unwrap().push(vouch(stream));
        }
    });
    (address, asked)
}

/// Answers one request, and says which it was.
fn vouch(stream: std::net::TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
    for line in head.lines() {
        let value = line.to_ascii_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse());
        length = value.map_or(length, Result::unwrap);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let (action, answer) = if head.starts_with("GET /token") {
        ("token", r#"{"count":1,"value":"header.payload.sig"}"#.to_owned())
    } else {
        let keys = format!(r#""AccessKeyId":"{KEY_ID}","AccessKeySecret":"{SECRET}","SecurityToken":"t""#);
        let until = r#""Expiration":"2099-01-02T05:00:00Z""#;
        ("role", format!(r#"{{"RequestId":"r","Credentials":{{{keys},{until}}}}}"#))
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
    let _ = write!(reader.get_mut(), "{head}Content-Length: {}\r\n\r\n{answer}", answer.len());
    action.to_owned()
}

#[test]
fn a_github_job_takes_its_role_for_a_journal_in_oss_by_itself() {
    let site = Site::new(Provider::Oss, |_| {});
    let (address, asked) = issuer();
    let mut command = site.command("one", &["rollout", "api", "--revision", "2.0.0"]);
    command.env_remove("ALIBABA_CLOUD_ACCESS_KEY_ID").env_remove("ALIBABA_CLOUD_ACCESS_KEY_SECRET");
    command
        .env("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/deploy")
        .env("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "acs:ram::1:oidc-provider/GitHub")
        .env("ACTIONS_ID_TOKEN_REQUEST_URL", format!("http://{address}/token?x=1"))
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "bearer")
        .env("DEPLOYER_ENDPOINT_STS", format!("http://{address}"));
    let done = site.rig.launch(command, "rollout with a role").wait().ended_with(0);
    assert!(done.out.contains("COMPLETED"), "{}", done.out);
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked[..2], ["token", "role"]);
    assert!(asked.len() <= 6, "once for each signer, and kept while it is good: {asked:?}");
    assert!(!format!("{}{}", done.out, done.err).contains("header.payload"));
    site.sound();
}

#[test]
fn a_profile_of_the_cli_takes_its_role_for_a_journal_in_oss_as_well() {
    let site = Site::new(Provider::Oss, |_| {});
    let (address, asked) = issuer();
    let folder = tempfile::tempdir().unwrap();
    let profiles = folder.path().join("config.json");
    let role = r#"{"name":"ci","mode":"RamRoleArn","access_key_id":"LTAI","access_key_secret":"hush","ram_role_arn":"acs:ram::1:role/deploy"}"#;
    std::fs::write(&profiles, format!(r#"{{"current":"ci","profiles":[{role}]}}"#)).unwrap();
    let mut command = site.command("one", &["rollout", "api", "--revision", "2.0.0"]);
    command.env_remove("ALIBABA_CLOUD_ACCESS_KEY_ID").env_remove("ALIBABA_CLOUD_ACCESS_KEY_SECRET");
    command
        .env("ALIBABA_CLOUD_CONFIG_FILE", &profiles)
        .env("DEPLOYER_ENDPOINT_STS", format!("http://{address}"));
    let done = site.rig.launch(command, "rollout with a profile").wait().ended_with(0);
    assert!(done.out.contains("COMPLETED"), "{}", done.out);
    let asked = asked.lock().unwrap().clone();
    assert!((1..=3).contains(&asked.len()) && asked.iter().all(|what| what == "role"), "{asked:?}");
    assert!(!format!("{}{}", done.out, done.err).contains("hush"));
    site.sound();
}
