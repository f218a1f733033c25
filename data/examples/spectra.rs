//! Prints GTZAN's catalogue with the column `spectrum`: what a clip is recognised by when its checksum is another.
//!
//! ```sh
//! cargo run --release -p data --example spectra -- STORE data/catalogue/gtzan.csv >gtzan.csv
//! cargo run --release -p data --example spectra -- STORE     # how far apart the spectra of clips are
//! ```
//!
//! STORE is a feature store of clips of GTZAN with the features `gtzan-store`. Clips that it does not have keep an empty cell.

use std::{collections::BTreeMap, error::Error, path::Path};

use data::{FeatureStore, gtzan::Spectrum};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (store, table) = match arguments.as_slice() {
        [store] => (store, None),
        [store, table] => (store, Some(table)),
        _ => return Err("usage: spectra STORE [CATALOGUE]".into()),
    };
    let store = FeatureStore::open(Path::new(store))?;
    let mut spectra = BTreeMap::new();
    for row in 0..store.len() {
        if let Some(spectrum) = Spectrum::of(store.features(row)?.log_mel()) {
            spectra.insert(store.id(row).to_owned(), (spectrum, store.label(row).clone()));
        }
    }
    let Some(table) = table else {
        let mut nearest = Vec::new();
        for (id, (spectrum, label)) in &spectra {
            let others = spectra.iter().filter(|(other, (_, its))| *other != id && its == label);
            let distance = |(other, (its, _)): (&String, &(Spectrum, _))| (spectrum.distance(its), other.clone());
            nearest.extend(others.map(distance).min_by(|a, b| a.0.total_cmp(&b.0)).map(|(d, other)| (d, id, other)));
        }
        nearest.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (distance, id, other) in nearest {
            println!("{distance:.2} dB {id} {other}");
        }
        return Ok(());
    };
    let mut reader = csv::Reader::from_path(table)?;
    let mut writer = csv::Writer::from_writer(std::io::stdout());
    let header = reader.headers()?.clone();
    let columns: Vec<usize> = (0..header.len()).filter(|&column| &header[column] != "spectrum").collect();
    writer.write_record(columns.iter().map(|&column| &header[column]).chain(["spectrum"]))?;
    for record in reader.records() {
        let record = record?;
        let spectrum = spectra.get(&record[0]).map(|(spectrum, _)| spectrum.to_hex()).unwrap_or_default();
        writer.write_record(columns.iter().map(|&column| &record[column]).chain([spectrum.as_str()]))?;
    }
    writer.flush()?;
    Ok(())
}
