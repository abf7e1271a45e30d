//! The crate alone: without its default feature no HTTP client is in the tree, and in no case anything that makes tables.

use std::process::Command;

/// The names of all packages in the crate's tree with these features.
fn tree(features: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--offline", "--package", env!("CARGO_PKG_NAME"), "--edges", "normal,build"])
        .args(["--prefix", "none", "--format", "{p}"])
        .args(features)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn without_features_there_is_no_http_client_and_no_tls() {
    let tree = tree(&["--no-default-features"]);
    assert!(tree.contains(&"backstory-auth".to_owned()) && tree.contains(&"http".to_owned()));
    for absent in ["reqwest", "hyper", "h2", "rustls", "mockall", "aws-lc-rs", "openssl"] {
        assert!(!tree.contains(&absent.to_owned()), "{absent} is in the tree");
    }
}

#[test]
fn it_makes_no_tables_and_has_one_crypto_provider() {
    let tree = tree(&[]);
    assert!(tree.contains(&"reqwest".to_owned()) && tree.contains(&"aws-lc-rs".to_owned()));
    for absent in ["arrow-array", "parquet", "backstory-tables", "backstory-sync", "clap", "ring", "openssl"]
    {
        assert!(!tree.contains(&absent.to_owned()), "{absent} is in the tree");
    }
}
