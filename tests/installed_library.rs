//! What `make install` leaves behind, used the way an application's build would: by way of pkg-config.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::c::{library, run};
use common::{root, shipped};

fn text_of(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Compiles the C example with the flags that pkg-config gives.
fn build(prefix: &Path, program: &Path, kind: &[&str]) {
    let folder = prefix.join("lib/pkgconfig");
    let flags = text_of(
        Command::new("pkg-config").args(kind).args(["--cflags", "--libs", "probity"]).env("PKG_CONFIG_PATH", &folder),
    );
    let mut compiler = Command::new("cc");
    compiler.arg(root().join("examples/c/decide.c")).arg("-o").arg(program).args(flags.split_whitespace());
    text_of(compiler.arg(format!("-Wl,-rpath,{}", prefix.join("lib").display())));
}

#[test]
#[cfg_attr(target_os = "macos", ignore = "names are hidden with GNU tools")]
fn a_program_links_what_was_installed_and_sees_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("usr");
    let from = library::folder();
    text_of(Command::new("scripts/install.sh").arg(&from).env("PREFIX", &prefix).current_dir(root()));

    let archive = prefix.join("lib/libprobity.a");
    let names = text_of(Command::new("nm").args(["-g", "--defined-only"]).arg(&archive));
    let names: Vec<&str> = names.lines().filter_map(|l| l.split_whitespace().nth(2)).collect();
    assert!(names.len() > 20, "{names:?}");
    let foreign: Vec<&&str> = names.iter().filter(|n| !n.starts_with("probity_")).collect();
    assert!(foreign.is_empty(), "{foreign:?}");

    let arguments = [&*shipped("default"), &*shipped("deontological")];
    let [shared, fixed] = ["shared", "static"].map(|name| folder.path().join(name));
    build(&prefix, &shared, &[]);
    let output = run(&shared, &arguments);
    // With the shared library gone, the same flags find the static one.
    fs::remove_file(prefix.join("lib/libprobity.so")).unwrap();
    build(&prefix, &fixed, &["--static"]);
    assert_eq!(run(&fixed, &arguments).stdout, output.stdout, "the same decisions");
}
