//! Temporary.
fn main() {
    let bytes = std::fs::read(std::env::args().nth(1).expect("file")).expect("read");
    let extractor = features::Extractor::new(features::FeatureSpec::preset(&std::env::args().nth(2).expect("preset")).expect("preset")).expect("valid");
    let mut times = vec![];
    for _ in 0..60 {
        let t = std::time::Instant::now();
        let clip = features::decode::decode(&bytes, &features::decode::Limits::default()).expect("decode").clip;
        let a = extractor.analyse(&clip).expect("a");
        let t1 = t.elapsed().as_secs_f64() * 1e3;
        let p = extractor.passages(&a).expect("p");
        times.push((t.elapsed().as_secs_f64() * 1e3, t1));
        std::hint::black_box(p);
    }
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!("{:?} {:?}", times[0], times[30]);
}
