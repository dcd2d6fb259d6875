//! The server, in a Python environment of its own below the target folder.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const MOTO: &str = "moto[server]==5.2.5";
/// How long its start may take on a busy machine.
const START_MAX: Duration = Duration::from_mins(2);

/// The server, for as long as it lives.
pub struct Moto {
    server: Child,
    pub address: SocketAddr,
}

impl Moto {
    /// Starts it on a free port of this host, with an empty account.
    pub fn start() -> Self {
        let program = environment().join("bin/moto_server");
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let moto = Self { server, address };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < START_MAX, "moto does not listen on {address}");
            std::thread::sleep(Duration::from_millis(50));
        }
        moto
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The environment: made once, by whichever test comes first, while the others wait for it.
fn environment() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("witness-moto-5.2.5");
    let done = folder.join("installed");
    let lock = File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !done.exists() {
        let python = Command::new("python3").arg("--version").output();
        let there = python.is_ok_and(|answer| answer.status.success());
        assert!(
            there,
            "this test installs {MOTO} for itself and needs `python3` with `venv` and `pip` for it"
        );
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", MOTO]));
        std::fs::write(done, MOTO).unwrap();
    }
    folder
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
