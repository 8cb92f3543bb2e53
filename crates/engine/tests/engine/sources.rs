//! Models and adapters from files, sections of files and memory are the same.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use probity_engine::score::{PromptTokens, Scorer};
use probity_engine::{Adapter, Context, ContextOptions, Error, Model, ModelOptions, Plan, Source};
use probity_testing::{shipped, write_adapter};

/// Bytes that tell when nobody needs them any more.
struct Watched(Vec<u8>, Arc<AtomicBool>);

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.1.store(true, Ordering::Release);
    }
}

fn load(source: Source) -> Model {
    Model::from_source(source, ModelOptions::default(), |_| true).unwrap()
}

fn scores(model: &Model, adapters: &[(Adapter, f32)]) -> Vec<f64> {
    let mut scorer = Scorer::new(Context::new(model, ContextOptions::default().with(|o| o.threads = 1)).unwrap());
    scorer.set_adapters(adapters).unwrap();
    let prompt = PromptTokens { tokens: vec![5, 6, 7, 8], fixed: 0 };
    scorer.score(&prompt, &[[9, 10].into(), [11].into()]).unwrap()
}

/// Bytes of another length at every look.
struct Fickle(Vec<u8>, [usize; 3], AtomicUsize);

impl AsRef<[u8]> for Fickle {
    fn as_ref(&self) -> &[u8] {
        let look = self.2.fetch_add(1, Ordering::Relaxed);
        &self.0[..self.1[look % 3].min(self.0.len())]
    }
}

/// A file that holds `bytes` at an odd offset, with other bytes around.
fn bundle(folder: &Path, bytes: &[u8]) -> (std::path::PathBuf, u64, u64) {
    let path = folder.join("assets");
    std::fs::write(&path, [&b"GGUF but not here"[..], bytes, &[7; 999][..]].concat()).unwrap();
    (path, 17, bytes.len() as u64)
}

#[test]
fn a_section_and_memory_load_as_the_file_does() {
    let folder = tempfile::tempdir().unwrap();
    let file = shipped("default");
    let bytes = std::fs::read(&file).unwrap();
    let adapter = folder.path().join("adapter.gguf");
    let plain = Model::open(&file, ModelOptions::default(), |_| true).unwrap();
    std::fs::copy(shipped("deontological"), &adapter).unwrap();
    let (assets, offset, length) = bundle(folder.path(), &bytes);
    let name = Path::new("a name");

    let section = load(Source::section(File::open(&assets).unwrap(), offset, Some(length), name).unwrap());
    let gone = Arc::new(AtomicBool::new(false));
    let memory = load(Source::memory(Watched(bytes, Arc::clone(&gone)), name));
    let expected = scores(&plain, &[(Adapter::load(&plain, &adapter).unwrap(), 1.0)]);
    for model in [&section, &memory] {
        assert_eq!(model.fingerprint(), plain.fingerprint());
        assert_eq!(model.content().unwrap(), plain.content().unwrap());
        assert_eq!(model.path(), name);
        assert_eq!(model.plan(ContextOptions::default()).unwrap(), plain.plan(ContextOptions::default()).unwrap());
        assert_eq!(scores(model, &[]), scores(&plain, &[]));
        let lent = Source::memory(std::fs::read(&adapter).unwrap(), name);
        assert_eq!(scores(model, &[(Adapter::from_source(model, lent).unwrap(), 1.0)]), expected);
        let tensor = &plain.gguf().tensors()[3];
        assert_eq!(model.read_tensor(tensor).unwrap(), plain.read_tensor(tensor).unwrap());
    }
    let handle = memory.clone();
    drop(memory);
    assert!(!gone.load(Ordering::Acquire), "a handle still needs the bytes");
    drop(handle);
    assert!(gone.load(Ordering::Acquire), "nobody needs the bytes");
}

