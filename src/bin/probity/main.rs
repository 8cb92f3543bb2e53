use std::path::Path;
use std::time::Instant;
use probity::train::{export, pretrain, vocab};
use probity::engine::gguf::GgmlType;
fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let mut c = pretrain::PretrainConfig::default();
    let minutes: f64 = args[1].parse()?;
    if let Some(j) = args.get(2) { c = serde_json::from_str(j)?; }
    let dir = args.get(3).cloned().unwrap_or("/tmp/run".into());
    std::fs::create_dir_all(&dir)?;
    let v = vocab::train(c.vocabulary, c.seed, 4000)?;
    println!("{:?}", &v.tokens[259..]);
    let mut run = pretrain::Pretraining::new(c.clone());
    println!("params {}", run.theta.len());
    let path = Path::new(&dir).join("init.gguf");
    export::write_model(&path, run.decoder(), &run.theta, &v, GgmlType::F32, &[])?;
    let m = pretrain::open_vocabulary(&path)?;
    let t = Instant::now();
    let mut avg = 0.0;
    for s in 0..c.steps {
        let r = run.step(&m)?;
        avg += (r.loss - avg) / (s as f64 + 1.0).min(50.0);
        if s % 50 == 49 { println!("{} loss {:.3} norm {:.2} tok/s {:.0} elapsed {:.0}", r.step, avg, r.norm, r.tokens as f64 / t.elapsed().as_secs_f64(), t.elapsed().as_secs_f64()); }
        if s % 400 == 399 { println!("EVAL {:?}", run.evaluate(&m, 256)?); export::write_model(&Path::new(&dir).join("model.gguf"), run.decoder(), &run.theta, &v, GgmlType::F32, &[])?;}
        if t.elapsed().as_secs_f64() > minutes * 60.0 { break; }
    }
    println!("EVAL {:?}", run.evaluate(&m, 1024)?);
    export::write_model(&Path::new(&dir).join("model.gguf"), run.decoder(), &run.theta, &v, GgmlType::F32, &[])?;
    export::write_model(&Path::new(&dir).join("model-q8.gguf"), run.decoder(), &run.theta, &v, GgmlType::Q8_0, &[])?;
    Ok(())
}
