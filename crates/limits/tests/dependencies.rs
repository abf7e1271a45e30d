//! The crate alone: dates and counting need no I/O, no runtime and no clock.

use std::process::Command;

#[test]
fn it_needs_no_runtime_no_http_and_nothing_random() {
    let tree = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--offline", "-p", env!("CARGO_PKG_NAME"), "--all-features", "-e", "normal,build"])
        .args(["--prefix", "none", "--format", "{p}"])
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let names: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"jiff"), "{names:?}");
    for unwanted in ["tokio", "futures-util", "http", "reqwest", "rand", "tracing", "serde_json"] {
        assert!(!names.contains(&unwanted), "{unwanted} is in the tree");
    }
}