#[test]
fn one_source_is_read_by_many_at_once() {
    let (_folder, path) = probity_testing::tiny(probity_engine::gguf::GgmlType::F32);
    let source = Source::open(&path).unwrap();
    let expected = scores(&load(source.clone()), &[]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (source, expected) = (source.clone(), &expected);
            scope.spawn(move || {
                let plan = Plan::of(&source, ModelOptions::default(), ContextOptions::default()).unwrap();
                let model = load(source);
                assert_eq!(model.plan(ContextOptions::default()).unwrap(), plan);
                assert_eq!(&scores(&model, &[]), expected);
            });
        }
    });
}

#[test]
fn a_source_that_does_not_fit_is_refused() {
    let (folder, path) = probity_testing::tiny(probity_engine::gguf::GgmlType::F32);
    let bytes = std::fs::read(&path).unwrap();
    let (assets, offset, length) = bundle(folder.path(), &bytes);
    let name = Path::new("a name");
    let section = |offset, length| Source::section(File::open(&assets).unwrap(), offset, length, name);
    let all = std::fs::metadata(&assets).unwrap().len();
    for (from, bytes) in [(0, Some(all + 1)), (all + 1, None), (all, Some(1)), (1, Some(u64::MAX)), (u64::MAX, Some(1))]
    {
        let error = section(from, bytes).unwrap_err();
        assert!(matches!(error, Error::Option { name: "offset and length", .. }), "{error}");
    }
    let open = |source| Model::from_source(source, ModelOptions::default(), |_| true);
    for source in [section(offset, Some(length - 1)).unwrap(), Source::memory(bytes[..bytes.len() - 1].to_vec(), name)]
    {
        assert!(matches!(open(source), Err(Error::Truncated { file, .. }) if file == "a name"));
    }
    assert!(matches!(open(section(offset + 1, None).unwrap()), Err(Error::NotGguf { .. })));
    assert!(matches!(open(Source::memory(Vec::new(), name)), Err(Error::NotGguf { .. })));
    let mapped = ModelOptions::default().with(|o| o.mmap = true);
    for source in [section(offset, Some(length)).unwrap(), Source::memory(bytes.clone(), name)] {
        let error = Model::from_source(source, mapped, |_| true).unwrap_err();
        assert!(matches!(error, Error::Option { name: "mmap", .. }), "{error}");
    }
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for other in [folder.path(), &pipe] {
        assert!(Source::open(other).unwrap_err().to_string().contains("regular file"));
    }
    // Bytes that are others each time.
    let bytes_of = |lengths: [usize; 3]| Fickle(bytes.clone(), lengths, AtomicUsize::new(0));
    for lengths in [[usize::MAX, usize::MAX, 4], [usize::MAX, 4, 4], [4, usize::MAX, usize::MAX]] {
        _ = open(Source::memory(bytes_of(lengths), name));
    }
    // A file that shrinks after its header was checked.
    let source = Source::open(&path).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length / 2).unwrap();
    assert!(open(source).is_err());
    let model = load(Source::memory(bytes, name));
    let adapter = folder.path().join("adapter.gguf");
    write_adapter(&adapter, 3);
    let short = std::fs::read(&adapter).unwrap();
    let short = Source::memory(short[..short.len() - 1].to_vec(), name);
    assert!(matches!(Adapter::from_source(&model, short), Err(Error::Truncated { .. })));
}

/// What llama.cpp reads was checked, even where somebody changes the file meanwhile.
#[test]
fn a_header_that_changes_after_its_check_is_not_read_again() {
    let (_folder, path) = probity_testing::tiny(probity_engine::gguf::GgmlType::F32);
    let source = Source::open(&path).unwrap();
    let length = source.header().unwrap().data_start();
    let model = load(source);
    let plan = model.plan(ContextOptions::default()).unwrap();
    let expected = scores(&model, &[]);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &vec![0xff; length as usize], 0).unwrap();
    let longer = ContextOptions::default().with(|o| o.context = 100);
    assert!(model.plan(longer).unwrap().cache < plan.cache);
    assert_eq!(scores(&model, &[]), expected);
}
