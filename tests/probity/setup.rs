//! `scripts/setup.sh` under each package manager. The managers are stand-ins that write down how they were called, on
//! machines without a compiler.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};

use probity_testing::root;

/// Commands that the script needs of any machine.
const COMMON: [&str; 5] = ["bash", "env", "awk", "sort", "head"];

fn command(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs the script where only `have`, cargo and what every machine has can be found, as a user id.
fn setup(folder: &Path, have: &[&str], system: &str, user: u32, fails: bool) -> Output {
    let bin = folder.join("bin");
    fs::create_dir(&bin).unwrap();
    for name in COMMON {
        let path = ["/bin", "/usr/bin"].iter().map(|d| Path::new(d).join(name)).find(|p| p.exists()).expect(name);
        symlink(path, bin.join(name)).unwrap();
    }
    for name in have {
        let calls = folder.join("calls").display().to_string();
        command(&bin, name, &format!("echo {name} \"$@\" >> '{calls}'; exit {}", u8::from(fails)));
    }
    command(&bin, "sudo", "shift; exec \"$@\"");
    command(&bin, "cargo", "echo cargo 1.95.0");
    command(&bin, "uname", &format!("echo {system}"));
    command(&bin, "id", &format!("echo {user}"));
    // No libclang is found.
    command(&bin, "ls", "exit 2");
    let mut script = Command::new("bash");
    script.arg(root().join("scripts/setup.sh")).env("PATH", &bin).env_remove("LIBCLANG_PATH").output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_package_manager_is_asked_for_its_own_names() {
    let cases = [
        ("apt-get", "Linux", "apt-get update -qq\napt-get install -y -qq cmake make g++ clang libclang-dev\n"),
        ("dnf", "Linux", "dnf install -y -q cmake make gcc-c++ clang clang-devel\n"),
        ("zypper", "Linux", "zypper --non-interactive --quiet install cmake make gcc-c++ clang clang-devel\n"),
        ("pacman", "Linux", "pacman -Sy --needed --noconfirm --quiet cmake make gcc clang\n"),
        ("apk", "Linux", "apk add --no-cache --quiet cmake make g++ clang clang-dev\n"),
    ];
    for (manager, system, calls) in cases {
        for user in [0, 1000] {
            let folder = tempfile::tempdir().unwrap();
            let output = setup(folder.path(), &[manager], system, user, false);
            assert!(output.status.success(), "{manager}: {}", said(&output));
            assert_eq!(fs::read_to_string(folder.path().join("calls")).unwrap(), calls);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let output = setup(folder.path(), &["brew", "c++", "make"], "Darwin", 501, false);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read_to_string(folder.path().join("calls")).unwrap(), "brew install --quiet cmake llvm\n");
}

#[test]
fn what_cannot_be_installed_is_one_line_to_type() {
    let cases: [(&[&str], &str, &str); 6] = [
        (&["apt-get"], "Linux", "setup: run 'sudo apt-get install cmake make g++ clang libclang-dev', then try again"),
        (&["pacman"], "Linux", "setup: run 'sudo pacman -Sy --needed cmake make gcc clang', then try again"),
        (&["brew", "c++", "make"], "Darwin", "setup: run 'brew install cmake llvm', then try again"),
        (&["brew", "make"], "Darwin", "setup: run 'xcode-select --install', then try again"),
        (
            &["nix-shell"],
            "Linux",
            "setup: run 'nix-shell -p cmake gnumake rustup rustPlatform.bindgenHook', then try again in it",
        ),
        (&[], "Linux", "setup: install cmake make c++ clang libclang, then try again"),
    ];
    for (have, system, line) in cases {
        let folder = tempfile::tempdir().unwrap();
        let output = setup(folder.path(), have, system, 1000, true);
        assert_eq!(output.status.code(), Some(1), "{have:?}");
        assert_eq!(said(&output).lines().last(), Some(line), "{have:?}");
    }
}
