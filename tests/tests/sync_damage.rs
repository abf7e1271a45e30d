//! What befalls a lake from outside: a full disk, a read-only folder, a ledger that is gone or old, data files that are
//! deleted. The next sync is right, or says clearly what is wrong and damages nothing.

mod syncing;

use std::fs;

use backstory_destination::Destination as _;
use backstory_sync::ErrorKind;
use backstory_tables::Resource;
use jiff::SignedDuration;
use syncing::{Scene, copy, files, world};

async fn is_the_truth(scene: &Scene, what: &str) {
    assert_eq!(scene.digest(Resource::Activities, None).await, scene.truth(None).await, "{what}");
    let lake = scene.lake();
    let found = tokio::task::spawn_blocking(move || backstory_sync::verify(&lake, None, None).unwrap());
    assert!(found.await.unwrap().ok, "{what}");
}

fn ledger(scene: &Scene) -> std::path::PathBuf {
    scene.folder().join("_backstory/ledger.sqlite")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_deleted_corrupt_or_old_costs_nothing_but_time() {
    let scene = Scene::new(world()).await;
    scene.sync_until_whole().await;
    let backup = fs::read(ledger(&scene)).unwrap();
    for what in ["deleted", "corrupt", "of an old backup", "empty"] {
        scene.sim.clock().advance(SignedDuration::from_hours(30));
        scene.sync_until_whole().await;
        let created = scene.sim.jobs().list().len();
        match what {
            "deleted" => fs::remove_file(ledger(&scene)).unwrap(),
            "corrupt" => fs::write(ledger(&scene), vec![0x5a; 20_000]).unwrap(),
            "empty" => fs::write(ledger(&scene), b"").unwrap(),
            _ => fs::write(ledger(&scene), &backup).unwrap(),
        }
        let report = scene.sync_until_whole().await;
        assert_eq!(report.committed.len(), 1, "{what}: only today is asked for again: {report:?}");
        assert_eq!(scene.sim.jobs().list().len() - created, 1, "{what}");
        is_the_truth(&scene, what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_of_another_lake_is_refused_and_nothing_is_changed() {
    let (one, other) = (Scene::new(world()).await, Scene::new(world()).await);
    one.sync_until_whole().await;
    other.sync_until_whole().await;
    fs::copy(ledger(&one), ledger(&other)).unwrap();
    let before = files(&other.folder(), "");
    let error = other.sync().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.to_string().contains("another destination"), "{error}");
    assert_eq!(
        files(&other.folder(), ".parquet").len(),
        before.keys().filter(|path| path.extension().is_some_and(|end| end == "parquet")).count()
    );
    fs::remove_file(ledger(&other)).unwrap();
    other.sync_until_whole().await;
    is_the_truth(&other, "after its removal").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_the_data_files_deleted_come_back_from_the_raw_files_or_from_the_service() {
    for raw_is_there in [true, false] {
        let scene = Scene::new(world()).await;
        scene.sync_until_whole().await;
        scene.sim.clock().advance(SignedDuration::from_hours(40));
        scene.sync_until_whole().await;
        for half in [0, 1] {
            let data = files(&scene.folder().join("activities"), ".parquet");
            assert!(data.len() >= 2);
            for path in data.keys().skip(half).step_by(2) {
                fs::remove_file(path).unwrap();
            }
            if !raw_is_there {
                fs::remove_dir_all(scene.folder().join("raw")).unwrap();
            }
            let created = scene.sim.jobs().list().len();
            let report = scene.sync_until_whole().await;
            let what = format!("raw files {raw_is_there}, half {half}: {report:?}");
            let created = scene.sim.jobs().list().len() - created;
            // Today's delta in any case; the rest only where there is no other way.
            assert!(if raw_is_there { created == 1 } else { created >= 1 }, "{created}; {what}");
            is_the_truth(&scene, &what).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_that_was_copied_goes_on_in_its_new_place() {
    let scene = Scene::new(world()).await;
    scene.sync_until_whole().await;
    let elsewhere = tempfile::tempdir().unwrap();
    copy(&scene.folder(), elsewhere.path());
    fs::remove_dir_all(scene.folder()).unwrap();
    copy(elsewhere.path(), &scene.folder());
    let report = scene.sync_until_whole().await;
    assert_eq!(report.committed.len(), 1, "{report:?}");
    is_the_truth(&scene, "copied").await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_folder_is_a_clear_error_and_nothing_is_changed() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::new(world()).await;
    scene.sync_until_whole().await;
    let before = files(&scene.folder(), ".parquet");
    let folders =
        ["activities/delta", "activities/snapshot", "raw/activities", "_backstory", "activities", ""];
    let set = |mode| {
        for folder in folders {
            let path = scene.folder().join(folder);
            if path.exists() {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
    };
    set(0o555);
    let is_root = fs::write(scene.folder().join("probe"), b"").is_ok();
    if is_root {
        let _ = fs::remove_file(scene.folder().join("probe"));
    } else {
        let error = scene.sync().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Destination, "{error}");
        assert!(error.hint().is_some());
    }
    set(0o755);
    assert_eq!(files(&scene.folder(), ".parquet"), before);
    scene.sync_until_whole().await;
    is_the_truth(&scene, "writable again").await;
}

/// A small file system, until it is dropped.
#[cfg(target_os = "linux")]
struct SmallDisk(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl SmallDisk {
    /// Nothing where nothing may be mounted.
    fn mount(kibibytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        Self::command("mount", &["-t", "tmpfs", "-o", &format!("size={kibibytes}k"), "tmpfs"], folder.path())
            .then_some(Self(folder))
    }

    fn grow(&self) {
        assert!(Self::command("mount", &["-o", "remount,size=64m"], self.0.path()));
    }

    fn command(program: &str, arguments: &[&str], at: &std::path::Path) -> bool {
        let status = std::process::Command::new(program).args(arguments).arg(at).status();
        status.is_ok_and(|status| status.success())
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        Self::command("umount", &[], self.0.path());
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_a_clear_error_and_the_next_run_goes_on() {
    // Full while the ledger is made, while raw files are written, while tables are.
    for kibibytes in [24, 120, 350] {
        let Some(disk) = SmallDisk::mount(kibibytes) else {
            eprintln!("nothing may be mounted here, so the full disk is left to other machines");
            return;
        };
        let scene = Scene::on(world().activities(1_500), disk.0.path()).await;
        let first = scene.try_sync().await;
        let told = match &first {
            Ok(report) => format!("{:?}", report.failures),
            Err(error) => error.clone(),
        };
        let is_clear = ["StorageFull", "disk is full", "No space"].iter().any(|words| told.contains(words));
        assert!(is_clear, "{kibibytes} KiB: {told}");
        disk.grow();
        // What has landed is whole, and stays.
        let kept = scene.lake().deliveries().unwrap().len();
        let report = scene.sync_until_whole().await;
        let brought = report.committed.len() + usize::try_from(report.reloaded).unwrap();
        assert!(kept + brought >= 9, "{kibibytes} KiB: {kept} were kept; {report:?}");
        is_the_truth(&scene, &format!("{kibibytes} KiB")).await;
    }
}
