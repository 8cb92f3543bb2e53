//! The files of `make install`, used as an application's build would: by pkg-config.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use probity_testing::c::{library, run};
use probity_testing::{root, shipped};

fn text_of(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The compiler's flags, from pkg-config or, without it, read in its way.
fn flags(prefix: &Path, fixed: bool) -> String {
    let folder = prefix.join("lib/pkgconfig");
    let mut command = Command::new("pkg-config");
    command.args(fixed.then_some("--static")).args(["--cflags", "--libs", "probity"]).env("PKG_CONFIG_PATH", &folder);
    match command.output() {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).expect("text"),
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => {
            let mut text = fs::read_to_string(folder.join("probity.pc")).expect("the file is there");
            for name in ["includedir", "libdir", "prefix"] {
                let value = text.lines().find_map(|l| l.strip_prefix(&format!("{name}="))).expect(name).to_owned();
                text = text.replace(&format!("${{{name}}}"), &value);
            }
            let kinds: &[&str] = if fixed { &["Cflags", "Libs", "Libs.private"] } else { &["Cflags", "Libs"] };
            let flags = kinds.iter().filter_map(|k| text.lines().find_map(|l| l.strip_prefix(&format!("{k}: "))));
            flags.collect::<Vec<_>>().join(" ")
        }
    }
}

/// Compiles the C example with the flags that an application would use.
fn build(prefix: &Path, program: &Path, fixed: bool) {
    let mut compiler = Command::new("cc");
    compiler.arg(root().join("examples/c/decide.c")).arg("-o").arg(program);
    compiler.args(flags(prefix, fixed).split_whitespace());
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
    let internal = |name: &str| !name.starts_with("probity_") || name.starts_with("probity_engine_");
    let foreign: Vec<&&str> = names.iter().filter(|n| internal(n)).collect();
    assert!(foreign.is_empty(), "{foreign:?}");

    // The shared library has a name that a program records, and a version for every symbol.
    let file = prefix.join("lib/libprobity.so.1");
    let dynamic = text_of(Command::new("readelf").args(["-d", "-W"]).arg(&file));
    assert!(dynamic.contains("Library soname: [libprobity.so.1]"), "{dynamic}");
    let names = text_of(Command::new("nm").args(["-D", "--defined-only", "--with-symbol-versions"]).arg(&file));
    let names: Vec<&str> = names.lines().filter_map(|l| l.split_whitespace().nth(2)).collect();
    let odd: Vec<&&str> = names
        .iter()
        .filter(|n| **n != "PROBITY_1" && !(n.starts_with("probity_") && n.ends_with("@@PROBITY_1")))
        .collect();
    assert!(names.len() > 20 && odd.is_empty(), "{odd:?}");

    let arguments = [&*shipped("default"), &*shipped("deontological")];
    let [shared, own] = ["shared", "static"].map(|name| folder.path().join(name));
    build(&prefix, &shared, false);
    let output = run(&shared, &arguments);
    assert!(text_of(Command::new("readelf").args(["-d", "-W"]).arg(&shared)).contains("[libprobity.so.1]"));

    // The consumers that people copy: CMake finds both, and make asks pkg-config.
    let consumers = root().join("tests/consumers");
    let project = folder.path().join("project");
    let prefixed = format!("-DCMAKE_PREFIX_PATH={}", prefix.display());
    text_of(Command::new("cmake").arg("-S").arg(consumers.join("cmake")).arg("-B").arg(&project).arg(prefixed));
    text_of(Command::new("cmake").arg("--build").arg(&project));
    let played = run(&project.join("play"), &arguments).stdout;
    assert!(String::from_utf8_lossy(&played).starts_with("share 0."), "{played:?}");
    assert_eq!(run(&project.join("play-static"), &arguments).stdout, played);
    if Command::new("pkg-config").arg("--version").output().is_ok() {
        let play = folder.path().join("play");
        let mut make = Command::new("make");
        make.arg("-f")
            .arg(consumers.join("pkg-config/Makefile"))
            .arg(format!("VPATH={}", consumers.join("pkg-config").display()));
        text_of(make.current_dir(folder.path()).env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")));
        assert_eq!(run(&play, &arguments).stdout, played);
    }

    // With the shared library gone, the same flags find the static one.
    fs::remove_file(prefix.join("lib/libprobity.so")).unwrap();
    build(&prefix, &own, true);
    assert_eq!(run(&own, &arguments).stdout, output.stdout, "the same decisions");

    // A program with a llama.cpp of its own, whose every name ours has, too.
    let llama = llama_cpp();
    let beside = folder.path().join("beside");
    let mut compiler = Command::new("cc");
    compiler.arg("-std=c99").arg(root().join("tests/c/beside.c")).arg("-o").arg(&beside);
    compiler.arg("-I").arg(llama.join("include")).arg("-L").arg(llama.join("lib"));
    compiler.args(["-lllama", "-lggml", "-lggml-cpu", "-lggml-base"]);
    text_of(compiler.args(flags(&prefix, true).split_whitespace()));
    run(&beside, &arguments);
}

/// The newest llama.cpp that was compiled for this test program: a folder with `include` and `lib`.
fn llama_cpp() -> PathBuf {
    let program = std::env::current_exe().expect("a program");
    let builds = program.ancestors().nth(2).expect("a folder").join("build");
    let made = fs::read_dir(builds).expect("builds").map(|entry| entry.expect("a build").path().join("out"));
    made.filter(|out| out.join("lib/libllama.a").exists())
        .max_by_key(|out| out.metadata().and_then(|out| out.modified()).expect("a time"))
        .expect("llama.cpp was compiled")
}
