//! The store in a folder, on real disks with real limits.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use deployer::journal::{Appended, FileStore, Flaw, Journal, JournalFault, Put, Store, StoreFaultKind};

use crate::facts::{all, damage, key, read, released, rollout, write};

fn folder_of(root: &Path) -> PathBuf {
    root.join("api/local/00000007")
}

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_folder_holds_what_was_written_and_only_its_owner_reads_it() {
    let root = tempfile::tempdir().unwrap();
    let below = root.path().join("made/on/demand");
    write(&Journal::new(FileStore::new(&below), "w"), &all()).await;
    assert_eq!(read(FileStore::new(&below)).await.unwrap(), all());
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder_of(&below).join("00000001.json")), 0o600);
    assert_eq!((mode(folder_of(&below)), mode(below.join("api")), mode(below)), (0o700, 0o700, 0o700));
}

#[tokio::test]
async fn an_object_is_never_replaced() {
    let root = tempfile::tempdir().unwrap();
    let store = FileStore::new(root.path());
    assert_eq!(store.put_new(&key(1), b"one").await, Ok(Put::Created));
    assert_eq!(store.put_new(&key(1), b"two").await, Ok(Put::Exists));
    assert_eq!(store.get(&key(1)).await.unwrap().unwrap(), b"one");
    assert_eq!(store.get(&key(2)).await, Ok(None));
}

#[tokio::test]
async fn a_crash_before_the_link_leaves_nothing_to_be_seen_and_is_swept_when_it_is_old() {
    let root = tempfile::tempdir().unwrap();
    let crashed = write(&Journal::new(FileStore::new(root.path()), "w"), &all()).await;
    let folder = folder_of(root.path());
    let (old, young) = (folder.join(".new-1-0"), folder.join(".new-2-0"));
    for temp in [&old, &young] {
        fs::copy(folder.join("00000014.json"), temp).unwrap();
    }
    let hours_ago = fs::metadata(&young).unwrap().modified().unwrap() - Duration::from_hours(2);
    File::options().write(true).open(&old).unwrap().set_modified(hours_ago).unwrap();
    assert_eq!(read(FileStore::new(root.path())).await.unwrap(), all());
    drop(crashed);
    let journal = Journal::new(FileStore::new(root.path()), "next");
    let mut log = journal.log(&journal.read(&rollout()).await.unwrap()).unwrap();
    assert_eq!(log.append(&released("after")).await.unwrap(), Appended::Created(15));
    assert_eq!((old.exists(), young.exists()), (false, true), "a young one may belong to a live writer");
}

#[tokio::test]
async fn a_rollout_whose_first_entry_was_never_finished_does_not_count() {
    let root = tempfile::tempdir().unwrap();
    let journal = Journal::new(FileStore::new(root.path()), "w");
    fs::create_dir_all(folder_of(root.path())).unwrap();
    fs::write(folder_of(root.path()).join(".new-1-0"), "{").unwrap();
    let id = rollout();
    assert_eq!(journal.latest(&id.service, &id.environment).await.unwrap(), None);
    assert_eq!(journal.services().await.unwrap(), []);
    assert_eq!(journal.read(&id).await.unwrap_err(), JournalFault::Missing { rollout: id.clone() });
    write(&journal, &all()).await;
    assert_eq!(journal.latest(&id.service, &id.environment).await.unwrap(), Some(id));
}

#[tokio::test]
async fn a_link_or_a_folder_in_place_of_an_object_is_refused() {
    let root = tempfile::tempdir().unwrap();
    write(&Journal::new(FileStore::new(root.path()), "w"), &all()).await;
    let (object, aside) = (folder_of(root.path()).join("00000003.json"), root.path().join("aside"));
    fs::rename(&object, &aside).unwrap();
    symlink(&aside, &object).unwrap();
    let link = damage(FileStore::new(root.path())).await;
    assert!(link.key == key(3) && matches!(link.flaw, Flaw::NotAFile { .. }), "{link}");
    assert!(link.to_string().contains(object.to_str().unwrap()), "{link}");
    fs::remove_file(&object).unwrap();
    fs::create_dir(&object).unwrap();
    let folder = damage(FileStore::new(root.path())).await;
    assert!(folder.key == key(3) && matches!(folder.flaw, Flaw::NotAFile { .. }), "{folder}");
}

