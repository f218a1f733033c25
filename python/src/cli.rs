//! The programs, in the process of the interpreter.

use std::ffi::OsString;

use pyo3::{prelude::*, wrap_pyfunction};

use crate::error::parameter;

/// Does what the command line `args` of `program` (`serve` or `train`) says, the name of the program first, and gives the exit code.
/// `command` starts the same program in a process of its own.
///
/// It takes over the handling of SIGINT and SIGTERM, as the programs themselves have it: for a process that does nothing after it.
#[pyfunction]
#[pyo3(signature = (program, args, command))]
fn main(py: Python<'_>, program: String, args: Vec<OsString>, command: Vec<OsString>) -> PyResult<u8> {
    match program.as_str() {
        "serve" => Ok(py.detach(|| serve::cli::main(args))),
        "train" => {
            train::console::program::starts_by(command);
            Ok(py.detach(|| train::cli::main(args)))
        }
        other => Err(parameter(format!("unknown program `{other}`; there are serve and train"))),
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(main, module)?)
}
