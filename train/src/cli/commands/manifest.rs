//! `train manifest`: the clips of a corpus as a table.

use anyhow::Result;
use data::Dataset;
use serde_json::json;

use super::{print_json, write_table};
use crate::{cli::args::ManifestArgs, console::output};

/// Writes the table.
///
/// # Errors
/// When the corpus cannot be opened, or the table cannot be written.
pub fn run(args: &ManifestArgs) -> Result<()> {
    let mut frame = data::manifest(&Dataset::open(&args.data)?)?;
    write_table(&mut frame, &args.out)?;
    let columns: Vec<_> = frame.get_column_names().iter().map(|name| name.to_string()).collect();
    if args.json {
        return print_json(&json!({ "out": args.out, "clips": frame.height(), "columns": columns }));
    }
    output::line(format!("{}: {} clips, columns {}", args.out.display(), frame.height(), columns.join(", ")))
}
