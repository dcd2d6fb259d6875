//! S3 as `moto` answers it: a server that others wrote, in an environment that this test makes for itself.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use deployer::journal::{Address, BucketStore, Journal, Keys, Put, Reach, Store};

use crate::facts::{all, key, read, write};

const MOTO: &str = "moto[s3,server]==5.2.1";
/// How long its start may take on a busy machine, in tenths of a second.
const START_TENTHS_MAX: u32 = 600;

struct Moto {
    server: Child,
    address: SocketAddr,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The environment, made once and kept below `target`.
fn environment() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto-5.2.1");
    let done = folder.join("installed");
    // Tests of several processes may come here at once; the second waits for the first.
    let lock = std::fs::File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !done.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", MOTO]));
        std::fs::write(done, MOTO).unwrap();
    }
    folder
}

impl Moto {
    #[expect(clippy::disallowed_methods, reason = "another program's start gives no sign but an open port")]
    fn start() -> Self {
        let folder = environment();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(folder.join("bin/moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let moto = Self { server, address };
        let up = (0..START_TENTHS_MAX).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            TcpStream::connect(address).is_ok()
        });
        assert!(up, "moto did not start");
        let make = format!(
            "import boto3; boto3.client('s3', endpoint_url='http://{address}', region_name='us-east-1', \
             aws_access_key_id='a', aws_secret_access_key='b').create_bucket(Bucket='team-journal')"
        );
        run(Command::new(folder.join("bin/python")).args(["-c", &make]));
        moto
    }

    fn store(&self, nonce: &str) -> BucketStore {
        let Ok(Address::Bucket(bucket)) = "s3://team-journal/deployer".parse() else { panic!() };
        let keys = Some(Keys { id: "a".into(), secret: "b".into() });
        let endpoint = Some(format!("http://{}", self.address));
        BucketStore::new(
            bucket,
            Reach { endpoint, region: Some("us-east-1".into()), keys, nonce: nonce.into() },
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_moto_what_was_written_is_read_back_and_64_writers_have_one_winner_for_each_number() {
    let moto = tokio::task::spawn_blocking(Moto::start).await.unwrap();
    let store = moto.store("n1");
    let other: deployer::journal::Key = "other/local/00000001/00000001.json".parse().unwrap();
    assert_eq!(store.put_new(&other, b"one").await, Ok(Put::Created));
    assert_eq!(store.put_new(&other, b"two").await, Ok(Put::Exists));
    assert_eq!(store.get(&other).await.unwrap().unwrap(), b"one");
    assert_eq!(store.get(&key(1)).await, Ok(None));
    crate::races::race(|| moto.store("n2")).await;
    let fresh = moto.store("n3");
    fresh.put(&"other/hint.json".parse().unwrap(), b"x").await.unwrap();
    assert!(fresh.age(&"other/hint.json".parse().unwrap()).await.unwrap().unwrap().0 <= 5_000);
}

#[tokio::test]
async fn on_moto_a_whole_rollouts_log_is_what_it_was() {
    let moto = tokio::task::spawn_blocking(Moto::start).await.unwrap();
    write(&Journal::new(moto.store("n1"), "w"), &all()).await;
    assert_eq!(read(moto.store("n2")).await.unwrap(), all());
    let journal = Journal::new(moto.store("n3"), "r");
    assert_eq!(journal.services().await.unwrap().len(), 1);
}
