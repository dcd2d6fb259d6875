//! S3 as servers answer it that others wrote, each in an environment that this test makes for itself: `moto` and
//! `ministack`, which share no code.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use deployer::cloud::Severity;
use deployer::journal::{Address, BucketStore, Journal, Key, Keys, Put, Reach, Store, StoreFaultKind};

use crate::facts::{all, key, read, write};

/// How long a start may take on a busy machine, in tenths of a second.
const START_TENTHS_MAX: u32 = 600;

#[derive(Debug, Clone, Copy)]
enum Kind {
    Moto,
    MiniStack,
}

impl Kind {
    fn package(self) -> &'static str {
        match self {
            Self::Moto => "moto[s3,server]==5.2.1",
            Self::MiniStack => "ministack==1.5.33",
        }
    }

    /// The environment, made once and kept below `target`.
    fn environment(self) -> PathBuf {
        let name = match self {
            Self::Moto => "moto-5.2.1",
            Self::MiniStack => "ministack-1.5.33",
        };
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let done = folder.join("installed");
        // Tests of several processes may come here at once; the second waits for the first.
        let lock = std::fs::File::create(folder.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        if !done.exists() {
            run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
            run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", self.package()]));
            std::fs::write(done, self.package()).unwrap();
        }
        folder
    }

    fn command(self, port: u16) -> Command {
        let folder = self.environment();
        match self {
            Self::Moto => {
                let mut command = Command::new(folder.join("bin/moto_server"));
                command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
                command
            }
            Self::MiniStack => {
                let mut command = Command::new(folder.join("bin/ministack"));
                command
                    .env("BIND_HOST", "127.0.0.1")
                    .env("GATEWAY_PORT", port.to_string())
                    .env("SERVICES", "s3");
                command
            }
        }
    }
}

struct Server {
    process: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Server {
    async fn start(kind: Kind) -> Self {
        tokio::task::spawn_blocking(move || Self::begin(kind)).await.unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "another program's start gives no sign but an open port")]
    fn begin(kind: Kind) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = kind.command(address.port());
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { process, address };
        let up = (0..START_TENTHS_MAX).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            TcpStream::connect(address).is_ok()
        });
        assert!(up, "{kind:?} did not start");
        server.make_bucket();
        server
    }

    /// Neither looks at who asks.
    fn make_bucket(&self) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let head = "authorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, \
                    SignedHeaders=host, Signature=0\r\nx-amz-date: 20260101T000000Z\r\ncontent-length: 0\r\n\
                    connection: close\r\n";
        write!(stream, "PUT /team-journal HTTP/1.1\r\nhost: {}\r\n{head}\r\n", self.address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    fn store(&self, nonce: &str) -> BucketStore {
        self.store_in("team-journal", nonce)
    }

    fn store_in(&self, bucket: &str, nonce: &str) -> BucketStore {
        let Ok(Address::Bucket(bucket)) = format!("s3://{bucket}/deployer").parse() else { panic!() };
        let keys = Some(Keys { id: "a".into(), secret: "b".into() });
        let endpoint = Some(format!("http://{}", self.address));
        BucketStore::new(
            bucket,
            Reach { endpoint, region: Some("us-east-1".into()), keys, nonce: nonce.into() },
        )
    }
}

async fn what_is_written_is_read_back_and_raced_for(kind: Kind) {
    let server = Server::start(kind).await;
    let store = server.store("n1");
    let other: Key = "other/local/00000001/00000001.json".parse().unwrap();
    assert_eq!(store.put_new(&other, b"one").await, Ok(Put::Created));
    assert_eq!(store.put_new(&other, b"two").await, Ok(Put::Exists));
    assert_eq!(store.get(&other).await.unwrap().unwrap(), b"one");
    assert_eq!(store.get(&key(1)).await, Ok(None));
    crate::races::race(|| server.store("n2")).await;
    let fresh = server.store("n3");
    fresh.put(&"other/hint.json".parse().unwrap(), b"x").await.unwrap();
    assert!(fresh.age(&"other/hint.json".parse().unwrap()).await.unwrap().unwrap().0 <= 5_000);
    let missing = server.store_in("no-such-bucket", "n4").put_new(&other, b"x").await.unwrap_err();
    assert_eq!(missing.kind, StoreFaultKind::Unexpected, "{missing}");
    let found = store.examine().await.unwrap();
    // Nothing keeps a bucket of these servers private, and nobody is told that something did.
    assert!(
        found.iter().all(|finding| finding.check != "journal access" || finding.severity != Severity::Ok)
    );
    assert_eq!(found.len(), 2, "{found:?}");
}

async fn a_whole_log_is_what_it_was(kind: Kind) {
    let server = Server::start(kind).await;
    write(&Journal::new(server.store("n1"), "w"), &all()).await;
    assert_eq!(read(server.store("n2")).await.unwrap(), all());
    let journal = Journal::new(server.store("n3"), "r");
    assert_eq!(journal.services().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_moto_what_was_written_is_read_back_and_64_writers_have_one_winner_for_each_number() {
    what_is_written_is_read_back_and_raced_for(Kind::Moto).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_ministack_what_was_written_is_read_back_and_64_writers_have_one_winner_for_each_number() {
    what_is_written_is_read_back_and_raced_for(Kind::MiniStack).await;
}

#[tokio::test]
async fn on_moto_a_whole_rollouts_log_is_what_it_was() {
    a_whole_log_is_what_it_was(Kind::Moto).await;
}

#[tokio::test]
async fn on_ministack_a_whole_rollouts_log_is_what_it_was() {
    a_whole_log_is_what_it_was(Kind::MiniStack).await;
}
