//! Keeps `include/probity.h` true to `src/ffi`. With the feature `capi`, a build with a stale header fails with the
//! command that refreshes it. Without the feature the build script does nothing.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "capi")]
    header::check();
}

#[cfg(feature = "capi")]
mod header {
    use std::path::Path;
    use std::{env, fs};

    const HEADER: &str = "include/probity.h";
    const UPDATE: &str = "PROBITY_UPDATE_HEADER";
    const PREAMBLE: &str = "/* DO NOT EDIT: generated from src/ffi by `make header`. */

/**
 * @file
 * Probity: moral decisions on a local language model.
 *
 * The contract, which every caller keeps:
 * - Pointers are NULL or valid as their types say. Arrays have the stated number of values.
 * - What a function reads stays unchanged during the call; what it writes nobody else uses during the call.
 * - Strings are UTF-8 and NUL-terminated. What the library returns is freed once, by the function that the comment names.
 *
 * What the library promises:
 * - A function that can fail returns a probity_status_t. Outputs come last, before the error, and are written on success
 *   alone; with PROBITY_STATUS_UNRELIABLE they are written, too. The error may be NULL.
 * - Handles are small structs, passed by value: one that was freed, is of another kind or was made up is an error and never
 *   undefined behaviour.
 * - A call needs 256 KiB of stack. What a file or a text makes deep runs on a stack of its own.
 * - Models, adapters, sessions, games and graphs may be used by many threads at once, an agent by one thread at a time.
 * - The library opens no network connection and prints nothing, short of a defect of its own (PROBITY_STATUS_PANIC).
 */";

    const VISIBILITY: &str = "
#ifndef PROBITY_API
#if defined(__GNUC__)
#define PROBITY_API __attribute__((visibility(\"default\")))
#else
#define PROBITY_API
#endif
#endif";

    pub fn check() {
        println!("cargo::rerun-if-changed=src/ffi");
        println!("cargo::rerun-if-changed={HEADER}");
        println!("cargo::rerun-if-env-changed={UPDATE}");
        // cbindgen follows the modules from there.
        let builder = cbindgen::Builder::new().with_config(config()).with_src("src/ffi/mod.rs");
        let mut fresh = Vec::new();
        builder.generate().expect("src/ffi makes a header").write(&mut fresh);
        let committed = fs::read(HEADER).unwrap_or_default();
        if fresh == committed {
            return;
        }
        assert!(env::var_os(UPDATE).is_some(), "{HEADER} is stale: refresh it with `make header` and commit it");
        fs::create_dir_all(Path::new(HEADER).parent().expect("a folder")).expect("include/");
        fs::write(HEADER, fresh).expect(HEADER);
    }

    fn config() -> cbindgen::Config {
        let mut config = cbindgen::Config {
            language: cbindgen::Language::C,
            cpp_compat: true,
            usize_is_size_t: true,
            header: Some(PREAMBLE.into()),
            include_guard: Some("PROBITY_H".into()),
            after_includes: Some(VISIBILITY.into()),
            style: cbindgen::Style::Both,
            line_length: 110,
            documentation: true,
            documentation_style: cbindgen::DocumentationStyle::Cxx,
            ..Default::default()
        };
        config.function.prefix = Some("PROBITY_API".into());
        config
    }
}
