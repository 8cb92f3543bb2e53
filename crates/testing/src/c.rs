//! Compiles and runs C programs against the shared library.

use std::path::Path;
use std::process::{Command, Output};

use super::root;

/// The shared library that the programs link.
pub mod library {
    use std::path::PathBuf;

    /// The folder of the shared library, which `make test` builds first.
    ///
    /// The library is compiled without the trainer.
    pub fn folder() -> PathBuf {
        // A test program lies in the folder `deps` beside the library.
        let beside = || std::env::current_exe().expect("a program").ancestors().nth(2).expect("a folder").to_owned();
        let folder = std::env::var_os("PROBITY_LIB_DIR").map_or_else(beside, PathBuf::from);
        assert!(file(&folder).exists(), "{} is missing: run `make lib-native` first", file(&folder).display());
        folder
    }

    /// The library's file within a folder.
    pub fn file(folder: &std::path::Path) -> PathBuf {
        folder.join(if cfg!(target_os = "macos") { "libprobity.dylib" } else { "libprobity.so" })
    }
}

/// Compiles a source of the project against the shared library.
pub fn compile(source: &str, out: &Path, compiler: &str, flags: &[&str]) {
    compile_file(&root().join(source), out, compiler, flags);
}

/// Compiles a source file against the shared library.
pub fn compile_file(source: &Path, out: &Path, compiler: &str, flags: &[&str]) {
    let folder = library::folder();
    let status = Command::new(compiler)
        .args(["-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers", "-pthread"])
        .args(flags)
        .arg(source)
        .arg("-I")
        .arg(root().join("include"))
        .arg("-L")
        .arg(&folder)
        .arg(format!("-Wl,-rpath,{}", folder.display()))
        .args(["-lprobity", "-lm", "-o"])
        .arg(out)
        .status()
        .expect("a C compiler");
    assert!(status.success(), "{} does not compile", source.display());
}

/// Runs a compiled program with AddressSanitizer's options.
pub fn run(program: &Path, args: &[&Path]) -> Output {
    let output = Command::new(program).args(args).env("ASAN_OPTIONS", "detect_leaks=1").output().expect("it runs");
    let [out, err] = [&output.stdout, &output.stderr].map(|b| String::from_utf8_lossy(b).into_owned());
    assert!(output.status.success(), "{}: {}\n{out}\n{err}", program.display(), output.status);
    output
}
