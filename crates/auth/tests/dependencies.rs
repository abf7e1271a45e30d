//! What this crate brings along, and what it must not.

use std::process::Command;

#[test]
fn it_needs_no_http_client_no_tls_and_no_cryptography() {
    let tree = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--offline", "-p", "backstory-auth", "--all-features", "-e", "normal,build"])
        .args(["--prefix", "none", "--format", "{p}"])
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let names: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"jsonwebtoken") && names.contains(&"backstory-transport"), "{names:?}");
    for unwanted in ["reqwest", "hyper", "h2", "rustls", "openssl", "aws-lc-rs", "ring", "backstory-limits"] {
        assert!(!names.contains(&unwanted), "{unwanted} is in the tree");
    }
}