#[tokio::test]
async fn a_link_that_waits_for_the_next_append_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let mut log = write(&Journal::new(FileStore::new(root.path()), "w"), &[released("first")]).await;
    let victim = root.path().join("victim");
    symlink(&victim, folder_of(root.path()).join("00000002.json")).unwrap();
    let fault = log.append(&released("second")).await.unwrap_err();
    assert!(matches!(&fault, JournalFault::Damaged(damage) if damage.key == key(2)), "{fault}");
    assert!(!victim.exists());
}

#[tokio::test]
async fn a_link_in_place_of_a_folder_is_not_written_through() {
    let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    symlink(elsewhere.path(), root.path().join("api")).unwrap();
    let fault = FileStore::new(root.path()).put_new(&key(1), b"x").await.unwrap_err();
    assert_eq!((fault.kind, fault.ambiguous), (StoreFaultKind::NotAFile, false), "{fault}");
    assert_eq!(names(elsewhere.path()), Vec::<String>::new());
}

#[tokio::test]
async fn another_users_object_is_refused() {
    let root = tempfile::tempdir().unwrap();
    if fs::metadata(root.path()).unwrap().uid() != 0 {
        return eprintln!("skipped: only root can give a file away");
    }
    write(&Journal::new(FileStore::new(root.path()), "w"), &all()).await;
    std::os::unix::fs::chown(folder_of(root.path()).join("00000002.json"), Some(12_345), None).unwrap();
    let damage = damage(FileStore::new(root.path())).await;
    assert!(damage.key == key(2) && damage.to_string().contains("user 12345 owns it"), "{damage}");
}

#[tokio::test]
async fn a_journal_below_a_file_is_refused_with_the_path() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "x").unwrap();
    let fault = FileStore::new(root.path().join("file")).put_new(&key(1), b"x").await.unwrap_err();
    assert!(!fault.ambiguous && fault.place == root.path().join("file").to_str().unwrap(), "{fault}");
}

/// Runs one of this file's ignored tests in a process of its own, below a shell that has prepared its world.
fn run_below(shell: &str, test: &str, root: &Path) -> Output {
    let script = format!("{shell} && exec \"$0\" --exact disk::{test} --ignored --nocapture");
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(std::env::current_exe().unwrap());
    command.env("JOURNAL_ROOT", root).output().unwrap()
}

fn passed(output: &Output) {
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// A limit of 4 KiB a file makes the kernel write a part of the entry first and fail then: a torn write, for real.
#[test]
fn a_write_that_the_system_cuts_short_leaves_no_entry() {
    let root = tempfile::tempdir().unwrap();
    passed(&run_below("ulimit -f 8 && trap '' XFSZ", "appends_where_there_is_no_room", root.path()));
}

#[test]
fn a_disk_that_is_full_leaves_no_entry() {
    let root = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=32k none \"$JOURNAL_ROOT\"";
    let can =
        Command::new("unshare").args(["-rm", "sh", "-c", mount]).env("JOURNAL_ROOT", root.path()).output();
    if !can.is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: this host does not let us mount a small disk");
    }
    let script =
        format!("{mount} && exec \"$0\" --exact disk::appends_where_there_is_no_room --ignored --nocapture");
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", &script]).arg(std::env::current_exe().unwrap());
    passed(&command.env("JOURNAL_ROOT", root.path()).output().unwrap());
}

#[tokio::test]
#[ignore = "run by the tests above, where there is room for small files only"]
async fn appends_where_there_is_no_room() {
    let root = PathBuf::from(std::env::var_os("JOURNAL_ROOT").expect("started by another test"));
    let mut log = write(&Journal::new(FileStore::new(&root), "w"), &[released("first")]).await;
    let fault = log.append(&released(&"x".repeat(100_000))).await.unwrap_err();
    let JournalFault::Store(fault) = fault else { panic!("{fault}") };
    assert_eq!((fault.kind, fault.ambiguous), (StoreFaultKind::Full, false), "{fault}");
    assert_eq!(
        names(&folder_of(&root)),
        ["00000001.json"],
        "no entry, and no temporary file that takes room"
    );
    assert_eq!(log.append(&released("second")).await.unwrap(), Appended::Created(2));
    assert_eq!(read(FileStore::new(&root)).await.unwrap(), ["first", "second"].map(released));
}
